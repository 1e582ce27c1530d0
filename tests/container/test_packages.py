"""Trained nets of other people's packages through real Caffe: parity holds, layer by layer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands.test_cli import run
from tests.helpers.packages import TRAINED, files

RUN = [name for name, net in TRAINED.items() if net.caffe]


@pytest.mark.parametrize("name", RUN)
def test_a_packages_net_passes_parity(name: str, tmp_path: Path) -> None:
    prototxt, caffemodel = files(name, tmp_path)
    run(
        "convert", "--engine", "caffe", "--no-report", "--name", name,
        "--prototxt", str(prototxt), "--caffemodel", str(caffemodel), cwd=tmp_path,
    )  # fmt: skip
    parity = json.loads((tmp_path / "artifacts" / name / "parity.json").read_text())
    assert parity["status"] == "passed"
