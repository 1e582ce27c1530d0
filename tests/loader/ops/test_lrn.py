"""LRN across channels, against loops over Caffe's formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from decant.loader.ops.lrn import LRN


def lrn_by_loops(x: np.ndarray, size: int, alpha: float, beta: float, k: float) -> np.ndarray:
    """lrn_layer.cpp, CrossChannelForward: scale = k + alpha / n * sum over the window, in float64."""
    scale = np.full(x.shape, k, np.float64)
    for channel in range(x.shape[1]):
        low, high = max(0, channel - size // 2), min(x.shape[1], channel + size // 2 + 1)
        scale[:, channel] += alpha / size * (x[:, low:high].astype(np.float64) ** 2).sum(1)
    return x * scale**-beta


@pytest.mark.parametrize(("size", "beta", "k"), [(5, 0.75, 1.0), (3, 0.75, 2.0), (7, 0.5, 1.5)])
@pytest.mark.parametrize("spread", [1.0, 60.0, 4000.0])
def test_lrn_is_caffes(size: int, beta: float, k: float, spread: float) -> None:
    x = torch.randn(2, 9, 4, 5, generator=torch.Generator().manual_seed(1)) * spread
    expected = lrn_by_loops(x.numpy(), size, 1e-4, beta, k)
    found = LRN(size, 1e-4, beta, k)(x).numpy()
    assert np.abs(found - expected).max() <= 4e-7 * np.abs(expected).max()


@pytest.mark.slow
def test_lrn_differentiates_and_does_not_touch_its_input() -> None:
    layer, x = LRN(5, 0.5, 0.75), torch.randn(1, 7, 2, 2, dtype=torch.double, requires_grad=True)
    before = x.detach().clone()
    assert torch.autograd.gradcheck(layer, x)
    assert torch.equal(x.detach(), before)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_lrn_works_in_half_precision_without_overflow(dtype: torch.dtype) -> None:
    x = (torch.randn(1, 16, 5, 5) * 900).to(dtype)
    found = LRN(5, 1e-4, 0.75)(x)
    assert found.dtype == dtype
    exact = LRN(5, 1e-4, 0.75)(x.double())
    assert (found.double() - exact).abs().max() <= 0.03 * exact.abs().max()
