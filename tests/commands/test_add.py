"""`add`: from files or addresses to an entry that `convert` takes; a failure changes nothing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from decant.loader.catalog.models import load_catalog
from decant.loader.definition.graph import net_from_text
from tests.commands.test_cli import MODEL, ROOT, run
from tests.commands.test_convert import CONV, FC, NET, RELU, write
from tests.helpers import encode_caffemodel as encode
from tests.helpers import faulty_server as serve
from tests.helpers.faulty_server import Server
from tests.helpers.nets import inputs_text, layer
from tests.helpers.random_weights import random_blobs, write_caffemodel

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow

FILES = ["--prototxt", "net.prototxt", "--caffemodel", "net.caffemodel"]
# comments, odd spaces and another indent are the owner's
OLD = "# ours\nmodels:   # all of them\n\n    lenet: {module: generated, prototxt: {file: a}, caffemodel: {file: b}, licence: x, citation: 'y'}\n    # the end"
HEAD = 'layer { name: "data" type: "Data" top: "data" top: "label" transform_param { scale: 0.5 crop_size: 8 %s } data_param { source: "db" } }\n'
TRAINING = HEAD + CONV + RELU + FC + layer("loss", "SoftmaxWithLoss", ["fc", "label"], ["loss"])
PAGE = b"<!DOCTYPE html>\n<html><body>Sign in</body></html>"


def addresses(server: Server, folder: Path) -> list[str]:
    """The words for `net.prototxt` and `net.caffemodel`, served."""
    return [
        word
        for what in ("prototxt", "caffemodel")
        for word in (
            f"--{what}",
            server.on(f"/net.{what}", serve.file((folder / f"net.{what}").read_bytes())),
        )
    ]


def added(folder: Path, *words: str) -> dict[str, object]:
    """What `--json` tells."""
    found: dict[str, object] = json.loads(run("add", *words, "--json", cwd=folder).stdout)
    return found


# --- what should work --------------------------------------------------------------------------


def test_from_addresses_to_an_artifact(server: Server, tmp_path: Path) -> None:
    write(tmp_path)
    words = addresses(server, tmp_path)
    dead = server.on("/dead.caffemodel", serve.status(404))
    words = [*words[:2], "--caffemodel", dead, *words[2:]]
    done = run(
        "add", "mine", *words, "--catalog", "mine.yaml", "--mean", "104,117,123", cwd=tmp_path
    )
    assert "next: decant convert mine --catalog mine.yaml" in done.stdout
    assert "licence and citation not stated" in done.stderr
    model = load_catalog(tmp_path / "mine.yaml").model("mine")
    weights = (tmp_path / "net.caffemodel").read_bytes()
    assert model.caffemodel.urls == (dead, words[-1])
    assert model.caffemodel.size == len(weights)
    assert model.caffemodel.sha256 == hashlib.sha256(weights).hexdigest()
    assert model.input is not None and (model.input.blob, model.input.shape) == ("data", (3, 8, 8))
    assert model.preprocessing is not None and model.preprocessing.mean == (104, 117, 123)
    # nothing but the catalog, and the files are in the cache already
    assert not (tmp_path / "mine.lock.json").exists()
    shutil.move(tmp_path / "net.caffemodel", tmp_path / "elsewhere")
    run("convert", "mine", "--catalog", "mine.yaml", "--engine", "reader", cwd=tmp_path)
    assert server.times("/net.caffemodel") == server.times("/net.prototxt") == 1
    manifest = json.loads((tmp_path / "artifacts/mine/manifest.json").read_text())
    assert manifest["preprocessing"]["mean"] == [104, 117, 123]
    assert manifest["caffe"]["caffemodel_sha256"] == model.caffemodel.sha256


def test_from_files_below_the_catalog_and_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    write(tmp_path / "ours")
    (tmp_path / "ours" / "names.txt").write_text("attic\nbeach\ncave\n")
    words = ["--prototxt", "ours/net.prototxt", "--caffemodel", "file:ours/net.caffemodel"]
    words += ["--labels", "ours/names.txt", "--licence", "MIT", "--citation", 'a "b": é # c']
    added(tmp_path, "near", *words)
    (tmp_path / "lists").mkdir()
    added(tmp_path, "far", *words, "--catalog", "lists/far.yaml")
    near = load_catalog(tmp_path / "models.yaml").model("near")
    far = load_catalog(tmp_path / "lists/far.yaml").model("far")
    assert near.prototxt.file == "ours/net.prototxt"
    assert near.citation == 'a "b": é # c'
    assert near.labels is not None and near.labels.source is not None
    assert far.caffemodel.file == str(tmp_path.resolve() / "ours/net.caffemodel")
    run("convert", "near", "--catalog", "models.yaml", "--engine", "reader", cwd=tmp_path)
    run("convert", "far", "--catalog", "lists/far.yaml", "--engine", "reader", cwd=tmp_path)


def test_files_can_be_mirrors_of_addresses(server: Server, tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "net.caffemodel").rename(tmp_path / "a net#1.caffemodel")
    gone = server.on("/gone", serve.status(404))
    words = [*FILES[:2], "--caffemodel", gone, "--caffemodel", "a net#1.caffemodel"]
    added(tmp_path, "mine", *words)
    assert load_catalog(tmp_path / "models.yaml").model("mine").caffemodel.urls == (
        gone,
        "file:a%20net%231.caffemodel",
    )
    shutil.rmtree(os.environ["DECANT_CACHE"])
    run("convert", "mine", "--catalog", "models.yaml", "--engine", "reader", cwd=tmp_path)


def test_what_was_in_the_catalog_stays_byte_for_byte(tmp_path: Path) -> None:
    write(tmp_path)
    catalog = tmp_path / "ours.yaml"
    catalog.write_text(OLD)
    catalog.chmod(0o640)
    for name in ("one", "two"):
        before = catalog.read_text()
        added(tmp_path, name, *FILES, "--catalog", "ours.yaml")
        assert catalog.read_text().startswith(before)
    assert list(load_catalog(catalog).models) == ["lenet", "one", "two"]
    assert catalog.stat().st_mode & 0o777 == 0o640
    assert "\n    two:\n      module: generated\n" in catalog.read_text()


def test_the_projects_own_catalog_takes_an_entry(tmp_path: Path) -> None:
    shutil.copy(ROOT / "models.yaml", tmp_path)
    files = [
        "--prototxt",
        MODEL / "deploy.prototxt",
        "--caffemodel",
        MODEL / "lenet_digits.caffemodel",
    ]
    words = [*map(str, files), "--module", "lenet", "--mean", "0"]
    done = run("add", "digits", *words, cwd=tmp_path, DECANT_CATALOG="models.yaml")
    assert "next: make convert MODEL=digits" in done.stdout
    text = (tmp_path / "models.yaml").read_text()
    assert text.startswith((ROOT / "models.yaml").read_text())
    model = load_catalog(tmp_path / "models.yaml").model("digits")
    assert model.preprocessing is not None and model.preprocessing.channel_order == "gray"


def test_a_training_definition_tells_how_pictures_are_prepared(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "net.prototxt").write_text(TRAINING % "mean_value: 5")
    added(tmp_path, "told", *FILES)
    (tmp_path / "net.prototxt").write_text(TRAINING % 'mean_file: "lost.binaryproto"')
    untold = added(tmp_path, "untold", *FILES)
    added(tmp_path, "given", *FILES, "--mean", "1,2,3")
    models = load_catalog(tmp_path / "models.yaml").models
    assert models["untold"].preprocessing is None and models["untold"].input is not None
    assert "lost.binaryproto" in str(untold["notes"])
    means = {"told": (5.0, 5.0, 5.0), "given": (1.0, 2.0, 3.0)}
    for name, mean in means.items():
        found = models[name].preprocessing
        assert found is not None
        assert (found.channel_order, found.mean, found.scale) == ("BGR", mean, 0.5)
        assert (found.resize, found.crop) == ((8, 8), 8)


def test_a_mean_image_becomes_its_average(tmp_path: Path) -> None:
    write(tmp_path)
    image = np.arange(3 * 9 * 9, dtype=np.float32).reshape(1, 3, 9, 9)
    (tmp_path / "mean.binaryproto").write_bytes(encode.blob(image))
    (tmp_path / "net.prototxt").write_text(TRAINING % 'mean_file: "mean.binaryproto"')
    found = added(tmp_path, "mine", *FILES)
    assert "average" in str(found["notes"])
    recipe = load_catalog(tmp_path / "models.yaml").model("mine").preprocessing
    assert recipe is not None and (recipe.mean, recipe.resize) == ((40.0, 121.0, 202.0), (9, 9))


def test_an_input_without_a_shape_and_layers_that_the_net_lacks(tmp_path: Path) -> None:
    write(
        tmp_path,
        NET
        + layer(
            "extra", "InnerProduct", ["fc"], ["extra"], "inner_product_param { num_output: 2 }"
        ),
    )
    (tmp_path / "net.prototxt").write_text('input: "data"\n' + CONV + RELU + FC)
    words = ["mine", *FILES, "--ignore-layer", "extra"]
    refused = run("add", *words, cwd=tmp_path, code=2)
    assert "--input data=" in refused.stderr
    found = added(tmp_path, *words, "--input", "data=1,3,8,8")
    command = str(found["next"]).split()[1:]
    assert load_catalog(tmp_path / "models.yaml").model("mine").ignored_layers == ("extra",)
    run(*command, "--engine", "reader", cwd=tmp_path)


def test_what_an_address_gives_is_asked_for_anew(server: Server, tmp_path: Path) -> None:
    """A file that was refused, and then mended, is not the cache's."""
    write(tmp_path)
    words = addresses(server, tmp_path)
    whole = (tmp_path / "net.caffemodel").read_bytes()
    server.on("/net.caffemodel", serve.file(whole[:-9]), serve.file(whole))
    run("add", "mine", *words, cwd=tmp_path, code=3)
    added(tmp_path, "mine", *words)
    assert load_catalog(tmp_path / "models.yaml").model("mine").caffemodel.size == len(whole)


# --- what should not ---------------------------------------------------------------------------

BAD = {
    "name taken": (["lenet", *FILES], 2, "already"),
    "bad name": (["My-Net", *FILES], 2, "lower-case"),
    "no weights": (["mine", *FILES[:2]], 2, "caffemodel"),
    "unknown module": (["mine", *FILES, "--module", "resnet"], 2, "--module"),
    "bad mean": (["mine", *FILES, "--mean", "1,2"], 2, "--mean"),
    "mean of nothing": (["mine", *FILES, "--mean", "nan"], 2, "mean"),
    "no folder": (["mine", *FILES, "--catalog", "none/c.yaml"], 2, "none"),
    "unknown scheme": (["mine", *FILES[:3], "ftp://example.org/a"], 2, "ftp:"),
    "hand-written without a mean": (["mine", *FILES, "--module", "lenet"], 2, "preprocessing"),
    "no file": (["mine", *FILES[:3], "none.caffemodel"], 3, "none.caffemodel"),
    "empty file": (["mine", *FILES[:3], "empty"], 3, "empty"),
    "empty labels": (["mine", *FILES, "--labels", "blank"], 3, "no labels"),
    "garbage weights": (["mine", *FILES[:3], "garbage"], 3, "garbage"),
    "page as weights": (["mine", *FILES[:3], "page"], 3, "a web page"),
    "page as definition": (["mine", "--prototxt", "page", *FILES[2:]], 3, "page"),
    "another net's weights": (["mine", *FILES[:3], str(MODEL / "lenet_digits.caffemodel")], 3, "lenet_digits"),
    "unsupported layer": (["mine", "--prototxt", "odd.prototxt", *FILES[2:]], 4, "Warp"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_failed_add_leaves_everything_as_it_was(name: str, tmp_path: Path) -> None:
    words, code, expected = BAD[name]
    write(tmp_path)
    (tmp_path / "models.yaml").write_text(OLD)
    (tmp_path / "odd.prototxt").write_text(NET + layer("odd", "Warp", ["fc"], ["odd"]))
    (tmp_path / "garbage").write_bytes(b"\xff\x01\x02" * 100)
    (tmp_path / "page").write_bytes(PAGE)
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "blank").write_text("\n")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    done = run("add", *words, cwd=tmp_path, code=code)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ") and expected in last
    assert not done.stdout
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (serve.status(404), 7),
        (serve.file(PAGE), 7),
        (serve.raw(b"", Content_Length=0), 7),
        (serve.file(b"\xff\x01\x02" * 100), 3),
    ],
    ids=["404", "web page", "nothing", "garbage"],
)
def test_a_bad_download_leaves_everything_as_it_was(
    server: Server, tmp_path: Path, answer: serve.Answer, code: int
) -> None:
    write(tmp_path)
    (tmp_path / "models.yaml").write_text(OLD)
    url = server.on("/x.caffemodel", answer)
    run("add", "mine", *FILES[:3], url, cwd=tmp_path, code=code)
    assert (tmp_path / "models.yaml").read_text() == OLD
    assert {path.suffix for path in tmp_path.iterdir()} == {".yaml", ".prototxt", ".caffemodel"}
    run("add", "mine", *FILES[:3], url, "--catalog", "new.yaml", cwd=tmp_path, code=code)
    assert not (tmp_path / "new.yaml").exists()


# --- the text ----------------------------------------------------------------------------------


def test_the_inputs_of_a_net_that_takes_no_pictures_are_left_out(tmp_path: Path) -> None:
    write(
        tmp_path,
        inputs_text({"data": (2, 5)})
        + layer("fc", "InnerProduct", ["data"], ["fc"], "inner_product_param { num_output: 3 }"),
    )
    run("add", "rows", *FILES, "--mean", "1", cwd=tmp_path, code=2)
    added(tmp_path, "rows", *FILES)
    model = load_catalog(tmp_path / "models.yaml").model("rows")
    assert model.input is None and model.preprocessing is None


def test_weights_that_are_no_numbers_are_not_added(tmp_path: Path) -> None:
    write(tmp_path)
    net = net_from_text(NET, "net")
    blobs = random_blobs(net)
    next(arrays for arrays in blobs if arrays)[0].flat[5] = np.nan
    write_caffemodel(tmp_path / "net.caffemodel", net, blobs)
    done = run("add", "mine", *FILES, "--catalog", "own.yaml", cwd=tmp_path, code=3)
    assert "holds NaN" in done.stderr and not (tmp_path / "own.yaml").exists()
