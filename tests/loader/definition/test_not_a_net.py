"""Files given for the definition that are something else: named, and what to give instead."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from decant.loader.definition.graph import net_from_text, read_net
from decant.loader.errors import BadInput
from decant.stages.inputs import Source, resolve
from tests.helpers import encode_caffemodel as encode
from tests.helpers.pairs import random

chunk, number = encode.chunk, encode.number


BLOB = encode.blob(random(4, 3, 3, 3))


NAME = b"/data/net_iter_10000.caffemodel"


HISTORY = chunk(3, BLOB) + chunk(3, encode.blob(random(4), legacy=True))


SOLVER = number(1, 10000) + chunk(2, NAME)


ONNX = (
    number(1, 8)
    + chunk(2, b"pytorch")
    + chunk(3, b"2.1")
    + chunk(7, chunk(1, chunk(1, b"x") + chunk(4, b"Conv")))
    + chunk(8, chunk(1, b"") + number(2, 17))
)


def solverstate(file: h5py.File) -> None:
    """Caffe's SnapshotSolverStateToHDF5 (sgd_solver.cpp)."""
    file["iter"], file["current_step"] = np.int32(500), np.int32(1)
    file["learned_net"] = np.bytes_(b"snap/net_iter_500.caffemodel.h5\0")
    file["history/0"] = random(4)


NET = 'layer { name: "a" type: "Input" top: "a" input_param { shape { dim: 1 dim: 8 } } }\n'


WEIGHTS = encode.net("current", [("fc", "InnerProduct", [random(3, 8)])])


DEFINITIONS = {
    "caffemodel": (WEIGHTS, "not a text but a caffemodel"),
    "caffemodel in V1": (encode.net("v1", [("fc", "InnerProduct", [random(3, 8)])]), "a caffemodel"),
    "solverstate": (SOLVER + HISTORY, "not a text but a solverstate"),
    "ONNX": (ONNX, "an ONNX model"),
    "damaged": (WEIGHTS[:-3], "is it the caffemodel"),
    "web page": (b"<!DOCTYPE html><html>", "not a prototxt but a web page"),
    "JSON": (b'{"class_name": "Sequential"}', "not a prototxt but a JSON text"),
    "OpenVINO": (b'<?xml version="1.0"?><net name="a" version="10">', "an XML page"),
    "Darknet": (b"[net]\nbatch=1\n", "a net of Darknet"),
    "ncnn": (b"7767517\n75 83\n", "a net of ncnn"),
    "solver": (
        b'net: "models/train_val.prototxt"\nbase_lr: 0.01\nsolver_mode: GPU\n',
        "a solver's settings, not a net: .*models/train_val.prototxt",
    ),
    "solver of two nets": (b'train_net: "a.prototxt"\ntest_net: "b.prototxt"', "a.prototxt"),
    "solver with the net inside": (
        b'base_lr: 1 net_param { layer { name: "a" type: "Input" top: "a" } }',
        "its net_param",
    ),
    "solver without a net": (b"base_lr: 0.01 max_iter: 5", "a solver's settings"),
    "nothing": (b'name: "x"', "no layers at TEST"),
    "an empty file": (b" \n", "the file is empty: no layers; give the net's definition"),
}  # fmt: skip


@pytest.mark.parametrize("name", DEFINITIONS)
def test_so_is_a_file_given_for_the_definition(name: str, tmp_path: Path) -> None:
    content, expected = DEFINITIONS[name]
    (tmp_path / "net.prototxt").write_bytes(content)
    with pytest.raises(BadInput, match=expected) as caught:
        read_net(tmp_path / "net.prototxt")
    assert "\n" not in caught.value.message


def test_a_definition_may_begin_with_anything_that_a_definition_begins_with() -> None:
    for start in ("# a comment\n", "\n\n  ", "force_backward: true\n", 'name: "404"\n', ""):
        assert net_from_text(start + NET, "net.prototxt").layers


def test_exchanged_files_are_told(tmp_path: Path) -> None:
    text, weights = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
    text.write_text(NET)
    weights.write_bytes(WEIGHTS)
    with pytest.raises(
        BadInput, match=rf"exchanged: give --prototxt {text} --caffemodel {weights}"
    ):
        resolve(Source(None, weights, text))
    assert resolve(Source(None, text, weights)).caffemodel == weights
