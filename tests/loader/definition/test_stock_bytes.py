"""Files of forks whose field numbers stock Caffe has given to messages of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from decant.loader.definition.stock_bytes import stock_parses
from tests.helpers import encode_caffemodel as encode
from tests.loader.weights.test_caffemodel_raw import BIAS, WEIGHT

chunk, number = encode.chunk, encode.number
CONV = encode.layer("current", "c", "Convolution", [encode.blob(x) for x in (WEIGHT, BIAS)])
LIST = b"data/list.txt"


def in_layer(field: bytes) -> bytes:
    """A file with a fork's layer that has this field behind the one with the weights."""
    own = chunk(1, b"out") + chunk(2, b"Own") + chunk(3, b"c") + chunk(4, b"out")
    return chunk(1, b"net") + CONV + chunk(100, own + field)


# what protobuf in the image says to each: tests/container/test_weights.py
ABORTS = {
    # parameter_param.shape
    "a text where a message is": in_layer(chunk(145, chunk(1, LIST))),
    # input_param
    "a text where a layer's parameters are": in_layer(chunk(143, LIST)),
    # slice_param.slice_point
    "numbers that are cut": in_layer(chunk(126, chunk(2, b"\x01\xff"))),
    # eltwise_param.coeff
    "floats that are not floats": in_layer(chunk(110, chunk(2, b"abc"))),
    # transform_param.mean_value, inside a fork's message of the same number
    "two deep": in_layer(chunk(106, chunk(7, chunk(1, b"x") + chunk(9, b"")[:1]))),
    # input_shape of the net
    "beside the layers": chunk(8, b"\xff\xff") + in_layer(b""),
}
TAKES = {
    "nothing": in_layer(b""),
    "a number nobody has": in_layer(chunk(777, LIST)),
    # NVCaffe's forward_type
    "a number where a message is": in_layer(number(145, 2)),
    "a text where a number is": in_layer(chunk(139, chunk(1, LIST))),
    "a message where a text is": in_layer(chunk(130, chunk(1, number(1, 3)))),
    "another enum's value": in_layer(chunk(121, number(1, 7))),
    "packed numbers": in_layer(chunk(126, chunk(2, b"\x01\xff\x01"))),
    "NVCaffe's raw data": chunk(100, chunk(1, b"c") + chunk(7, number(10, 2) + chunk(12, b"1"))),
}


@pytest.mark.parametrize("name", ABORTS)
def test_what_makes_caffe_abort_is_found(name: str, tmp_path: Path) -> None:
    (tmp_path / "net.caffemodel").write_bytes(ABORTS[name])
    assert not stock_parses(tmp_path / "net.caffemodel")


@pytest.mark.parametrize("name", TAKES)
def test_what_caffe_passes_over_is_left_alone(name: str, tmp_path: Path) -> None:
    (tmp_path / "net.caffemodel").write_bytes(TAKES[name])
    assert stock_parses(tmp_path / "net.caffemodel")


@pytest.mark.slow
def test_values_are_not_looked_at(tmp_path: Path) -> None:
    """A million values, one key each, are as quick as none."""
    many = encode.blob(np.zeros(1_000_000, np.float32), packed=False)
    (tmp_path / "net.caffemodel").write_bytes(encode.layer("v1", "c", "Convolution", [many]))
    assert stock_parses(tmp_path / "net.caffemodel")
