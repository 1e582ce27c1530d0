"""The plain copy of a caffemodel that stock Caffe is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from decant.loader.weights import caffemodel
from decant.loader.weights.write_caffemodel import write
from tests.helpers import encode_caffemodel as encode
from tests.helpers.pairs import random
from tests.helpers.raw_blobs import raw

chunk, number = encode.chunk, encode.number


WEIGHT, BIAS = random(4, 3, 3, 3), random(4)


def test_the_copy_for_caffe_is_plain_and_holds_the_same_bits(tmp_path: Path) -> None:
    """Names, types, shapes in the form that they came in; scalars and empty blobs too."""
    layers = [
        encode.layer("current", "c/1", "Convolution", [raw(WEIGHT, "half"), raw(BIAS, "double")]),
        encode.layer("current", "p", "PReLU", [raw(np.float32(0.25).reshape(()), "float")]),
        encode.layer("current", "r", "ReLU", []),
        encode.layer("current", "e", "Embed", [raw(np.zeros((0, 3), np.float32), "float")]),
        encode.layer("current", "old", "InnerProduct", [raw(random(2, 5), "float", legacy=True)]),
    ]
    (tmp_path / "net.caffemodel").write_bytes(chunk(1, b"n") + b"".join(layers))
    model = caffemodel.read(tmp_path / "net.caffemodel")
    write(tmp_path / "copy.caffemodel", model.name, model.layers)
    copy = caffemodel.read(tmp_path / "copy.caffemodel")
    assert copy.name == "n"
    assert [(x.name, x.type) for x in copy.layers] == [(x.name, x.type) for x in model.layers]
    for one, other in zip(model.layers, copy.layers, strict=True):
        for blob, same in zip(one.blobs, other.blobs, strict=True):
            assert blob is not None and same is not None
            assert (same.kind, same.raw) == ("float", False)
            assert (same.shape, same.legacy) == (blob.shape, blob.legacy)
            assert np.array_equal(same.array().view(np.uint32), blob.array().view(np.uint32))
