"""The command line as a person and as a program meet it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models/lenet_digits"


def run(
    *words: str, cwd: Path, code: int = 0, **environment: str
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, str(ROOT / "pipeline.py"), *words],
        cwd=cwd, text=True, capture_output=True, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == code, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    return done


def test_convert_and_validate_without_docker_prove_parity_and_accuracy(tmp_path: Path) -> None:
    nowhere = {"DOCKER_HOST": "unix:///nowhere.sock"}
    done = run("convert", cwd=tmp_path, **nowhere)
    assert "parity passed: 9 layers" in done.stdout
    assert "engine reader: no Docker engine answers at unix:///nowhere.sock" in done.stderr
    found = json.loads(run("validate", "--json", cwd=tmp_path, **nowhere).stdout)["artifacts"][0]
    assert found["parity"] == "passed"
    assert found["accuracy"]["pictures"] == 360
    assert found["accuracy"]["top1"] > 95


def test_a_converted_model_loads_without_decant(tmp_path: Path) -> None:
    run("convert", "--engine", "reader", cwd=tmp_path)
    code = (
        "import sys; sys.path.insert(0, '.'); import torch; from safetensors.torch import load_file;"
        "from model import Model; m = Model(); m.load_state_dict(load_file('model.safetensors'));"
        "print(m.eval()(torch.zeros(1, 1, 16, 16)).shape)"
    )
    folder = tmp_path / "artifacts/lenet_digits"
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", code],
        cwd=folder,
        text=True,
        capture_output=True,
        check=False,
    )
    assert "torch.Size([1, 10])" in done.stdout, done.stderr


def test_python_and_torch_hub_load_it(tmp_path: Path) -> None:
    run("convert", "--engine", "reader", cwd=tmp_path)
    code = (
        "import sys; from decant import loader; assert 'torch' not in sys.modules\n"
        "from decant.loader import load, activations; import torch\n"
        "model, transform = load('lenet_digits'); x = torch.rand(2, 1, 16, 16)\n"
        "acts = activations(model, transform(x)); assert list(acts)[:3] == ['data', 'conv1', 'relu1']\n"
        "assert (acts['conv1'] < 0).any() and 'prob' not in acts\n"
        "assert torch.equal(acts['ip2'], model(transform(x)))\n"
        "again, _ = loader.lenet_digits(); assert torch.equal(again(transform(x)), acts['ip2'])\n"
        f"hub, _ = torch.hub.load({str(ROOT)!r}, 'lenet_digits', source='local')\n"
        "assert torch.equal(hub(transform(x)), acts['ip2'])\n"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


BAD = {
    "unknown model": (["convert", "googlenet_bvcl"], 2, "did you mean googlenet_bvlc"),
    "unknown option": (["convert", "--fast"], 2, "--fast"),
    "unknown engine": (["convert", "--engine", "tensorflow"], 2, "--engine 'tensorflow': one of auto, caffe, reader"),
    "no file": (["dump", "--prototxt", "none.prototxt", "--out", "d.h5"], 3, "none.prototxt"),
    "weights alone": (["convert", "--caffemodel", "empty"], 3, "the file is empty"),
    "definition without weights": (["convert", "--prototxt", "deploy.prototxt"], 3, "add --caffemodel"),
    "empty weights": (["convert", "lenet_digits", "--caffemodel", "empty"], 3, "the file is empty"),
    "page as weights": (["convert", "lenet_digits", "--caffemodel", "page"], 3, "a web page"),
    "weights as definition": (["dump", "--prototxt", "weights", "--out", "d.h5"], 3, "weights"),
    "folder as dump": (["dump", "lenet_digits", "--out", "."], 2, "--out"),
    "no dump": (["load", "none.h5", "--model", "lenet_digits"], 3, "none.h5"),
    "page as dump": (["load", "page", "--model", "lenet_digits"], 3, "neither HDF5 nor NPZ"),
    "another net's dump": (["load", str(MODEL / "reference.h5"), "--model", "alexnet"], 5, "does not fit"),
    "no artifact": (["validate", "lenet_digits"], 10, "make convert MODEL=lenet_digits"),
    "no artifacts": (["validate"], 10, "make convert"),
    "no engine": (["convert", "--engine", "caffe"], 8, "unix:///nowhere.sock"),
    "no GPU": (["convert", "--gpu"], 8, "unix:///nowhere.sock"),
    "no CUDA": (["convert", "--engine", "reader", "--device", "cuda"], 9, "--gpu"),
    "bad catalog": (["list", "--catalog", "page"], 2, "page"),
    "bad name": (["convert", "--name", "../x"], 2, "--name"),
    "bad input": (["dump", "lenet_digits", "--out", "d.h5", "--engine", "reader", "--input", "x"], 2, "--input"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_ends_in_one_line_and_its_own_code(name: str, tmp_path: Path) -> None:
    words, code, expected = BAD[name]
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "page").write_text("<!DOCTYPE html><p>not here</p>")
    shutil.copy(MODEL / "deploy.prototxt", tmp_path)
    shutil.copy(MODEL / "lenet_digits.caffemodel", tmp_path / "weights")
    before = sorted(path.name for path in tmp_path.iterdir())
    done = run(*words, cwd=tmp_path, code=code, DOCKER_HOST="unix:///nowhere.sock")
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert expected in last
    assert not done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    told = run(*words, "--json", cwd=tmp_path, code=code, DOCKER_HOST="unix:///nowhere.sock").stdout
    assert json.loads(told)["code"] == code


def test_every_command_has_help_with_an_example() -> None:
    from decant.pipeline import app

    for command in app.registered_commands:
        assert command.callback is not None
        assert "Example: decant" in (command.callback.__doc__ or "")


def test_the_command_line_starts_quickly_without_heavy_imports() -> None:
    code = "import sys; from decant import pipeline; print([m for m in ('torch', 'numpy', 'h5py', 'docker') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_parity_failure_names_the_first_layer_and_leaves_no_artifact(tmp_path: Path) -> None:
    from decant.dumper import dumpfile

    dump = dumpfile.read(MODEL / "reference.h5")
    for layer in dump.layers:
        if layer.name in ("conv2", "ip2"):
            layer.activations = [layer.activations[0] * 1.001]
    dumpfile.write(tmp_path / "dump.h5", dump, dump.layers, dump.probe)
    done = run("load", "dump.h5", "--model", "lenet_digits", cwd=tmp_path, code=6)
    last = done.stderr.strip().splitlines()[-1]
    assert "'conv2' (Convolution) is the first of" in last
    assert not (tmp_path / "artifacts" / "lenet_digits").exists()
    evidence = json.loads((tmp_path / "parity.json").read_text())
    assert evidence["first_failure"] == "conv2"


def test_a_failed_conversion_leaves_the_old_artifact(tmp_path: Path) -> None:
    run("convert", "--engine", "reader", cwd=tmp_path)
    before = (tmp_path / "artifacts/lenet_digits/SHA256SUMS").read_text()
    (tmp_path / "bad").write_bytes(b"<html>")
    run(
        "convert", "lenet_digits", "--caffemodel", "bad", "--engine", "reader", cwd=tmp_path, code=3
    )
    assert (tmp_path / "artifacts/lenet_digits/SHA256SUMS").read_text() == before


def test_a_changed_artifact_is_found_by_validate(tmp_path: Path) -> None:
    run("convert", "--engine", "reader", cwd=tmp_path)
    path = tmp_path / "artifacts/lenet_digits/model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    done = run("validate", cwd=tmp_path, code=6)
    assert "model.safetensors is not what SHA256SUMS says" in done.stderr


def trained_with_a_mean_image(folder: Path) -> list[str]:
    """A training definition, its weights and its mean.binaryproto; the words that name the two."""
    import numpy as np

    from tests.commands.test_convert import write
    from tests.helpers import encode_caffemodel as encode
    from tests.helpers.nets import inputs_text, layer

    conv = layer(
        "c", "Convolution", ["data"], ["c"], "convolution_param { num_output: 2 kernel_size: 3 }"
    )
    data = 'layer { name: "d" type: "Data" top: "data" data_param { source: "x" } transform_param { mean_file: "gone/mean.binaryproto" } }\n'
    files = write(folder, inputs_text({"data": (1, 3, 10, 12)}) + conv)
    (folder / "net.prototxt").write_text(data + conv)
    (folder / "mean.binaryproto").write_bytes(encode.blob(np.ones((3, 10, 12), np.float32)))
    return files


def test_stage_two_in_a_container_gets_the_mean_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from decant.engines import gpu, torch_container
    from decant.stages.convert import convert
    from decant.stages.inputs import Source
    from decant.stages.options import Options

    class Reached(Exception):
        pass

    def instead(*_: object, mean_file: Path | None, **__: object) -> None:
        assert mean_file == tmp_path / "mean.binaryproto"
        raise Reached

    monkeypatch.setattr(gpu, "require", lambda: None)
    monkeypatch.setattr(torch_container, "load_in_container", instead)
    monkeypatch.chdir(tmp_path)
    trained_with_a_mean_image(tmp_path)
    files = Source(None, tmp_path / "net.prototxt", tmp_path / "net.caffemodel")
    with pytest.raises(Reached):
        convert(files, Options(out=tmp_path / "out", engine="reader", gpu=True))
