"""`classify`: the right class for a digit, alone and beside real Caffe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands.test_cli import MODEL, run
from tests.commands.test_convert import write

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow

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

    from decant.engines.docker.connection import connect
    from decant.loader.errors import EngineError

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


def small(end: str = "") -> str:
    from tests.helpers.nets import inputs_text, layer

    text = inputs_text({"data": (1, 1, 6, 6)})
    text += layer("fc", "InnerProduct", ["data"], ["fc"], "inner_product_param { num_output: 3 }")
    text += layer("prob", "Softmax", ["fc"], ["prob"])
    return text + (layer("end", end, ["prob"], ["end"]) if end else "")


def test_a_softmax_is_never_taken_twice(tmp_path: Path) -> None:
    answers = []
    for end in ("", "Flatten"):
        run("convert", *write(tmp_path, small(end)), "--no-report", cwd=tmp_path)
        done = run("classify", "net", DIGITS[0], "--mean", "0", "--json", cwd=tmp_path)
        answers.append([x["probability"] for x in json.loads(done.stdout)["pictures"][0]["top"]])
    assert answers[0] == pytest.approx(answers[1], abs=1e-6)


def test_a_map_of_answers_is_no_list_of_classes(tmp_path: Path) -> None:
    from tests.helpers.nets import inputs_text, layer

    conv = "convolution_param { num_output: 4 kernel_size: 3 }"
    text = inputs_text({"data": (1, 1, 6, 6)}) + layer("c", "Convolution", ["data"], ["c"], conv)
    run("convert", *write(tmp_path, text), "--no-report", cwd=tmp_path)
    done = run("classify", "net", DIGITS[0], "--mean", "0", cwd=tmp_path, code=2)
    assert "no classifier" in done.stderr.splitlines()[-1]


def test_a_picture_of_16_bits_keeps_its_greys(tmp_path: Path) -> None:
    import numpy as np
    from PIL import Image

    from decant.loader.pictures.recipe import Recipe, read_picture

    grey = (np.arange(256, dtype=np.uint16).reshape(16, 16)) * 257
    Image.fromarray(grey).save(tmp_path / "16.png")
    Image.fromarray((grey // 257).astype(np.uint8)).save(tmp_path / "8.png")
    recipe = Recipe("gray", (0.0,), 1.0, (16, 16))
    found = [read_picture(tmp_path / f"{bits}.png", recipe) for bits in (16, 8)]
    assert found[0].max() == 1 and np.array_equal(*found)


def test_a_nameless_class_keeps_the_others_places(tmp_path: Path) -> None:
    from decant.loader.pictures.labels import read

    (tmp_path / "names.txt").write_bytes(b"\xef\xbb\xbfa\r\n\r\nb\nc\n\n")
    assert read(tmp_path / "names.txt") == ["a", "", "b", "c"]


@pytest.mark.parametrize("words", [["--engine", "foo"], ["--mean", "nan"]])
def test_odd_options_are_refused(words: list[str], tmp_path: Path) -> None:
    run("convert", "--engine", "reader", "--no-report", cwd=tmp_path)
    run("classify", "lenet_digits", DIGITS[0], *words, cwd=tmp_path, code=2)


FIXED = "reshape_param { shape { dim: 5 dim: -1 } }"


def fixed_batch(rest: str = "") -> str:
    """Five pictures, no more and no fewer."""
    from tests.helpers.nets import inputs_text, layer

    fc = "inner_product_param { num_output: 10 }"
    text = inputs_text({"data": (5, 1, 12, 12)}) + layer("r", "Reshape", ["data"], ["r"], FIXED)
    return text + layer("fc", "InnerProduct", ["r"], ["fc"], fc) + rest


def test_a_fixed_batch_classifies_any_number(tmp_path: Path) -> None:
    run("convert", *write(tmp_path, fixed_batch()), "--no-report", cwd=tmp_path)
    words = ("--mean", "0", "--json")
    pictures = [*DIGITS, *DIGITS, *DIGITS]
    together = json.loads(run("classify", "net", *pictures, *words, cwd=tmp_path).stdout)
    alone = json.loads(run("classify", "net", DIGITS[1], *words, cwd=tmp_path).stdout)
    (row,) = alone["pictures"]
    assert len(together["pictures"]) == 6
    for found, want in zip(together["pictures"][5]["top"], row["top"], strict=True):
        assert found["class"] == want["class"]
        assert found["probability"] == pytest.approx(want["probability"], abs=1e-6)


def test_fewer_answers_than_pictures_are_no_classes(tmp_path: Path) -> None:
    from tests.helpers.nets import layer

    halves = layer("s", "Slice", ["fc"], ["x", "y"], "slice_param { axis: 0 slice_point: 2 }")
    rest = halves + layer("end", "Silence", ["y"], []) + layer("p", "Softmax", ["x"], ["p"])
    run("convert", *write(tmp_path, fixed_batch(rest)), "--no-report", cwd=tmp_path)
    done = run("classify", "net", *DIGITS, "--mean", "0", cwd=tmp_path, code=2)
    assert "it answers 5 with 2 x 10" in done.stderr.splitlines()[-1]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF", "JPEG"])
def test_a_damaged_picture_is_named(kind: str, tmp_path: Path) -> None:
    import random

    from PIL import Image

    from decant.loader.errors import BadInput
    from decant.loader.pictures.recipe import Recipe, read_picture

    recipe = Recipe("gray", (0.0,), 1.0, (16, 16))
    path = tmp_path / f"x.{kind.lower()}"
    Image.new("L", (40, 40), 7).save(path, kind)
    whole, generator = path.read_bytes(), random.Random(0)
    refused = 0
    for _ in range(200):
        damaged = bytearray(whole[: generator.randrange(4, len(whole) + 1)])
        for _ in range(3):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        path.write_bytes(bytes(damaged))
        try:
            read_picture(path, recipe)
        except BadInput as error:
            assert str(path) in error.message
            refused += 1
    assert refused > 20


def test_a_labels_file_of_another_length_is_refused(tmp_path: Path) -> None:
    run("convert", "--engine", "reader", "--no-report", cwd=tmp_path)
    (tmp_path / "names.txt").write_text("a\nb\n")
    words = ("classify", "lenet_digits", DIGITS[0], "--labels", "names.txt")
    assert "2 names for 10 classes" in run(*words, cwd=tmp_path, code=2).stderr
