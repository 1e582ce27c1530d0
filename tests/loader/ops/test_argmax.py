"""ArgMax, against a sort by hand: of equal values Caffe takes the larger index."""

from __future__ import annotations

import pytest
import torch

from decant.loader.ops.argmax import ArgMax

X = torch.tensor([[3.0, 9.0, 9.0, 1.0], [2.0, 2.0, 0.0, 2.0]])


@pytest.mark.parametrize(
    ("module", "wanted"),
    [
        (ArgMax(1), [[[2.0]], [[3.0]]]),
        (ArgMax(3), [[[2.0, 1.0, 0.0]], [[3.0, 1.0, 0.0]]]),
        (ArgMax(2, values=True), [[[2.0, 1.0], [9.0, 9.0]], [[3.0, 1.0], [2.0, 2.0]]]),
        (ArgMax(2, axis=1), [[2.0, 1.0], [3.0, 1.0]]),
        (ArgMax(2, axis=1, values=True), [[9.0, 9.0], [2.0, 2.0]]),
        (ArgMax(1, axis=0), [[0.0, 0.0, 0.0, 1.0]]),
    ],
)
def test_the_larger_index_of_equal_values_comes_first(module: ArgMax, wanted: list) -> None:
    assert module(X).tolist() == wanted


def test_without_an_axis_a_picture_is_one_row_and_gets_axes_of_one() -> None:
    x = torch.arange(24.0).reshape(2, 3, 2, 2)
    assert ArgMax(1, trailing=1)(x).shape == (2, 1, 1, 1)
    assert ArgMax(1, trailing=1)(x).flatten().tolist() == [11.0, 11.0]
