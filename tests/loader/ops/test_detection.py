"""SSD's boxes: decoded and suppressed by hand, and against the published loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from decant.loader.ops.detection import DetectionOutput, decode_boxes, overlaps, suppress
from tests.helpers import by_hand

BOXES = torch.tensor([[0.0, 0, 2, 2], [1, 0, 3, 2], [2, 2, 0, 0], [5, 5, 6, 6], [0, 0, 2, 1.9]])


def test_overlap_is_intersection_over_union_and_none_of_a_box_turned_round() -> None:
    found = overlaps(BOXES[0], BOXES).tolist()
    assert found == pytest.approx([1, 1 / 3, 0, 0, 0.95])
    # where a pixel counts one: 2 x 3 of 3 x 3 and 3 x 3
    assert overlaps(BOXES[0], BOXES[1:2], 1.0).tolist() == pytest.approx([0.5])


def test_what_a_better_box_overlaps_is_left_out() -> None:
    assert suppress(BOXES, 0.5) == [0, 1, 2, 3]
    assert suppress(BOXES, 0.3) == [0, 2, 3]


@pytest.mark.parametrize("code", ["CORNER", "CENTER_SIZE", "CORNER_SIZE"])
def test_every_code_of_boxes(code: str) -> None:
    random = np.random.default_rng(0)
    offset, prior = random.standard_normal(4), np.array([0.2, 0.3, 0.6, 0.5])
    variance = np.array([0.1, 0.1, 0.2, 0.2])
    found = decode_boxes(
        *map(torch.from_numpy, (offset.reshape(1, 1, 1, 4), prior[None], variance[None])), code
    )
    assert np.allclose(found.flatten().numpy(), by_hand.decode(offset, prior, variance, code))


def test_where_nothing_is_found_there_is_a_row_of_minus_one_for_each_picture() -> None:
    module = DetectionOutput(2, "CORNER", 0.5, confidence=0.9)
    found = module(torch.zeros(2, 4), torch.full((2, 2), 0.5), torch.zeros(1, 2, 4))
    assert found.shape == (1, 1, 2, 7)
    assert found[0, 0].tolist() == [[0.0] + [-1.0] * 6, [1.0] + [-1.0] * 6]
