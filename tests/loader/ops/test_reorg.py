"""Darknet's reorg, against its loops; and that it is not pixel_unshuffle."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from decant.loader.ops.reorg import Reorg
from tests.helpers import by_hand


@pytest.mark.parametrize(("stride", "shape"), [(2, (2, 8, 6, 10)), (3, (1, 9, 3, 6))])
def test_it_mixes_places_as_darknets_loops_do(stride: int, shape: tuple[int, ...]) -> None:
    x = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    found = Reorg(stride)(torch.from_numpy(x))
    assert np.array_equal(found.numpy(), by_hand.reorg(x, stride))
    assert not torch.equal(found, torch.nn.functional.pixel_unshuffle(torch.from_numpy(x), stride))
