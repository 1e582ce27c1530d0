"""build.json and parity.json, of this version and of the first."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from decant.loader.artifact import bundle
from decant.loader.artifact.records import ParityRecord
from decant.loader.errors import IntegrityError
from decant.loader.parity.verdict import LayerParity, Parity, not_measured


def test_a_record_of_parity_of_the_first_version(tmp_path: Path) -> None:
    top = {"bound": 1e-5, "caffe_float64": 1e-8, "cosine": 1.0, "error": None, "layer": "a",
           "max_abs": 0.0, "reason": "", "relative_l2": 0.0, "torch_float64": 0.0, "type": "ReLU",
           "verdict": "passed"}  # fmt: skip
    (tmp_path / "parity.json").write_text(json.dumps({"status": "passed", "layers": [top]}))
    found = bundle.read_parity(tmp_path)
    assert isinstance(found, ParityRecord) and found.layers[0].isolated is None
    (tmp_path / "parity.json").write_text('{"layers": [{"layer": 1}]}')
    with pytest.raises(IntegrityError, match=r"parity\.json: status: missing") as caught:
        bundle.read_parity(tmp_path)
    assert any("layers: 0: layer" in line for line in caught.value.details)
    assert bundle.read_build(tmp_path) is None


def test_a_record_of_parity_is_read_as_it_was_found(tmp_path: Path) -> None:
    """Not by ==: what was not computed is NaN."""
    found = Parity(
        "failed",
        device="cpu",
        layers=[
            LayerParity("a", "ReLU", "passed", "a", error=1e-7, isolated=0.0, cosine=1.0),
            LayerParity("b", "Softmax", "failed", "b", error=math.inf, reason="inf in one only"),
        ],
    )
    for each in (found, not_measured("--no-parity")):
        (tmp_path / "parity.json").write_text(json.dumps(each.to_json()))
        record = bundle.read_parity(tmp_path)
        assert record is not None
        again = record.parity()
        assert again.to_json() == each.to_json()
        assert all(math.isnan(layer.max_abs) for layer in again.layers)
