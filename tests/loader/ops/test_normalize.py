"""SSD's Normalize, against the published layer by hand and torch's own normalisation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from decant.loader.ops.normalize import Normalize
from tests.helpers import by_hand

X = np.random.default_rng(1).standard_normal((2, 4, 3, 5))


@torch.no_grad()
@pytest.mark.parametrize("across", [True, False])
def test_it_is_the_published_layer(across: bool) -> None:
    module = Normalize(1 if across else 4, across, 1e-10).double()
    module.weight.copy_(torch.arange(1.0, module.weight.numel() + 1))
    wanted = by_hand.normalize(X, module.weight.numpy(), across)
    assert np.allclose(module(torch.from_numpy(X)).numpy(), wanted, rtol=1e-12)


@torch.no_grad()
def test_by_place_it_is_torchs() -> None:
    x = torch.from_numpy(X)
    assert torch.allclose(Normalize(4, False, 1e-20)(x), torch.nn.functional.normalize(x, dim=1))
    assert torch.equal(Normalize(4, False, 1e-10)(x * 0), x * 0)
