"""`inspect` as a person and as a program meet it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from decant.loader import listing
from decant.loader.errors import BadInput
from tests.commands.test_cli import MODEL, run
from tests.commands.test_convert import NET
from tests.helpers.nets import layer

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow


def test_a_training_definition_is_inspected_as_it_is_converted(tmp_path: Path) -> None:
    data = 'layer { name: "d" type: "Data" top: "data" top: "label" transform_param { crop_size: 8 mean_value: 1 mean_value: 2 mean_value: 3 } }\n'
    loss = layer("loss", "SoftmaxWithLoss", ["fc", "label"], ["loss"])
    text = data + NET.split("\n", 1)[1].replace(layer("prob", "Softmax", ["fc"], ["prob"]), loss)
    (tmp_path / "net.prototxt").write_text(text)
    found = json.loads(run("inspect", "net.prototxt", "--json", cwd=tmp_path).stdout)
    assert found["parameters"] == 4 * 3 * 9 + 4 + 3 * 4 * 36 + 3
    assert "d: Data became an input (data)" in found["notes"]


def test_a_model_of_the_catalog_is_inspected_by_its_name(tmp_path: Path) -> None:
    done = run("inspect", "lenet_digits", cwd=tmp_path)
    assert "prototxt" in done.stdout.splitlines()[0] and "conv1" in done.stdout
    run("inspect", "lenet_digts", cwd=tmp_path, code=3)
    (tmp_path / "own.yaml").write_text("models: {}\n")
    run("inspect", "lenet_digits", "--catalog", "own.yaml", cwd=tmp_path, code=3)
    done = run("doctor", "--catalog", "own.yaml", "--json", cwd=tmp_path)
    found = {item["what"]: item for item in json.loads(done.stdout)["findings"]}
    assert found["catalog"]["fine"] and "0 models" in found["catalog"]["text"]


def test_the_command_shows_all_four_kinds(tmp_path: Path) -> None:
    run("convert", "--engine", "reader", cwd=tmp_path)
    files = [
        MODEL / "deploy.prototxt",
        MODEL / "lenet_digits.caffemodel",
        MODEL / "reference.h5",
        tmp_path / "artifacts/lenet_digits",
    ]
    found = [json.loads(run("inspect", str(file), "--json", cwd=tmp_path).stdout) for file in files]
    assert [item["kind"].split()[0] for item in found] == [
        "prototxt",
        "caffemodel",
        "dump",
        "artifact",
    ]
    assert {item["parameters"] for item in found} == {38_282}
    # the file holds the net that was trained, 64 pictures at a time
    assert [item["macs"] for item in found] == [365_184, 64 * 365_184, 365_184, 365_184]
    text = run("inspect", str(files[0]), cwd=tmp_path).stdout
    assert "(16, 1, 3, 3) (16)" in text
    assert "38,282" in text
    with pytest.raises(BadInput, match="no such file"):
        listing.read(tmp_path / "none")
