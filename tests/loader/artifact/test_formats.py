"""Manifests that earlier versions wrote, kept as they were, and damaged ones.

formats/NUMBER.json: lenet_digits, converted by the first version that had the format, or by the last.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from decant.loader import activations, load
from decant.loader.artifact import bundle, formats
from decant.loader.artifact.manifest import FORMAT, Input, Manifest
from decant.loader.artifact.pictures import recorded_recipe
from decant.loader.artifact.records import ParityRecord
from decant.loader.definition.reading import Reading
from decant.loader.errors import IntegrityError
from decant.loader.parity.verdict import LayerParity, Parity, not_measured
from tests.helpers.artifacts import write_lenet

WRITTEN = Path(__file__).with_name("formats")
OLDER = ["1", "2-first", "2-last"]


def text(name: str) -> str:
    return (WRITTEN / f"{name}.json").read_text("utf-8")


def tree(name: str = "3") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text(name))
    return found


def read(found: dict[str, Any]) -> Manifest:
    return formats.manifest(json.dumps(found), "x/manifest.json")


@pytest.fixture(scope="module")
def lenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lenet(tmp_path_factory.mktemp("artifact") / "lenet_digits")


@pytest.fixture
def older(request: pytest.FixtureRequest, lenet: Path) -> Path:
    """The artifact with an earlier version's manifest: its model.py and weights are the same today."""
    (lenet / "manifest.json").write_text(text(request.param), "utf-8")
    digests = [
        f"{hashlib.sha256((lenet / name).read_bytes()).hexdigest()}  {name}\n"
        for name in bundle.REPRODUCIBLE
    ]
    (lenet / "SHA256SUMS").write_text("".join(digests))
    return lenet


def test_todays_manifest_has_the_bytes_that_it_had(lenet: Path) -> None:
    write_lenet(lenet)
    assert (lenet / "manifest.json").read_bytes() == (WRITTEN / "3.json").read_bytes()


@pytest.mark.parametrize("older", OLDER, indirect=True)
def test_an_artifact_of_an_older_format_is_verified_and_loaded(older: Path) -> None:
    manifest = bundle.verify(older)
    assert manifest.format < FORMAT
    assert manifest.inputs == (Input(blob="data", shape=(1, 1, 16, 16)),)
    assert (manifest.batch, manifest.tied, manifest.reading) == (None, {}, Reading())
    model, transform = load(older)
    x = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    assert transform(x).sub(x * 255 / 256).abs().max() < 1e-6
    assert activations(model, x)["ip2"].equal(model(x))
    recipe = recorded_recipe(manifest, older)
    assert recipe is not None and recipe.resize == (16, 16)


def test_a_generated_module_of_format_2_is_given_the_batch_that_it_was_written_for() -> None:
    found = tree("2-last") | {"module": {"name": "generated", "arguments": {}}}
    assert read(found).batch == 1


def test_what_an_older_format_did_not_record_is_named() -> None:
    for name in ("1", "2-first"):
        with pytest.raises(IntegrityError, match=rf"format {name[0]}.*`net`; convert it again"):
            read(tree(name)).require("net")
    read(tree("2-last")).require("net", "outputs")


def test_a_newer_format_and_a_word_of_a_later_version() -> None:
    with pytest.raises(
        IntegrityError, match=f"format 4, and this version of Decant reads 1 to {FORMAT}"
    ):
        read(tree() | {"format": 4})
    read(tree() | {"word": 1})


def test_what_is_read_is_written_again() -> None:
    reading = {"crop": "aligned", "stages": ["a"], "rpn": {"post_nms_top_n": 100}}
    published = {"top1": 1.5, "protocol": "x", "source": "y", "comparable": False}
    more = {
        "reading": reading,
        "accuracy": [published],
        "labels": {"source": {"urls": ["file:x"], "sha1": "0" * 40}},
        "preprocessing": {**tree()["preprocessing"], "mean_image": "mean.npy"},
    }
    found = tree() | more
    assert read(found).to_json() == found


@pytest.mark.parametrize(
    ("keys", "value", "said"),
    [
        (("net", 1, "type"), None, "net: 1: type: expected a valid string, got None"),
        (("net", 0, "shapes"), [], "net: 0: 1 tops and 0 shapes"),
        (("inputs", 0, "shape", 1), "1", "inputs: 0: shape: 1: expected a valid integer, got '1'"),
        (("caffe", "net"), ..., "caffe: net: missing"),
        (("batch",), 1.5, "batch: expected a valid integer, got 1.5"),
        (("tensors",), {}, "tensors: expected a list"),
        (("tensors", 0, "key"), "other", "tensors: parameter 'conv1.bias' is missing"),
        (("reading",), {"crop": "x"}, "reading: crop is 'x': one of stock, aligned"),
        (("reading",), [], "reading: an object is expected"),
        (("format",), ..., "format: missing"),
        (("format",), "3", "format: expected a number from 1, got '3'"),
    ],
)
def test_a_damaged_manifest_names_its_key(keys: tuple[Any, ...], value: object, said: str) -> None:
    found = tree()
    at: Any = found
    for key in keys[:-1]:
        at = at[key]
    if value is ...:
        del at[keys[-1]]
    else:
        at[keys[-1]] = value
    with pytest.raises(IntegrityError) as caught:
        read(found)
    assert caught.value.code == 6
    assert caught.value.message.startswith(f"x/manifest.json: {said}")
    assert caught.value.message.endswith("; convert it again")


def test_every_wrong_key_is_named_at_once() -> None:
    found = {key: value for key, value in tree().items() if key not in ("name", "layers", "files")}
    with pytest.raises(IntegrityError) as caught:
        read(found)
    assert len(caught.value.details) == 2


@pytest.mark.parametrize("damaged", ["", "[]", "{", "[" * 100_000, '{"format": NaN}'])
def test_what_is_no_manifest_at_all(damaged: str) -> None:
    with pytest.raises(IntegrityError, match=r"x/manifest\.json: .*convert it again"):
        formats.manifest(damaged, "x/manifest.json")


def test_a_record_of_parity_of_the_first_version(tmp_path: Path) -> None:
    top = {"bound": 1e-5, "caffe_float64": 1e-8, "cosine": 1.0, "error": None, "layer": "a",
           "max_abs": 0.0, "reason": "", "relative_l2": 0.0, "torch_float64": 0.0, "type": "ReLU",
           "verdict": "passed"}  # fmt: skip
    (tmp_path / "parity.json").write_text(json.dumps({"status": "passed", "layers": [top]}))
    found = bundle.read_parity(tmp_path)
    assert isinstance(found, ParityRecord) and found.layers[0].isolated is None
    (tmp_path / "parity.json").write_text('{"layers": [{"layer": 1}]}')
    with pytest.raises(IntegrityError, match=r"parity\.json: status: missing") as caught:
        bundle.read_parity(tmp_path)
    assert any("layers: 0: layer" in line for line in caught.value.details)
    assert bundle.read_build(tmp_path) is None


def test_a_record_of_parity_is_read_as_it_was_found(tmp_path: Path) -> None:
    """Not by ==: what was not computed is NaN."""
    found = Parity(
        "failed",
        device="cpu",
        layers=[
            LayerParity("a", "ReLU", "passed", "a", error=1e-7, isolated=0.0, cosine=1.0),
            LayerParity("b", "Softmax", "failed", "b", error=math.inf, reason="inf in one only"),
        ],
    )
    for each in (found, not_measured("--no-parity")):
        (tmp_path / "parity.json").write_text(json.dumps(each.to_json()))
        record = bundle.read_parity(tmp_path)
        assert record is not None
        again = record.parity()
        assert again.to_json() == each.to_json()
        assert all(math.isnan(layer.max_abs) for layer in again.layers)
