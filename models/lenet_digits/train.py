"""Train lenet_digits with real Caffe: `python3 train.py FOLDER`, run in the Caffe image by make.py.

FOLDER holds train.npz ("pictures": N x 1 x 16 x 16 float32 as the net wants them, "labels": N) and
deploy.prototxt; leaves lenet_digits.caffemodel there. Python 3.9.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from google.protobuf import text_format

from dumper.net import caffe

BATCH, STEPS, SEED = 64, 2500, 20150

HEAD = """
layer { name: "label" type: "Input" top: "label" input_param { shape { dim: %d } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip2" bottom: "label" top: "loss" }
"""

SOLVER = """
net: "%s"
base_lr: 0.01 lr_policy: "inv" gamma: 0.0001 power: 0.75 momentum: 0.9 weight_decay: 0.0005
max_iter: %d display: 500 random_seed: %d solver_mode: CPU snapshot: 0 snapshot_after_train: false
"""


def training_text(deploy: str) -> str:
    """The deploy net with fillers, a batch, and a loss in place of the softmax."""
    net = caffe.proto.caffe_pb2.NetParameter()
    text_format.Merge(deploy, net)
    del net.layer[-1]
    net.layer[0].input_param.shape[0].dim[0] = BATCH
    for layer in net.layer:
        for name in ("convolution_param", "inner_product_param"):
            if layer.HasField(name):
                getattr(layer, name).weight_filler.type = "xavier"
                # a bias that starts away from zero: no blob of a test model may be all zeros
                getattr(layer, name).bias_filler.value = 0.05
    return text_format.MessageToString(net) + HEAD % BATCH


def main(folder: Path) -> None:
    data = np.load(folder / "train.npz")
    pictures, labels = data["pictures"], data["labels"]
    (folder / "train.prototxt").write_text(training_text((folder / "deploy.prototxt").read_text()))
    (folder / "solver.prototxt").write_text(SOLVER % (folder / "train.prototxt", STEPS, SEED))
    caffe.set_mode_cpu()
    solver = caffe.SGDSolver(str(folder / "solver.prototxt"))
    order = np.random.RandomState(SEED)
    for step in range(STEPS):
        chosen = order.randint(0, len(labels), BATCH)
        solver.net.blobs["data"].data[...] = pictures[chosen]
        solver.net.blobs["label"].data[...] = labels[chosen]
        solver.step(1)
        if step % 500 == 0:
            print(step, float(solver.net.blobs["loss"].data), flush=True)
    solver.net.save(str(folder / "lenet_digits.caffemodel"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
