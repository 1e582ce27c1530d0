"""MVN, against instance and layer normalisation of torch, and NumPy for Caffe's eps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from decant.loader.ops.mvn import MVN

X = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 5, 4), np.float32) * 3 + 2)


def test_by_channel_it_is_an_instance_norm_and_across_them_a_layer_norm() -> None:
    by_channel = nn.functional.instance_norm(X, eps=0)
    across = nn.functional.layer_norm(X, X.shape[1:], eps=0)
    assert torch.allclose(MVN()(X), by_channel, atol=1e-6)
    assert torch.allclose(MVN(across_channels=True)(X), across, atol=1e-6)


@pytest.mark.parametrize("eps", [1e-9, 0.5])
def test_eps_is_added_to_the_deviation_not_to_the_variance(eps: float) -> None:
    x = X.double().numpy()
    wanted = (x - x.mean((2, 3), keepdims=True)) / (x.std((2, 3), keepdims=True) + eps)
    assert np.allclose(MVN(eps=eps)(X).numpy(), wanted, atol=1e-5)


def test_the_mean_alone_and_a_constant_plane() -> None:
    found = MVN(normalize_variance=False)(X)
    assert torch.allclose(found, X - X.mean((2, 3), keepdim=True))
    assert torch.equal(MVN()(torch.full((1, 1, 3, 3), 7.0)), torch.zeros(1, 1, 3, 3))
