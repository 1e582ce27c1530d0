"""Pooling over volumes: torch's own where they agree, loops by hand where they do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from decant.loader.ops.volume_pooling import VolumeAvgPool, VolumeMaxPool, VolumeMaxPoolMask
from tests.helpers.by_hand_volumes import pool3d

X = np.random.default_rng(0).permutation(2 * 5 * 6 * 7).reshape(1, 2, 5, 6, 7).astype(np.float32)
Three = tuple[int, int, int]


def test_whole_windows_are_torchs() -> None:
    x = torch.from_numpy(X[..., :4, :6, :6])
    for ours, theirs in ((VolumeMaxPool, nn.MaxPool3d), (VolumeAvgPool, nn.AvgPool3d)):
        assert torch.allclose(ours((2, 2, 3), (2, 2, 3), (0, 0, 0))(x), theirs((2, 2, 3))(x))


@pytest.mark.parametrize(
    ("kernel", "stride", "pad", "clip"),
    [
        ((2, 3, 3), (2, 2, 2), (1, 1, 1), True),
        ((1, 2, 2), (4, 3, 3), (0, 0, 0), False),
        ((2, 3, 2), (2, 2, 3), (0, 2, 0), True),
    ],
)
def test_other_windows_are_those_of_the_forks(
    kernel: Three, stride: Three, pad: Three, clip: bool
) -> None:
    x = torch.from_numpy(X)
    values, places = pool3d(X, "MAX", kernel, stride, pad, clip)
    assert np.allclose(VolumeMaxPool(kernel, stride, pad, clip)(x).numpy(), values)
    average = pool3d(X, "AVE", kernel, stride, pad, clip)[0]
    found = VolumeAvgPool(kernel, stride, pad, clip)(x).numpy()
    assert np.allclose(found, average, rtol=1e-5, equal_nan=True)
    if clip:
        most, where = VolumeMaxPoolMask(kernel, stride, pad)(x)
        assert np.allclose(most.numpy(), values)
        assert np.array_equal(where.numpy(), places)
