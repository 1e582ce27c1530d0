"""Real trained nets through real Caffe: same numbers as the truth, same bits as the reader."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from decant.dumper import dumpfile
from decant.engines import caffe, reader
from decant.engines.job import Job
from decant.loader.progress import SILENT
from tests.conftest import CASES

NAMES = sorted(path.parent.name for path in CASES.glob("*/truth.npz")) or ["(no cases here)"]


@pytest.mark.parametrize("name", NAMES)
def test_both_engines_agree_with_the_truth(name: str, cases: Path, tmp_path: Path) -> None:
    folder = cases / name
    with np.load(folder / "truth.npz") as truth:
        inputs = {key[3:]: truth[key] for key in truth.files if key.startswith("in/")}
        outputs = {key[4:]: truth[key] for key in truth.files if key.startswith("out/")}
    weights = next(folder.glob("net.caffemodel*"))
    job = Job(folder / "net.prototxt", weights, inputs, ("conv5-3", "*"))
    caffe.dump(job, tmp_path / "caffe.h5", SILENT)
    reader.dump(job, tmp_path / "reader.h5", SILENT)
    ran, read = dumpfile.read(tmp_path / "caffe.h5"), dumpfile.read(tmp_path / "reader.h5")
    last = {
        top: array
        for layer in ran.layers
        for top, array in zip(layer.tops, layer.activations, strict=True)
    }
    for blob, expected in outputs.items():
        assert np.abs(last[blob] - expected).max() <= 1e-5 * np.abs(expected).max()
    theirs = {layer.name: layer for layer in read.layers}
    for layer in ran.layers:
        if layer.type == "Split":
            continue
        twin = theirs.pop(layer.name)
        assert (twin.type, twin.owners) == (layer.type, layer.owners)
        for one, other in zip(layer.params, twin.params, strict=True):
            assert one.shape == other.shape
            assert np.array_equal(one.view("u4"), other.view("u4"))
    assert not theirs
    walked = [layer["name"] for layer in json.loads((folder / "truth.json").read_text())["layers"]]
    assert [layer.name for layer in ran.layers] == walked
