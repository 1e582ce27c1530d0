"""Mapping, parity and artifact on a small net: what is right passes, every mistake is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from decant.dumper import dumpfile
from decant.dumper.dumpfile import Dump
from decant.loader.artifact import bundle, safetensors_file
from decant.loader.artifact.manifest import Description
from decant.loader.errors import ArtifactMissing, BadInput, IntegrityError, MappingError, UsageError
from decant.loader.layers.rule import same_shape
from decant.loader.parity import measuring
from decant.loader.parity.verdict import Parity
from decant.loader.source.mapping import map_parameters
from decant.loader.source.tracing import CaffeMap
from decant.loader.zoo import build
from tests.helpers.artifacts import manifest

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
REFERENCE = ROOT / "models/lenet_digits/reference.h5"


@pytest.fixture
def dump() -> Dump:
    return dumpfile.read(REFERENCE)


def filled(dump: Dump) -> nn.Module:
    net = build("lenet", {})
    tensors = map_parameters(dump, net, net.caffe_layers()).tensors  # type: ignore[operator]
    net.load_state_dict({key: torch.from_numpy(np.array(a)) for key, a in tensors.items()})
    return net


def test_every_blob_goes_to_its_key(dump: Dump) -> None:
    net = build("lenet", {})
    mapped = map_parameters(dump, net, net.caffe_layers())  # type: ignore[operator]
    assert set(mapped.tensors) == set(net.state_dict())
    assert mapped.origin["ip1.bias"] == ("ip1", 1)
    layer = next(layer for layer in dump.layers if layer.name == "conv2")
    assert np.shares_memory(mapped.tensors["conv2.weight"], layer.params[0])
    assert mapped.left_out == {"prob": "Softmax: left out of the module, which ends before it"}


def test_all_discrepancies_are_in_one_error(dump: Dump) -> None:
    layers = {layer.name: layer for layer in dump.layers}
    layers["conv1"].params[0] = layers["conv1"].params[0].reshape(1, 16, 3, 3)
    layers["conv2"].params.append(np.ones(3, np.float32))
    layers["conv2"].owners.append(None)
    layers["ip1"].name = "ip_1"
    net = build("lenet", {})
    with pytest.raises(MappingError) as caught:
        map_parameters(dump, net, {**net.caffe_layers(), "prob": "ip2"})  # type: ignore[operator]
    text = str(caught.value)
    for expected in ("conv1.weight", "(1, 16, 3, 3)", "conv2.2", "'ip1'", "is it 'ip_1'", "'ip_1'",
                     "missing key 'ip1.weight'"):  # fmt: skip
        assert expected in text


def test_shapes_are_equal_up_to_leading_ones_of_a_legacy_blob() -> None:
    assert same_shape((1, 1, 4, 9), (4, 9))
    assert same_shape((1, 1, 1, 4), (4,))
    assert not same_shape((4, 9), (9, 4))
    assert not same_shape((1, 4), (4,))
    assert not same_shape((2, 1, 4, 9), (4, 9))
    assert not same_shape((6, 6), (4, 9))


def measure(dump: Dump, net: nn.Module) -> Parity:
    return measuring.measure(dump, net, CaffeMap(net.caffe_layers()))  # type: ignore[operator]


def test_the_right_net_passes_and_its_numbers_are_small(dump: Dump) -> None:
    found = measure(dump, filled(dump))
    assert found.status == "passed"
    assert found.worst is not None
    assert found.worst.error < 1e-6
    assert [layer.layer for layer in found.layers if layer.verdict == "left out"] == ["prob"]


@torch.no_grad()
@pytest.mark.parametrize(
    ("change", "first"),
    [
        (lambda net: net.conv1.weight.copy_(net.conv1.weight.flip(-1)), "conv1"),
        (lambda net: net.conv2.bias.zero_(), "conv2"),
        (lambda net: net.ip1.weight.mul_(1.001), "ip1"),
        (lambda net: net.ip2.weight.copy_(net.ip2.weight.bfloat16().float()), "ip2"),
        (lambda net: net.ip2.weight[3, 3].fill_(float("nan")), "ip2"),
        (lambda net: setattr(net, "pool1", nn.AvgPool2d(2, 2)), "pool1"),
        (lambda net: setattr(net, "relu1", nn.Identity()), "relu1"),
        (lambda net: setattr(net, "pool2", nn.MaxPool2d(1, 1)), "pool2"),
    ],
)
def test_every_mistake_is_found_at_its_first_layer(change: object, first: str, dump: Dump) -> None:
    net = filled(dump)
    change(net)  # type: ignore[operator]
    found = measure(dump, net)
    assert found.status == "failed"
    assert found.first_failure is not None
    assert found.first_failure.layer == first
    json.dumps(found.to_json(), allow_nan=False)


def test_a_missing_counterpart_and_another_shape_fail(dump: Dump) -> None:
    net = filled(dump)
    layers = dict(net.caffe_layers())  # type: ignore[operator]
    dump.layers[2].activations = []
    dump.layers[3].activations = [dump.layers[3].activations[0][..., :3]]
    found = {layer.layer: layer for layer in measuring.measure(dump, net, CaffeMap(layers)).layers}
    assert "no counterpart" in found["relu1"].reason
    assert "shape" in found["pool1"].reason


def test_noise_of_one_rounding_passes(dump: Dump) -> None:
    for layer in dump.layers:
        layer.activations = [np.nextafter(array, np.float32(np.inf)) for array in layer.activations]
    assert measure(dump, filled(dump)).status == "passed"


def tensors() -> dict[str, np.ndarray]:
    random = np.random.default_rng(2)
    return {
        "b.weight": random.standard_normal((3, 4), np.float32),
        "a": np.array(7, np.int64),
        "é": np.zeros((0, 2), np.float32),
    }


def test_safetensors_are_read_by_the_library_and_do_not_depend_on_order(tmp_path: Path) -> None:
    one = safetensors_file.write(tmp_path / "one", tensors())
    other = safetensors_file.write(tmp_path / "other", dict(reversed(tensors().items())))
    assert one == other == bundle.file_sha256(tmp_path / "one")
    found = load_file(tmp_path / "one")
    for key, array in tensors().items():
        assert np.array_equal(found[key].numpy(), array)
    plain = {"x": torch.arange(6.0).reshape(2, 3)}
    save_file(plain, tmp_path / "theirs", {"format": "pt"})
    safetensors_file.write(tmp_path / "ours", {"x": plain["x"].numpy()})
    assert load_file(tmp_path / "ours")["x"].equal(load_file(tmp_path / "theirs")["x"])


def write(folder: Path, **changes: object) -> Path:
    values: dict[str, object] = {
        "tensors": tensors(),
        "source": "x = 1\n",
        "manifest": Description(**dict(manifest(name="x"))),
        "build": {"when": "now"},
        "parity": {"status": "not measured", "reason": "test"},
    }
    bundle.write(folder, **{**values, **changes})  # type: ignore[arg-type]
    return folder


def test_an_artifact_is_whole_or_not_there(tmp_path: Path) -> None:
    folder = write(tmp_path / "x")
    before = (folder / "SHA256SUMS").read_text()
    with pytest.raises(ValueError):
        write(folder, parity={"error": float("nan")})
    assert (folder / "SHA256SUMS").read_text() == before
    assert bundle.verify(folder).name == "x"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_an_empty_probe_in_a_dump_proves_nothing() -> None:
    dump = dumpfile.read(REFERENCE)
    net = filled(dump)
    dump.probe = {name: array[:0] for name, array in dump.probe.items()}
    with pytest.raises(BadInput, match="proves nothing"):
        measure(dump, net)


def test_a_folder_of_somebodys_files_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not an artifact"):
        write(tmp_path / "x")
    assert (tmp_path / "x" / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("file", ["model.safetensors", "model.py", "manifest.json", "SHA256SUMS"])
def test_a_changed_or_missing_file_is_found(file: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "x")
    data = bytearray((folder / file).read_bytes())
    data[-5] ^= 1
    (folder / file).write_bytes(data)
    with pytest.raises(IntegrityError):
        bundle.verify(folder)
    (folder / file).unlink()
    with pytest.raises((IntegrityError, ArtifactMissing)):
        bundle.verify(folder)


def test_a_foreign_file_is_found(tmp_path: Path) -> None:
    folder = write(tmp_path / "x")
    (folder / "extra.pkl").write_text("")
    with pytest.raises(IntegrityError, match=r"extra\.pkl"):
        bundle.verify(folder)


def test_the_bytes_repeat_whatever_the_surroundings(tmp_path: Path) -> None:
    sums = set()
    for number, (umask, zone) in enumerate((("022", "UTC"), ("077", "Asia/Tokyo"))):
        out = tmp_path / f"folder {number}"
        environment = {
            **os.environ,
            "TZ": zone,
            "PYTHONHASHSEED": str(number),
            "HOME": str(tmp_path),
        }
        command = f"umask {umask}; exec {sys.executable} {ROOT}/pipeline.py convert --engine reader --out '{out}'"
        subprocess.run(
            ["sh", "-c", command], env=environment, check=True, cwd=tmp_path, capture_output=True
        )
        sums.add((out / "lenet_digits" / "SHA256SUMS").read_text())
        mode = (out / "lenet_digits" / "model.safetensors").stat().st_mode & 0o777
        assert mode == 0o666 & ~int(umask, 8)
    assert len(sums) == 1
