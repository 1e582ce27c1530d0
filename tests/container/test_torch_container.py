"""Stage 2 in the torch container, and what is said where no GPU is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from decant.engines.docker import image as images
from decant.engines.docker.connection import connect
from decant.engines.gpu import _meaning, why_not
from decant.engines.torch_container import load_in_container, validate_in_container
from decant.loader.errors import MappingError
from decant.loader.progress import SILENT
from tests.commands.test_cli import run
from tests.commands.test_convert import CONV, FC, RELU, write
from tests.helpers import encode_caffemodel as encode
from tests.helpers.nets import layer

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models/lenet_digits"


@pytest.fixture
def torch_image(image: str) -> str:
    client = connect()
    found = images.find(client, "torch")
    client.close()
    if found is None:
        pytest.skip("the torch image is not built (make image ARGS='--which torch'): gigabytes")
    return found


def test_stage_two_in_the_container_makes_the_same_artifact(
    torch_image: str, tmp_path: Path
) -> None:
    load_in_container(
        MODEL / "reference.h5", "lenet_digits", "x", tmp_path, True, None, SILENT, gpu=False
    )
    command = [
        sys.executable,
        str(ROOT / "pipeline.py"),
        "convert",
        "--engine",
        "reader",
        "--name",
        "x",
    ]
    subprocess.run([*command, "--out", str(tmp_path / "here")], check=True, capture_output=True)
    one, other = tmp_path / "x/SHA256SUMS", tmp_path / "here/x/SHA256SUMS"
    assert one.read_text() == other.read_text()
    assert json.loads((tmp_path / "x/parity.json").read_text())["status"] == "passed"
    own = tmp_path / "own.yaml"
    own.write_text((ROOT / "models.yaml").read_text())
    told = validate_in_container(tmp_path / "x", MODEL / "validation", 40, own, SILENT, gpu=False)
    assert (told["parity"], told["accuracy"]["pictures"]) == ("passed", 40)


def test_a_generated_net_and_its_mean_file(torch_image: str, tmp_path: Path) -> None:
    files = write(tmp_path)
    (tmp_path / "net.prototxt").write_text(
        'layer { name: "data" type: "Data" top: "data" top: "label" data_param { source: "db" } '
        'transform_param { crop_size: 8 mean_file: "far/away/mean.binaryproto" } }\n'
        + CONV + RELU + FC + layer("loss", "SoftmaxWithLoss", ["fc", "label"], ["loss"])
    )  # fmt: skip
    mean = np.random.default_rng(1).random((1, 3, 10, 12), np.float32) * 255
    (tmp_path / "mean.binaryproto").write_bytes(encode.blob(mean))
    run("convert", *files, "--no-parity", "--out", "here", cwd=tmp_path)
    record = json.loads((tmp_path / "here/net/build.json").read_text())
    out = tmp_path / "there"
    load_in_container(
        Path(record["dump"]), None, "net", out, False, None, SILENT, gpu=False,
        shapes={"data": (1, 3, 8, 8)}, mean_file=tmp_path / "mean.binaryproto",
    )  # fmt: skip
    one, other = out / "net/SHA256SUMS", tmp_path / "here/net/SHA256SUMS"
    assert "mean.npy" in one.read_text()
    assert one.read_text() == other.read_text()


def test_an_error_in_the_container_is_the_same_error_here(torch_image: str, tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="does not fit"):
        load_in_container(
            MODEL / "reference.h5", "alexnet", "x", tmp_path, False, None, SILENT, gpu=False
        )
    assert not list(tmp_path.iterdir())


def test_a_gpu_that_is_not_there_ends_in_9_and_the_set_up(image: str, tmp_path: Path) -> None:
    client = connect()
    reason = why_not(client)
    client.close()
    if not reason:
        pytest.skip("this machine has a GPU for containers")
    for words in (["convert", "--gpu"], ["doctor", "--gpu"]):
        command = [sys.executable, str(ROOT / "pipeline.py"), *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 9
        assert "nvidia-ctk runtime configure --runtime=docker" in done.stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        ('could not select device driver "" with capabilities: [[gpu]]', "no NVIDIA driver"),
        ("Unknown runtime specified nvidia", "does not know"),
        ("error running hook: nvidia-container-cli: nvml error: driver not loaded", "not loaded"),
    ],
)
def test_the_engines_words_are_understood(words: str, meaning: str) -> None:
    assert meaning in _meaning(words)
