"""Where Caffe's float32 is further from the formula than rounding: passed, and no more than that."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from decant.loader.parity.verdict import LayerParity
from tests.loader.parity.test_comparison import measured

Function = Callable[[torch.Tensor], torch.Tensor]


def one(
    kind: str, function: Function, x: np.ndarray, top: np.ndarray, params: str = ""
) -> LayerParity:
    (found,) = measured([function], x, [top], [kind], params).layers
    return found


X = np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32)


def off(array: np.ndarray, by: float) -> np.ndarray:
    """`by` of the largest value away, in every place, up or down."""
    signs = np.random.default_rng(1).choice([-1, 1], array.shape)
    return (array + signs * by * np.abs(array).max()).astype(np.float32)


@pytest.mark.parametrize(
    ("kind", "function", "caffe", "x"),
    [
        ("Sigmoid", torch.sigmoid, lambda x: 0.5 * np.tanh(0.5 * np.float64(x)) + 0.5, X - 40),
        ("BNLL", nn.functional.softplus, lambda x: np.log(1 + np.exp(np.float64(x))), X - 38),
        ("ELU", nn.functional.elu, lambda x: np.exp(x) - np.float32(1), -np.abs(X) * 1e-4),
    ],
)  # fmt: skip
def test_what_caffe_rounds_near_one_passes_and_no_more(
    kind: str, function: Function, caffe: Callable[[np.ndarray], np.ndarray], x: np.ndarray
) -> None:
    """Caffe's formulas, on inputs that leave nothing but their rounding."""
    x = x.astype(np.float32)
    top = caffe(x).astype(np.float32)
    found = one(kind, function, x, top)
    assert found.isolated > 1e-5
    assert (found.verdict, "sum with 1" in found.reason) == ("passed", True)
    more = top + np.float32(1e-6 if kind == "ELU" else 1e-14)
    assert one(kind, function, x, more).verdict == "failed"
    assert one("Power", function, x, top).verdict == "failed"


def test_means_of_a_large_plane_are_summed_as_caffe_does() -> None:
    """pooling_layer.cpp adds one value after the other: of half a million, that drifts."""
    x = np.random.default_rng(0).normal(128, 50, (1, 2, 700, 700)).astype(np.float32)
    top = np.cumsum(x.reshape(1, 2, 1, -1), 3, np.float32)[..., -1:] / np.float32(700 * 700)
    module, param = nn.AdaptiveAvgPool2d(1), "pooling_param { pool: AVE global_pooling: true }"
    found = one("Pooling", module, x, top, param)
    assert found.isolated > 1e-5
    assert found.verdict == "passed", found.reason
    assert "running sum drifts" in found.reason
    assert one("Pooling", module, x, off(top, 1e-4), param).verdict == "failed"
    assert one("Pooling", nn.AdaptiveMaxPool2d(1), x, top, param).verdict == "failed"
