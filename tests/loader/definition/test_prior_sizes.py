"""PriorBox sizes that are not whole numbers: SSD cuts them, OpenCV does not."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from decant.loader.artifact.loading import module_from_source
from decant.loader.definition.graph import net_from_text
from decant.loader.definition.reading import Reading, ReadingOptions
from decant.loader.errors import Unsupported
from tests.helpers.converting import conv, converted, input_layer, layer, random, write_pair

SIZES = "min_size: 45.6 max_size: 49.2"


def net(sizes: str = SIZES) -> str:
    param = (
        f"prior_box_param {{ {sizes} aspect_ratio: 2 flip: false clip: false "
        "variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 offset: 0.5 }"
    )
    text = input_layer("data", 1, 3, 64, 64) + conv("c", "data", "c", "kernel_size: 3 stride: 16")
    return text + layer("p", "PriorBox", "c data", "p", param)


def boxes(folder: Path, how: str, text: str) -> np.ndarray:
    weights = [random(4, 3, 3, 3), random(4)]
    write_pair(folder, text, [("c", "Convolution", weights)])
    converted(folder, ReadingOptions(prior_sizes=how))
    module = module_from_source((folder / "artifacts/net/model.py").read_text())
    with torch.no_grad():
        found = module(torch.zeros(1, 3, 64, 64))
    return np.asarray(found["p"] if isinstance(found, dict) else found)


def by_hand(smallest: float, largest: float) -> np.ndarray:
    """prior_box_layer.cpp for `net`: 4 x 4 places, 16 pixels apart; sizes as they are kept there."""
    wide = [smallest, math.sqrt(smallest * largest), smallest * math.sqrt(2)]
    high = [smallest, math.sqrt(smallest * largest), smallest / math.sqrt(2)]
    found = []
    for row in range(4):
        for column in range(4):
            x, y = (column + 0.5) * 16, (row + 0.5) * 16
            for w, h in zip(wide, high, strict=True):
                found += [(x - w / 2) / 64, (y - h / 2) / 64, (x + w / 2) / 64, (y + h / 2) / 64]
    return np.array(found)


@pytest.mark.parametrize(
    ("how", "sizes"), [("whole", (45.0, 49.0)), ("exact", (45.6, 49.2))]
)  # fmt: skip
def test_boxes_are_those_of_the_reading(
    how: str, sizes: tuple[float, float], tmp_path: Path
) -> None:
    found = boxes(tmp_path, how, net())
    assert np.abs(found[0, 0] - by_hand(*sizes)).max() < 1e-6


def test_exact_boxes_are_opencvs(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2", reason="opencv-python-headless is not there")
    if not hasattr(cv2.dnn, "readNetFromCaffe"):
        pytest.skip("OpenCV 5 has no Caffe importer")
    mine = {how: boxes(tmp_path, how, net()) for how in ("whole", "exact")}
    there = cv2.dnn.readNetFromCaffe(
        str(tmp_path / "net.prototxt"), str(tmp_path / "net.caffemodel")
    )
    there.setInput(np.zeros((1, 3, 64, 64), np.float32))
    theirs = there.forward()
    assert np.abs(mine["exact"] - theirs).max() < 1e-6 < 1e-3 < np.abs(mine["whole"] - theirs).max()


@pytest.mark.parametrize(
    ("sizes", "named"),
    [(SIZES, "45.6, 49.2 ('p', line 3)"), ("min_size: 30 max_size: 60.5", "60.5 ('p', line 3)"),
     ("min_size: 30.0 max_size: 6e1", ""), ("min_size: 45.5f", "45.5f"), ("min_size: 30", "")],
)  # fmt: skip
def test_a_size_that_is_cut_is_said(sizes: str, named: str) -> None:
    for how, offered in (("whole", True), ("exact", False)):
        notes = net_from_text(net(sizes), "net", Reading(prior_sizes=how)).notes
        assert bool(notes) is bool(named) and all(named in note for note in notes)
        assert all(("--prior-sizes exact" in note) is offered for note in notes)


@pytest.mark.parametrize("how", ["whole", "exact"])
@pytest.mark.parametrize(
    "sizes", ["min_size: -4.5 max_size: 8", "min_size: 0", "min_size: 4 max_size: -1"]
)
def test_a_size_that_is_none_is_refused_by_name(how: str, sizes: str, tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"(min|max)_size (-4\.5|0|-1): SSD wants more than 0"):
        boxes(tmp_path, how, net(sizes))
