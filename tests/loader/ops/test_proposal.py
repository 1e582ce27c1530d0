"""Faster R-CNN's proposals, against a transcription of the published layer."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers import by_hand_detection
from tests.helpers.forks import faster
from tests.loader.layers.test_faster_rcnn import found


def maps(seed: int, anchors: int = 9) -> dict[str, np.ndarray]:
    return {
        blob: array.astype(np.float32)
        for blob, array in faster(anchors, 4)(np.random.default_rng(seed)).items()
    }


SETTINGS = {
    "before": ("pre_nms_top_n", 20),
    "after": ("post_nms_top_n", 5),
    "threshold": ("nms_thresh", 0.3),
    "smallest": ("min_size", 60),
}


@pytest.mark.parametrize("name", list(SETTINGS))
@pytest.mark.parametrize("seed", range(3))
def test_every_setting_of_the_configuration_is_honoured(name: str, seed: int) -> None:
    attribute, value = SETTINGS[name]
    x = maps(seed)
    wanted = by_hand_detection.region_proposals(
        x["scores"],
        x["offsets"],
        x["info"][0],
        **{name: value},  # type: ignore[arg-type]
    )
    rows = len(found(x)[0])
    for top, other in zip(found(x, **{attribute: value}), wanted, strict=True):
        assert top.shape == other.shape
        assert len(top) < rows
        assert np.abs(top - other).max() <= 1e-5 * np.abs(other).max()


def test_settings_below_one_mean_all_boxes() -> None:
    x = maps(1)
    everything = found(x, pre_nms_top_n=0, post_nms_top_n=-1)
    wanted = by_hand_detection.region_proposals(
        x["scores"], x["offsets"], x["info"][0], before=0, after=-1
    )
    assert everything[0].shape == wanted[0].shape


def test_of_equal_scores_the_later_box_comes_first() -> None:
    x = maps(2)
    x["scores"] = np.round(x["scores"], 1)
    boxes, scores = found(x)
    wanted = by_hand_detection.region_proposals(x["scores"], x["offsets"], x["info"][0])
    assert len(np.unique(scores)) < len(scores)
    assert boxes.shape == wanted[0].shape
    assert np.abs(boxes - wanted[0]).max() <= 1e-5 * np.abs(wanted[0]).max()


def test_no_box_that_is_large_enough_makes_no_rows() -> None:
    boxes, scores = found(maps(0), min_size=1000)
    assert boxes.shape == (0, 5)
    assert scores.shape == (0, 1)
