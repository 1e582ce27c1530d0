"""Manifests that earlier versions wrote, kept as they were, and damaged ones.

formats/NUMBER.json: lenet_digits, converted by the first version that had the format, or by the last.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from decant.loader import activations, load
from decant.loader.artifact import bundle
from decant.loader.artifact.manifest import FORMAT, Input
from decant.loader.artifact.pictures import recorded_recipe
from decant.loader.definition.reading import Reading
from decant.loader.errors import IntegrityError
from tests.helpers.artifacts import write_lenet
from tests.helpers.formats import WRITTEN, read, text, tree

OLDER = ["1", "2-first", "2-last"]


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
