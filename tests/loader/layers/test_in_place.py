"""Layers that write over their bottom, where Caffe computes something else then."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers.nets import inputs_text, layer
from tests.loader.layers.test_layers import refusal

DATA = inputs_text({"data": (1, 4, 6, 6)})


@pytest.mark.parametrize(
    ("kind", "param"),
    [
        ("Pooling", "pooling_param { pool: MAX kernel_size: 3 stride: 1 pad: 1 }"),
        ("Convolution", "convolution_param { num_output: 4 kernel_size: 1 }"),
        ("LRN", "lrn_param { local_size: 3 }"),
        ("Eltwise", ""),
    ],
)
def test_what_caffe_computes_wrongly_in_place_is_refused(kind: str, param: str) -> None:
    bottoms = ["power", "data"] if kind == "Eltwise" else ["power"]
    text = DATA + layer("power", "Power", ["data"], ["power"], "power_param { scale: 2 }")
    found = refusal(text + layer("odd one", kind, bottoms, ["power"], param))
    assert "layer 'odd one'" in found and "a name of its own" in found


def test_a_convolution_in_place_keeps_its_shape() -> None:
    param = "convolution_param { num_output: 4 kernel_size: 3 bias_term: false }"
    text = (
        DATA + layer("p", "Power", ["data"], ["p"]) + layer("c", "Convolution", ["p"], ["p"], param)
    )
    found = refusal(text, [[], [], [np.ones((4, 4, 3, 3), np.float32)]])
    assert "layer 'c'" in found and "changes the shape" in found
    flat = inputs_text({"data": (3, 2, 4)}) + layer("m", "MVN", ["data"], ["data"])
    assert "layer 'm'" in refusal(flat) and "changes the shape" in refusal(flat)
