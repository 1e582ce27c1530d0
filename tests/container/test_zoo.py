"""All eight zoo nets, random-filled by real Caffe, through the ordinary command and a local server."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from decant.engines.caffe import run_script
from decant.loader.weights import caffemodel
from tests.helpers import definitions
from tests.helpers.encode_caffemodel import write_v1
from tests.helpers.in_caffe import SCRIPTS

ROOT = Path(__file__).resolve().parents[2]
VGG16, VGG19 = (2, 2, 3, 3, 3), (2, 2, 4, 4, 4)
# name -> (definition, definition to fill, module, arguments, published file is of the V1 era)
NETS = {
    "googlenet_bvlc": (definitions.googlenet(), definitions.googlenet(heads=True), True),
    "googlenet_places205": (definitions.googlenet(205), definitions.googlenet(205, True), False),
    "googlenet_places365": (definitions.googlenet(365), definitions.googlenet(365, True), False),
    "caffenet": (definitions.caffenet(), definitions.caffenet(), True),
    "alexnet": (definitions.alexnet(), definitions.alexnet(), True),
    "vgg16": (definitions.vgg(VGG16), definitions.vgg(VGG16), True),
    "vgg19": (definitions.vgg(VGG19), definitions.vgg(VGG19), True),
    "vgg_face": (definitions.vgg(VGG16, 2622), definitions.vgg(VGG16, 2622), True),
}


def fill(folder: Path, definition: str, old: bool) -> None:
    """net.caffemodel by real Caffe, in the era of the published file."""
    (folder / "net.prototxt").write_text(definition.replace("dim: 10", "dim: 1", 1))
    run_script(SCRIPTS / "fill.py", folder, "net.caffemodel")
    if not old:
        return
    model = caffemodel.read(folder / "net.caffemodel")
    layers = [
        (layer.name, layer.type, [blob.array().reshape(blob.shape) for blob in layer.blobs])
        for layer in model.layers
        if layer.blobs
    ]
    assert all(np.count_nonzero(array) == array.size for _, _, arrays in layers for array in arrays)
    write_v1(folder / "old", layers)
    os.replace(folder / "old", folder / "net.caffemodel")


def entry(name: str, url: str, folder: Path) -> dict[str, object]:
    """The real entry of models.yaml, with the local server's files and their hashes."""
    tree = yaml.safe_load((ROOT / "models.yaml").read_text())["models"][name]
    for key, file in (("prototxt", "deploy.prototxt"), ("caffemodel", "net.caffemodel")):
        with (folder / file).open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        size = (folder / file).stat().st_size
        tree[key] = {"urls": [f"{url}/{file}"], "sha256": digest, "size": size}
    tree.pop("labels", None)
    return tree


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def decant(*words: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, str(ROOT / "pipeline.py"), *words, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", NETS)
def test_a_zoo_net_converts_and_every_layer_agrees(
    name: str, served: tuple[str, Path], tmp_path: Path
) -> None:
    url, folder = served
    definition, trained, old = NETS[name]
    fill(folder, trained, old)
    (folder / "deploy.prototxt").write_text(definition)
    catalog = tmp_path / "models.yaml"
    catalog.write_text(json.dumps({"models": {name: entry(name, url, folder)}}))
    common = ("convert", name, "--catalog", str(catalog))
    first = decant(*common, "--engine", "caffe", "--out", str(tmp_path / "caffe"))
    parity = first["parity"]
    assert parity["status"] == "passed"
    compared = [layer for layer in parity["layers"] if layer["verdict"] == "passed"]
    left_out = [layer["layer"] for layer in parity["layers"] if layer["verdict"] == "left out"]
    assert left_out == ["prob"]
    assert len(compared) == definition.count("name:") - 3 + ("input_dim" in definition)
    assert all(layer["error"] <= layer["bound"] for layer in compared)
    worst = max(compared, key=lambda layer: layer["error"])
    error = f"{worst['error']:.1e}".replace("e-0", "e-")
    print(f"| {name} | {len(compared)} | {error} | {worst['layer']} |")
    decant(*common, "--engine", "reader", "--out", str(tmp_path / "reader"))
    for file in ("model.safetensors", "model.py", "manifest.json", "SHA256SUMS"):
        one, other = tmp_path / "caffe" / name / file, tmp_path / "reader" / name / file
        assert subprocess.run(["cmp", one, other], check=False).returncode == 0
    shutil.rmtree(tmp_path, ignore_errors=True)
    shutil.rmtree(os.environ["DECANT_CACHE"], ignore_errors=True)
