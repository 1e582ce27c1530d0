"""What `make` gives to the shell is what the user gave to make."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = [".venv/bin/python", "pipeline.py"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed"),
]


def told(*words: str) -> list[str]:
    """The command that make would run."""
    made = ["make", "--dry-run", "--no-print-directory", "--assume-old=.venv/.ready", *words]
    # `make test` hands its own words on in the environment
    env = {"PATH": os.environ["PATH"], "NAME": "host", "HOME": "/home/me"}
    done = subprocess.run(made, cwd=ROOT, env=env, text=True, capture_output=True, check=True)
    return shlex.split(done.stdout.splitlines()[-1])


def test_names_with_spaces_and_quotes_stay_one_word() -> None:
    files = ["PROTOTXT=a b/net.prototxt", "CAFFEMODEL=it's; a.caffemodel", "NAME=my net", "OUT=o p"]
    assert told("convert", *files, "ENGINE=reader", "ARGS=--json --no-report") == [
        *PROGRAM, "convert", "--prototxt", "a b/net.prototxt", "--caffemodel", "it's; a.caffemodel",
        "--name", "my net", "--engine", "reader", "--out", "o p", "--json", "--no-report",
    ]  # fmt: skip
    words = ["MODEL=my net", "DATA=my pictures"]
    assert told("validate", *words)[2:] == ["validate", "my net", "--data", "my pictures"]
    assert told("image", "BASE=a b")[2:] == ["image", "--base", "a b"]


def test_the_home_folder_is_still_known() -> None:
    words = told("convert", "PROTOTXT=~/my nets/a.prototxt", "OUT=a  b")
    assert words[3:] == ["--prototxt", "/home/me/my nets/a.prototxt", "--out", "a  b"]


def test_what_is_not_given_is_not_there() -> None:
    for target in ("convert", "validate", "artifacts", "image", "doctor"):
        assert told(target) == [*PROGRAM, target]
    assert told("convert", "MODEL=googlenet_bvlc", "GPU=1")[2:] == [
        "convert",
        "googlenet_bvlc",
        "--gpu",
    ]
