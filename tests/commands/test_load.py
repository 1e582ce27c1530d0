"""`load`: stage 2 alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.test_cli import run

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow


ROOT = Path(__file__).resolve().parents[2]


MODEL = ROOT / "models/lenet_digits"


def test_load_makes_the_same_artifact_from_a_dump(tmp_path: Path) -> None:
    run("convert", "--engine", "reader", "--out", "one", cwd=tmp_path)
    run(
        "load", str(MODEL / "reference.h5"), "--model", "lenet_digits", "--out", "two", cwd=tmp_path
    )
    one, two = (tmp_path / name / "lenet_digits/SHA256SUMS" for name in ("one", "two"))
    assert one.read_text() == two.read_text()


def test_loading_what_is_not_there_names_the_command(tmp_path: Path) -> None:
    code = "from decant.loader import load; load('googlenet_bvlc')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, text=True, capture_output=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert "make convert MODEL=googlenet_bvlc" in done.stderr
