"""An artifact's folder: whole or not there, found out where it was changed, the same bytes again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from decant.loader.artifact import bundle
from decant.loader.artifact.manifest import Description
from decant.loader.errors import ArtifactMissing, IntegrityError, UsageError
from tests.helpers.artifacts import manifest, tensors

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]


def write(folder: Path, **changes: object) -> Path:
    values: dict[str, object] = {
        "tensors": tensors(),
        "source": "x = 1\n",
        "manifest": Description(**dict(manifest(name="x"))),
        "build": {"when": "now"},
        "parity": {"status": "not measured", "reason": "test"},
    }
    bundle.write(folder, **{**values, **changes})  # type: ignore[arg-type]
    return folder


def test_an_artifact_is_whole_or_not_there(tmp_path: Path) -> None:
    folder = write(tmp_path / "x")
    before = (folder / "SHA256SUMS").read_text()
    with pytest.raises(ValueError):
        write(folder, parity={"error": float("nan")})
    assert (folder / "SHA256SUMS").read_text() == before
    assert bundle.verify(folder).name == "x"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_folder_of_somebodys_files_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not an artifact"):
        write(tmp_path / "x")
    assert (tmp_path / "x" / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("file", ["model.safetensors", "model.py", "manifest.json", "SHA256SUMS"])
def test_a_changed_or_missing_file_is_found(file: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "x")
    data = bytearray((folder / file).read_bytes())
    data[-5] ^= 1
    (folder / file).write_bytes(data)
    with pytest.raises(IntegrityError):
        bundle.verify(folder)
    (folder / file).unlink()
    with pytest.raises((IntegrityError, ArtifactMissing)):
        bundle.verify(folder)


def test_a_foreign_file_is_found(tmp_path: Path) -> None:
    folder = write(tmp_path / "x")
    (folder / "extra.pkl").write_text("")
    with pytest.raises(IntegrityError, match=r"extra\.pkl"):
        bundle.verify(folder)


def test_the_bytes_repeat_whatever_the_surroundings(tmp_path: Path) -> None:
    sums = set()
    for number, (umask, zone) in enumerate((("022", "UTC"), ("077", "Asia/Tokyo"))):
        out = tmp_path / f"folder {number}"
        environment = {
            **os.environ,
            "TZ": zone,
            "PYTHONHASHSEED": str(number),
            "HOME": str(tmp_path),
        }
        command = f"umask {umask}; exec {sys.executable} {ROOT}/pipeline.py convert --engine reader --out '{out}'"
        subprocess.run(
            ["sh", "-c", command], env=environment, check=True, cwd=tmp_path, capture_output=True
        )
        sums.add((out / "lenet_digits" / "SHA256SUMS").read_text())
        mode = (out / "lenet_digits" / "model.safetensors").stat().st_mode & 0o777
        assert mode == 0o666 & ~int(umask, 8)
    assert len(sums) == 1
