"""Run in the Caffe image: `fill.py FOLDER`. Fills net.prototxt with random weights; net.caffemodel.

He's scale keeps the values in range through 19 layers; every blob gets values of its own, biases
too, none of them zero.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from dumper.net import caffe


def main(folder: Path) -> None:
    caffe.set_mode_cpu()
    net = caffe.Net(str(folder / "net.prototxt"), caffe.TEST)
    random = np.random.RandomState(7)
    for layer in net.layers:
        for number, blob in enumerate(layer.blobs):
            fan_in = blob.count / blob.shape[0]
            scale = np.sqrt(2.0 / fan_in) if number == 0 else 0.1
            values = random.standard_normal(blob.count).astype(np.float32) * np.float32(scale)
            values[values == 0] = scale
            blob.data[...] = values.reshape(blob.data.shape)
    net.save(str(folder / "net.caffemodel"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
