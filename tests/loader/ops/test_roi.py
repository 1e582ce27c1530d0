"""Pooling over regions, against the published layers' loops."""

from __future__ import annotations

import numpy as np
import torch

from decant.loader.ops.roi import PSROIPooling, ROIAlign, ROIPooling, rounded
from tests.helpers import by_hand

RANDOM = np.random.default_rng(4)
X = RANDOM.standard_normal((2, 8, 6, 10))
ROIS = np.array([[0, 3, 5, 90, 70], [1, -8, 10.5, 120, 200], [1, 20, 20, 20, 20.0]])
INPUTS = torch.from_numpy(X), torch.from_numpy(ROIS)


def test_regions_are_pooled_as_the_forks_loops_do() -> None:
    found = ROIPooling(3, 2, 1 / 16)(*INPUTS).numpy()
    assert np.array_equal(found, by_hand.roi_pool(X, ROIS, 3, 2, 1 / 16))
    found = PSROIPooling(2, 2, 1 / 16)(*INPUTS).numpy()
    assert np.allclose(found, by_hand.psroi_pool(X, ROIS, 2, 2, 1 / 16), atol=1e-12)


def test_aligned_regions_are_interpolated_as_the_forks_loops_do() -> None:
    found = ROIAlign(3, 2, 1 / 16, 2)(*INPUTS).numpy()
    assert np.allclose(found, by_hand.roi_align(X, ROIS, 3, 2, 1 / 16, 2), atol=1e-6)
    assert ROIAlign(3, 2, 1 / 16)(INPUTS[0], INPUTS[1][:0]).shape == (0, 8, 3, 2)


def test_halves_are_rounded_away_from_zero() -> None:
    x = torch.tensor([0.5, 1.5, -0.5, -2.5, 2.4])
    assert rounded(x).tolist() == [1.0, 2.0, -1.0, -3.0, 2.0]
