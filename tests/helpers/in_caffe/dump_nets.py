"""Run in the Caffe image: `dump_nets.py FOLDER`. Dumps every net of nets.zip; dumps.zip.

nets.zip holds NAME.prototxt, NAME.npz (the probe), NAME.txt (how to fill the weights) and
NAME.blobs.npz (`layer/number` -> those that are not to be filled). Each net runs in a process of its own: one that Caffe aborts on has no dump, and leaves the others alone.
"""

from __future__ import annotations

import io
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from dumper.content import Header
from dumper.net import _give_shapes, build, caffe, text_format, walk
from dumper.writing import write

Arrays = dict[str, np.ndarray]


def fill(net: Any, seed: int, how: str) -> None:
    """Random in every blob; variances and factors of BatchNorm positive."""
    random = np.random.RandomState(seed)
    for layer in net.layers:
        for number, blob in enumerate(layer.blobs):
            fan_in = max(1, blob.count // max(1, blob.shape[0] if len(blob.shape) else 1))
            values = random.standard_normal(blob.count) * (
                np.sqrt(2.0 / fan_in) if number == 0 else 0.5
            )
            if layer.type == "BatchNorm" and number:
                values = np.abs(values) + 0.5
            if layer.type == "BatchNorm" and number == 2 and how == "factor 0":
                values[...] = 0
            elif blob.count:
                values[values == 0] = 0.1
            blob.data[...] = values.reshape(blob.data.shape)


def one(text: str, probe: Arrays, how: str, blobs: Arrays, folder: Path, name: str) -> None:
    message = caffe.proto.caffe_pb2.NetParameter()
    text_format.Merge(text, message)
    shapes = {blob: array.shape for blob, array in probe.items()}
    _give_shapes(message, shapes)
    file = folder / "net.prototxt"
    file.write_text(text_format.MessageToString(message))
    net = build(file, shapes)
    fill(net, len(text), how)
    for place, array in blobs.items():
        layer, _, number = place.rpartition("/")
        net.layer_dict[layer].blobs[int(number)].data[...] = array
    if how == "second forward":
        for blob, array in probe.items():
            net.blobs[blob].data[...] = array
        net.forward()
    header = Header(str(message.name), text, file.read_text(), "caffe", "1.0.0", True, "")
    write(folder / (name + ".npz"), header, walk(net, probe), probe)


def arrays(nets: zipfile.ZipFile, name: str) -> Arrays:
    with np.load(io.BytesIO(nets.read(name))) as found:
        return {key: found[key] for key in found.files}


def main(folder: Path) -> None:
    work = folder / "dumps"
    work.mkdir()
    with zipfile.ZipFile(str(folder / "nets.zip")) as nets:
        names = [name[:-9] for name in nets.namelist() if name.endswith(".prototxt")]
        for name in names:
            text = nets.read(name + ".prototxt").decode()
            how = nets.read(name + ".txt").decode()
            probe, blobs = arrays(nets, name + ".npz"), arrays(nets, name + ".blobs.npz")
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    one(text, probe, how, blobs, work, name)
                    status = 0
                except Exception as error:
                    print(name, "failed:", error, file=sys.stderr)
                os._exit(status)
            _, ended = os.waitpid(child, 0)
            if ended and (work / (name + ".npz")).exists():
                (work / (name + ".npz")).unlink()
    with zipfile.ZipFile(str(folder / "dumps.zip"), "w", zipfile.ZIP_DEFLATED) as dumps:
        for file in sorted(work.glob("*.npz")):
            dumps.writestr(zipfile.ZipInfo(file.name), file.read_bytes(), zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
