"""Prior boxes of one place, worked out by hand, and of a map, against SSD's loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from decant.loader.ops.prior_box import PriorBox
from tests.helpers import by_hand

VARIANCE = [0.1, 0.1, 0.2, 0.2]


def test_a_box_in_the_middle_of_one_place() -> None:
    """A square of 20 in a picture of 50 x 100, 40 wide and 20 high as parts of it."""
    x, image = torch.zeros(1, 1, 1, 1), torch.zeros(1, 3, 50, 100)
    boxes, variance = PriorBox([(20.0, 20.0)], VARIANCE)(x, image)[0]
    assert boxes.tolist() == pytest.approx([0.4, 0.3, 0.6, 0.7])
    assert variance.tolist() == pytest.approx(VARIANCE)


@pytest.mark.parametrize("clip", [False, True])
def test_boxes_of_a_map_are_those_of_ssds_loops(clip: bool) -> None:
    x, image = torch.zeros(1, 4, 3, 5), torch.zeros(1, 3, 60, 100)
    sizes = [(30.0, 30.0), (60.0, 20.0)]
    found = PriorBox(sizes, VARIANCE, step=(8.0, 16.0), offset=0.25, clip=clip)(x, image)
    wanted = by_hand.prior_box(3, 5, (60, 100), sizes, (8.0, 16.0), 0.25, clip, VARIANCE)
    assert np.allclose(found.numpy(), wanted, atol=1e-6)
    assert (float(found[:, 0].min()) < 0) is not clip
