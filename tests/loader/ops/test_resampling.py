"""Unpooling against torch's own, and the resize of a fork against its loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from decant.loader.ops.resampling import Resize, Unpool, steps
from tests.helpers import by_hand


def test_unpooling_puts_every_value_back_where_torch_does() -> None:
    x = torch.randn(2, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    values, mask = nn.functional.max_pool2d(x, 2, return_indices=True)
    wanted = nn.functional.max_unpool2d(values, mask, 2)
    assert torch.equal(Unpool(6, 8)(values, mask.float()), wanted)


@pytest.mark.parametrize("size", [(9, 15), (3, 7), (6, 10), (1, 1)])
def test_resize_counts_from_the_upper_left_corner(size: tuple[int, int]) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 10))
    found = Resize(*size)(torch.from_numpy(x)).numpy()
    assert np.allclose(found, by_hand.resize(x, *size), atol=1e-12)


def test_beyond_the_edge_there_is_nothing() -> None:
    """Twice as many: the last one lies half a place behind the last, and has half of it."""
    wanted = [[1, 0], [0.5, 0.5], [0, 1], [0, 0.5]]
    assert steps(2, 4, torch.zeros(1)).tolist() == wanted
