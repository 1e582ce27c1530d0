"""YOLO's outputs: overlap by hand, and the rows of the forks' loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from decant.loader.ops.yolo import Region, YoloDetectionOutput, centred_overlaps
from tests.helpers import by_hand_detection


def test_overlap_of_boxes_given_by_their_middles() -> None:
    """2 x 2 boxes half a side apart: 2 of 6; beside each other: nothing."""
    boxes = torch.tensor([[1.0, 1, 2, 2], [2, 1, 2, 2], [9, 9, 1, 1]])
    assert centred_overlaps(boxes[0], boxes).tolist() == pytest.approx([1, 1 / 3, 0])


def test_region_is_the_forks() -> None:
    x = np.random.default_rng(0).standard_normal((2, 2 * (4 + 1 + 3), 3, 4))
    found = Region(2)(torch.from_numpy(x)).numpy()
    assert np.allclose(found, by_hand_detection.region(x, 2, 3, 4))


def test_rows_are_the_forks_and_none_is_said_by_minus_one() -> None:
    x = np.random.default_rng(1).standard_normal((1, 16, 5, 5)).astype(np.float32)
    anchors = [1.08, 1.19, 3.42, 4.41]
    module = YoloDetectionOutput([(1.08, 1.19), (3.42, 4.41)], 0.3, 0.45)
    wanted = by_hand_detection.yolov2(
        [x.astype(np.float64)], classes=3, boxes=2, biases=anchors, confidence=0.3, threshold=0.45
    )
    found = module(torch.from_numpy(x)).numpy()
    assert found.shape == wanted.shape and len(found[0, 0]) > 1
    assert np.abs(found - wanted).max() <= 1e-5
    nothing = YoloDetectionOutput([(1.0, 1.0), (2.0, 2.0)], 1.1, 0.45)(torch.from_numpy(x))
    assert nothing.tolist() == [[[[0.0] + [-1.0] * 6]]]
