"""Real Caffe beside the artifact: the same files, the same pictures, the same answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from decant.loader.definition.graph import read_net
from tests.commands.test_cli import MODEL, run
from tests.commands.test_convert import write
from tests.helpers.nets import inputs_text, layer
from tests.helpers.random_weights import random_blobs, write_caffemodel

HEAD = (
    'layer { name: "data" type: "Data" top: "data" top: "label" data_param { source: "db" batch_size: 5 } '
    "transform_param { crop_size: 12 mean_value: 100 scale: 0.0078125 mirror: true } }\n"
)
# the batch stands in the definition: no other number of pictures goes through
BODY = (
    layer("conv", "Convolution", ["data"], ["conv"], "convolution_param { num_output: 6 kernel_size: 3 }")
    + layer("relu", "ReLU", ["conv"], ["conv"])
    + layer("flat", "Reshape", ["conv"], ["flat"], "reshape_param { shape { dim: 5 dim: -1 } }")
    + layer("fc", "InnerProduct", ["flat"], ["fc"], "inner_product_param { num_output: 10 }")
)  # fmt: skip
LOSS = layer("loss", "SoftmaxWithLoss", ["fc", "label"], ["loss"])
DIGITS = sorted(map(str, (MODEL / "validation").rglob("*.png")))[::53][:7]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """artifacts/net, made of a training definition with a fixed batch of five."""
    place = tmp_path_factory.mktemp("beside")
    files = write(place, inputs_text({"data": (5, 1, 12, 12)}) + BODY)
    run("convert", *files, "--name", "deploy", "--no-report", cwd=place)
    (place / "net.prototxt").write_bytes(
        b"# by Ren\xe9, in Latin-1\n" + (HEAD + BODY + LOSS).encode()
    )
    run("convert", *files, "--no-report", cwd=place)
    return place


def classified(cwd: Path, *words: str) -> list[dict[str, Any]]:
    done = run("classify", *words, "--engine", "caffe", "--json", cwd=cwd)
    return list(json.loads(done.stdout)["pictures"])


def test_a_fixed_batch_is_filled_up(folder: Path) -> None:
    rows = classified(folder, "net", *DIGITS)
    assert len(rows) == len(DIGITS)
    for row in rows:
        assert all(abs(item["probability"] - item["caffe"]) < 1e-5 for item in row["top"])
    (alone,) = classified(folder, "net", DIGITS[-1])
    expected = [(item["class"], pytest.approx(item["caffe"], abs=1e-6)) for item in rows[-1]["top"]]
    assert [(item["class"], item["caffe"]) for item in alone["top"]] == expected


def test_validate_asks_caffe_about_a_net_in_no_catalog(folder: Path) -> None:
    pictures = str(MODEL / "validation")
    words = ("validate", "net", "--data", pictures, "--limit", "13", "--engine", "caffe", "--json")
    (found,) = json.loads(run(*words, cwd=folder).stdout)["artifacts"]
    assert found["accuracy"]["pictures"] == found["caffe_top1_agrees"] == 13
    assert 0 < found["accuracy"]["loss"] < 20


def test_caffe_dumps_a_definition_with_a_comment_in_latin_1(folder: Path, tmp_path: Path) -> None:
    files = [str(folder / name) for name in ("net.prototxt", "net.caffemodel")]
    words = ["--prototxt", files[0], "--caffemodel", files[1], "--input", "data=5,1,12,12"]
    run("dump", *words, "--engine", "caffe", "--out", "net.h5", cwd=tmp_path)
    done = run("compare", str(folder / "artifacts/net"), "net.h5", cwd=tmp_path)
    assert "agree" in done.stdout


def test_weights_of_ones_own_are_those_that_caffe_gets(tmp_path: Path) -> None:
    """A catalog model with --caffemodel: Caffe must not be given the catalog's."""
    net = read_net(MODEL / "deploy.prototxt")
    write_caffemodel(tmp_path / "own.caffemodel", net, random_blobs(net))
    own = ("--caffemodel", "own.caffemodel", "--engine", "reader", "--no-report")
    run("convert", "lenet_digits", *own, cwd=tmp_path)
    for row in classified(tmp_path, "lenet_digits", *DIGITS[:2]):
        assert all(abs(item["probability"] - item["caffe"]) < 1e-5 for item in row["top"])
    (tmp_path / "own.caffemodel").write_bytes(b"")
    words = ("classify", "lenet_digits", DIGITS[0], "--engine", "caffe")
    assert "convert it again" in run(*words, cwd=tmp_path, code=2).stderr
