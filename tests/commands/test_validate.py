"""`validate` on folders of pictures: worker processes, torchrun, the table by class, progress."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "models/lenet_digits/validation"
ALONE = (str(ROOT / "pipeline.py"),)
TWO = ("-m", "torch.distributed.run", "--nproc-per-node=2", *ALONE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with lenet_digits in artifacts/."""
    place = tmp_path_factory.mktemp("validate")
    run("convert", "--engine", "reader", "--no-report", cwd=place)
    return place


def run(*words: str, cwd: Path, how: tuple[str, ...] = ALONE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *how, *words], cwd=cwd, text=True, capture_output=True, check=False
    )


def validated(*words: str, cwd: Path, how: tuple[str, ...] = ALONE) -> dict[str, Any]:
    done = run("validate", "lenet_digits", "--per-class", "--json", *words, cwd=cwd, how=how)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["artifacts"]
    return dict(found)


def test_workers_and_two_processes_give_the_numbers_of_one(folder: Path) -> None:
    alone = validated("--workers", "0", cwd=folder)
    assert alone["accuracy"]["pictures"] == 360
    assert validated("--workers", "2", cwd=folder) == alone

    two = validated("--workers", "1", cwd=folder, how=TWO)
    assert two["per_class"] == alone["per_class"]
    loss, loss_of_two = alone["accuracy"].pop("loss"), two["accuracy"].pop("loss")
    assert two["accuracy"] == alone["accuracy"]
    assert loss_of_two == pytest.approx(loss, rel=1e-6)


def test_the_table_by_class_adds_up(folder: Path) -> None:
    found = validated("--limit", "100", cwd=folder)
    rows, whole = found["per_class"], found["accuracy"]
    counts = [len(list((PICTURES / str(row["class"])).iterdir())) for row in rows[:-1]]
    assert [row["pictures"] for row in rows[:-1]] == counts
    assert sum(row["pictures"] for row in rows) == whole["pictures"] == 100
    for name in ("top1", "top5"):
        hits = sum(row["pictures"] * row[name] for row in rows) / 100
        assert hits == pytest.approx(whole[name])
    assert [row["name"] for row in rows] == [str(row["class"]) for row in rows]

    lines = run("validate", "lenet_digits", "--per-class", cwd=folder).stdout.splitlines()
    start = lines.index("by class, in per cent")
    assert lines[start + 1].split() == ["class", "name", "pictures", "top-1", "top-5"]
    assert sum(int(line.split()[2]) for line in lines[start + 2 : start + 12]) == 360


@pytest.mark.parametrize("how", [ALONE, TWO], ids=["alone", "torchrun"])
def test_an_unreadable_picture_is_one_line_with_its_name(
    folder: Path, tmp_path: Path, how: tuple[str, ...]
) -> None:
    shutil.copytree(PICTURES, tmp_path / "p")
    (tmp_path / "p/5/broken.png").write_text("no picture")
    words = ("validate", "lenet_digits", "--data", str(tmp_path / "p"), "--workers", "2")
    done = run(*words, cwd=folder, how=how)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "p/5/broken.png: not a picture that Pillow can read" in errors[0]
    if how is ALONE:
        assert done.returncode == 3
        assert "Traceback" not in done.stderr
    else:  # torchrun ends in 1 and says which codes its processes ended in
        assert re.findall(r"exitcode +: (\d+)", done.stderr) == ["3", "3"]


def test_both_processes_end_in_6_where_an_artifact_was_changed(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder / "artifacts", tmp_path / "artifacts")
    weights = tmp_path / "artifacts/lenet_digits/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    done = run("validate", cwd=tmp_path, how=TWO)
    assert done.stderr.count("error: ") == 1
    assert re.findall(r"exitcode +: (\d+)", done.stderr) == ["6", "6"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(
    "number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_workers_end_with_the_command(
    folder: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """Ctrl-C reaches the whole process group; the other signals only the command."""
    one = next((PICTURES / "0").iterdir())
    (tmp_path / one.name).write_bytes(one.read_bytes())
    (tmp_path / "val.txt").write_text(f"{one.name} 0\n" * 200_000)
    words = ["validate", "lenet_digits", "--data", str(tmp_path), "--workers", "2"]
    with subprocess.Popen(
        [sys.executable, *ALONE, *words],
        cwd=folder, text=True, stderr=subprocess.PIPE, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        assert process.stderr.readline() == "pictures\n"
        time.sleep(1)
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        # the workers hold stderr open, too: this waits for them
        _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert len(errors.splitlines()) == (0 if number == signal.SIGKILL else 1), errors


def test_an_unknown_engine_is_refused(folder: Path) -> None:
    done = run("validate", "lenet_digits", "--engine", "foo", cwd=folder)
    assert done.returncode == 2 and "--engine 'foo'" in done.stderr


def test_gpu_container_refuses_what_it_does_not_hand_on(folder: Path) -> None:
    done = run("validate", "lenet_digits", "--gpu", "--per-class", cwd=folder)
    assert done.returncode == 2
    assert "use --device cuda" in done.stderr
