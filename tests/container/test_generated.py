"""Nets that are in no catalog, from the command line through real Caffe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands.test_cli import run
from tests.commands.test_convert import CONV, FC, RELU, write
from tests.helpers.nets import inputs_text, layer
from tests.helpers.structures import STRUCTURES

HEAD = 'layer { name: "data" type: "Data" top: "data" top: "label" transform_param { crop_size: 8 mirror: true } data_param { source: "db" } }\n'
LOSS = layer("loss", "SoftmaxWithLoss", ["fc", "label"], ["loss"])


@pytest.mark.parametrize("name", ["resnet", "hed", "light_cnn"])
def test_both_engines_write_the_same_bytes(name: str, image: str, tmp_path: Path) -> None:
    files = write(tmp_path, STRUCTURES[name]())
    run("convert", *files, "--out", "reader", cwd=tmp_path)
    done = run("convert", *files[:4], "--engine", "caffe", "--out", "caffe", "--json", cwd=tmp_path)
    parity = json.loads(done.stdout)["parity"]
    assert parity["status"] == "passed"
    compared = [top for top in parity["layers"] if top["verdict"] == "passed"]
    assert all(top["error"] <= top["bound"] and top["isolated"] <= 1e-5 for top in compared)
    one, other = (tmp_path / out / "net/SHA256SUMS" for out in ("reader", "caffe"))
    assert one.read_text() == other.read_text()
    again = run("validate", "net", "--out", "caffe", cwd=tmp_path)
    assert "parity passed" in again.stdout


def test_a_training_definition_runs_in_caffe_in_its_deploy_form(image: str, tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "net.prototxt").write_text(HEAD + CONV + RELU + FC + LOSS)
    files = ["--prototxt", "net.prototxt", "--caffemodel", "net.caffemodel"]
    done = run("convert", *files, "--engine", "caffe", "--out", "caffe", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["parity"]["status"] == "passed"
    run("convert", *files, "--engine", "reader", "--out", "reader", cwd=tmp_path)
    one, other = (tmp_path / out / "net/SHA256SUMS" for out in ("reader", "caffe"))
    assert one.read_text() == other.read_text()
    run("dump", *files, "--engine", "caffe", "--out", "net.h5", cwd=tmp_path)
    run("load", "net.h5", "--out", "loaded", cwd=tmp_path)
    assert (tmp_path / "loaded/net/SHA256SUMS").read_text() == one.read_text()


def test_activations_are_what_caffe_dumped(image: str, tmp_path: Path) -> None:
    import numpy as np
    import torch

    from decant.dumper import dumpfile
    from decant.loader import activations, load

    files = write(tmp_path, STRUCTURES["densenet"]())[:4]
    run("dump", *files, "--engine", "caffe", "--out", "net.h5", cwd=tmp_path)
    run("load", "net.h5", cwd=tmp_path)
    dump = dumpfile.read(tmp_path / "net.h5")
    model, _ = load(tmp_path / "artifacts/net")
    found = activations(model, torch.from_numpy(np.array(dump.probe["data"])))
    manifest = json.loads((tmp_path / "artifacts/net/manifest.json").read_text())
    expected = {x.name: x.activations[0] for x in dump.layers if x.type != "Split"}
    assert set(found) == set(expected) - set(manifest["fused"])
    for name, top in found.items():
        assert np.abs(top.numpy() - expected[name]).max() <= 1e-5 * np.abs(expected[name]).max()


def test_a_probe_of_ones_own(image: str, tmp_path: Path) -> None:
    import numpy as np

    shapes = {"index": (3, 2), "data": (2, 4)}
    text = inputs_text(shapes) + layer(
        "embed", "Embed", ["index"], ["embed"], "embed_param { num_output: 4 input_dim: 5 }"
    )
    files = write(tmp_path, text)[:4]
    np.savez(
        tmp_path / "probe.npz",
        index=np.array([[0, 4], [1, 2]], np.float32),
        data=np.ones((2, 4), np.float32),
    )
    done = run(
        "convert", *files, "--engine", "caffe", "--probe", "probe.npz", "--json", cwd=tmp_path
    )
    assert json.loads(done.stdout)["parity"]["status"] == "passed"
    manifest = json.loads((tmp_path / "artifacts/net/manifest.json").read_text())
    assert manifest["inputs"][0] == {"blob": "index", "shape": [2, 2]}


def test_a_batchs_own_statistics_pass_through_caffe(image: str, tmp_path: Path) -> None:
    """A forward writes its moving average into the very blobs that are dumped."""
    param = "convolution_param { num_output: 4 kernel_size: 3 bias_term: false }"
    text = inputs_text({"data": (2, 3, 6, 6)}) + layer("c", "Convolution", ["data"], ["c"], param)
    text += layer("bn", "BatchNorm", ["c"], ["c"], "batch_norm_param { use_global_stats: false }")
    text += layer("s", "Scale", ["c"], ["c"], "scale_param { bias_term: true }")
    files = write(tmp_path, text)[:4]
    done = run("convert", *files, "--engine", "caffe", "--no-report", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["parity"]["status"] == "passed"


def test_a_parameter_layer_passes_through_caffe_and_into_the_report(
    image: str, tmp_path: Path
) -> None:
    text = inputs_text({"data": (1, 3, 6, 6)})
    text += layer(
        "p", "Parameter", [], ["p"], "parameter_param { shape { dim: 1 dim: 3 dim: 6 dim: 6 } }"
    )
    text += layer("sum", "Eltwise", ["data", "p"], ["sum"])
    files = write(tmp_path, text)[:4]
    done = run("convert", *files, "--engine", "caffe", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["parity"]["status"] == "passed"
    assert (tmp_path / "artifacts/net/report.html").is_file()
