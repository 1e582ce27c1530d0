"""What there is to see of lenet_digits: kernels, activations beside Caffe's, a picture's classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from decant.dumper import dumpfile
from decant.loader import load
from decant.loader.report.looking import ClassifiedPicture, make
from tests.helpers.artifacts import REFERENCE, write_lenet


# a dozen figures
@pytest.mark.slow
def test_a_picture_for_each_thing_that_there_is(tmp_path: Path) -> None:
    folder = write_lenet(tmp_path / "lenet_digits")
    net, _ = load(folder)
    dump = dumpfile.read(REFERENCE)
    picture = np.random.default_rng(0).random((1, 16, 16), np.float32)
    seen = ClassifiedPicture("digit.png", picture, picture[None], ["seven", "one"], [0.9, 0.1])
    found = make(folder, net, seen, dump)
    names = [item.name for item in found.pictures]
    assert names[:2] == ["classes", "heat"]
    assert {"filters-conv1", "filters-conv2", "activations-conv1", "histogram-conv2"} <= set(names)
    assert "digit.png" in found.html and "seeded probe" in found.html

    bare = make(folder, net, None, None)
    assert {item.name for item in bare.pictures} == {"filters-conv1", "filters-conv2"}
    assert "parity.json" in found.html or "Not compared" in bare.html
