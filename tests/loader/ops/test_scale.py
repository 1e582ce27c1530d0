"""Scale and Bias along whichever axes, against NumPy's broadcasting."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from decant.loader.ops.scale import Bias, Scale

X = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype(np.float32)


@torch.no_grad()
@pytest.mark.parametrize(
    ("shape", "after", "as_is"),
    [
        ((3,), 2, (3, 1, 1)),
        ((4, 5), 0, (4, 5)),
        ((2,), 3, (2, 1, 1, 1)),
        ((), 0, ()),
        ((3, 4), 1, (3, 4, 1)),
    ],
)
def test_weights_go_along_their_axes(
    shape: tuple[int, ...], after: int, as_is: tuple[int, ...]
) -> None:
    random = np.random.default_rng(1)
    weight, bias = (random.standard_normal(shape).astype(np.float32) for _ in range(2))
    w, b = np.reshape(weight, as_is), np.reshape(bias, as_is)
    state = {"weight": torch.from_numpy(np.array(weight)), "bias": torch.from_numpy(np.array(bias))}
    both, alone, shift = Scale(shape, after), Scale(shape, after, bias=False), Bias(shape, after)
    both.load_state_dict(state)
    alone.load_state_dict({"weight": state["weight"]})
    shift.load_state_dict({"bias": state["bias"]})
    x = torch.from_numpy(X)
    assert np.array_equal(both(x).numpy(), X * w + b)
    assert np.array_equal(alone(x).numpy(), X * w)
    assert np.array_equal(shift(x).numpy(), X + b)
