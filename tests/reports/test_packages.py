"""Trained nets of other people's packages, converted: what they answer is what OpenCV answers.

OpenCV's importer shares nothing with us or with Caffe; it takes half precision and SSD's layers, which
stock Caffe does not. What Caffe runs is held against it in tests/container/test_packages.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from decant.loader import load
from tests.commands.test_cli import run
from tests.helpers.packages import TRAINED, files

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow

# OpenCV 5 has no Caffe importer
cv2 = pytest.importorskip("cv2", reason="opencv-python-headless is not there")
# of the largest value; the two add up in other orders
TOLERANCE = 1e-4
# its boxes have sizes that are not whole numbers: SSD's C++ cuts them, OpenCV does not
OPTIONS = {"plate_ssd": ("--prior-sizes", "exact")}


@torch.no_grad()
@pytest.mark.parametrize("name", list(TRAINED))
def test_a_packages_net_answers_as_opencv_does(name: str, tmp_path: Path) -> None:
    if not hasattr(cv2.dnn, "readNetFromCaffe"):
        pytest.skip("this OpenCV has no Caffe importer")
    prototxt, caffemodel = files(name, tmp_path)
    done = run(
        "convert", "--engine", "reader", "--no-report", "--name", name, *OPTIONS.get(name, ()),
        "--prototxt", str(prototxt), "--caffemodel", str(caffemodel), cwd=tmp_path,
    )  # fmt: skip
    assert f"{TRAINED[name].tensors} tensors in" in done.stdout + done.stderr
    folder = tmp_path / "artifacts" / name
    manifest = json.loads((folder / "manifest.json").read_text())
    (given,) = manifest["inputs"]
    x = (np.random.default_rng(1).standard_normal(given["shape"]) * 50).astype(np.float32)
    mine = load(str(folder))[0](torch.from_numpy(x))
    mine = mine if isinstance(mine, dict) else {manifest["outputs"][0]["blob"]: mine}
    net = cv2.dnn.readNetFromCaffe(str(prototxt), str(caffemodel))
    net.setInput(x)
    layers = {output["blob"]: output["layer"] for output in manifest["outputs"]}
    theirs = dict(zip(layers, net.forward(list(layers.values())), strict=True))
    for blob, found in mine.items():
        _agree(found.numpy(), theirs[blob])


def _agree(found: np.ndarray, theirs: np.ndarray) -> None:
    if found.shape[-1] == 7 and found.ndim == 4:  # OpenCV fills detections up with rows of zeros
        theirs = theirs[:, :, np.abs(theirs[0, 0]).sum(1) > 0]
        assert theirs.size, "nothing is detected: another seed"
    assert found.shape == theirs.shape
    assert np.isfinite(theirs).all()
    assert np.abs(found - theirs).max() <= TOLERANCE * np.abs(theirs).max()
