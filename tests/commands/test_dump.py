"""`dump`: stage 1 alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.test_cli import run, trained_with_a_mean_image

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow


ROOT = Path(__file__).resolve().parents[2]


MODEL = ROOT / "models/lenet_digits"


def test_a_net_by_its_files_dumps_without_torch(tmp_path: Path) -> None:
    words = [
        "--prototxt",
        str(MODEL / "deploy.prototxt"),
        "--caffemodel",
        str(MODEL / "lenet_digits.caffemodel"),
    ]
    code = (
        "import sys, pipeline\ntry:\n pipeline.main(sys.argv[1:])\n"
        "except SystemExit as end:\n assert not end.code\nassert 'torch' not in sys.modules"
    )
    command = [
        sys.executable,
        "-c",
        code,
        "dump",
        *words,
        "--engine",
        "reader",
        "--out",
        str(tmp_path / "d.npz"),
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    found = json.loads(run("inspect", "d.npz", "--json", cwd=tmp_path).stdout)
    assert found["parameters"] == 38282


def test_a_dump_finds_the_mean_file_beside_it(tmp_path: Path) -> None:
    """It says how large the pictures are, and goes into the artifact."""
    run("dump", *trained_with_a_mean_image(tmp_path), "--out", "net.h5", cwd=tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    run("load", "../net.h5", cwd=elsewhere)
    manifest = json.loads((elsewhere / "artifacts/net/manifest.json").read_text())
    assert manifest["inputs"] == [{"blob": "data", "shape": [1, 3, 10, 12]}]
    assert (elsewhere / "artifacts/net/mean.npy").is_file()
    (tmp_path / "mean.binaryproto").unlink()
    done = run("load", "../net.h5", "--input", "data=1,3,10,12", cwd=elsewhere)
    assert "is not at hand" in done.stderr
