"""`classify`: the right class for a digit, alone and beside real Caffe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands.test_cli import MODEL, run
from tests.commands.test_generated import write

DIGITS = [
    str(MODEL / f"validation/{digit}/{name}") for digit, name in ((3, "0003.png"), (0, "0020.png"))
]


def test_digits_are_recognised(tmp_path: Path) -> None:
    run("convert", "--engine", "reader", cwd=tmp_path)
    found = json.loads(run("classify", "lenet_digits", *DIGITS, "--json", cwd=tmp_path).stdout)[
        "pictures"
    ]
    assert [row["top"][0]["label"] for row in found] == ["3", "0"]
    assert all(len(row["top"]) == 5 for row in found)
    assert all(abs(sum(item["probability"] for item in row["top"]) - 1) < 0.05 for row in found)
    text = run("classify", "lenet_digits", DIGITS[0], cwd=tmp_path).stdout
    assert text.splitlines()[2].split()[:2] == ["1", "3"]
    (tmp_path / "own.txt").write_text("\n".join(f"digit {n}" for n in range(10)))
    text = run("classify", "lenet_digits", DIGITS[0], "--labels", "own.txt", cwd=tmp_path).stdout
    assert "digit 3" in text


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (["none", "x.png"], 10, "make convert"),
        (["lenet_digits", "none.png"], 3, "not a picture"),
        (["lenet_digits", DIGITS[0], "--oversample"], 2, "whole pictures"),
        (["lenet_digits", DIGITS[0], "--mean", "blue"], 2, "--mean"),
    ],
)
def test_what_cannot_be_classified(
    words: list[str], code: int, reason: str, tmp_path: Path
) -> None:
    run("convert", "--engine", "reader", cwd=tmp_path)
    assert reason in run("classify", *words, cwd=tmp_path, code=code).stderr.splitlines()[-1]


def test_a_net_in_no_catalog_is_asked_how(tmp_path: Path) -> None:
    run("convert", *write(tmp_path), cwd=tmp_path)
    done = run("classify", "net", DIGITS[0], cwd=tmp_path, code=2)
    assert "--mean" in done.stderr.splitlines()[-1]
    run("classify", "net", DIGITS[0], "--mean", "0", cwd=tmp_path)


@pytest.mark.container
def test_real_caffe_stands_beside(tmp_path: Path) -> None:
    import os

    from engines.connection import connect
    from loader.errors import EngineError

    try:
        connect().close()
    except EngineError as error:
        if os.environ.get("DECANT_REQUIRE_CONTAINER") == "1":
            raise
        pytest.skip(error.message)
    run("convert", "--engine", "reader", cwd=tmp_path)
    found = json.loads(
        run("classify", "lenet_digits", *DIGITS, "--engine", "caffe", "--json", cwd=tmp_path).stdout
    )
    for row in found["pictures"]:
        assert row["caffe_top"] == row["top"][0]["label"]
        assert all(abs(item["probability"] - item["caffe"]) < 1e-5 for item in row["top"])
    write(tmp_path)
    run(
        "convert",
        "--prototxt",
        "net.prototxt",
        "--caffemodel",
        "net.caffemodel",
        "--engine",
        "reader",
        cwd=tmp_path,
    )
    words = ("classify", "net", DIGITS[0], "--mean", "0", "--engine", "caffe", "--json")
    (row,) = json.loads(run(*words, cwd=tmp_path).stdout)["pictures"]
    assert all(abs(item["probability"] - item["caffe"]) < 1e-5 for item in row["top"])
