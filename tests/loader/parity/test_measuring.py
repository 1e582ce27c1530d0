"""Parity on a small net: what is right passes, every mistake is found at its first layer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from decant.dumper import dumpfile
from decant.dumper.dumpfile import Dump
from decant.loader.errors import BadInput
from decant.loader.parity import measuring
from decant.loader.parity.verdict import Parity
from decant.loader.source.mapping import map_parameters
from decant.loader.source.tracing import CaffeMap
from decant.loader.zoo import build

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


def test_an_empty_probe_in_a_dump_proves_nothing() -> None:
    dump = dumpfile.read(REFERENCE)
    net = filled(dump)
    dump.probe = {name: array[:0] for name, array in dump.probe.items()}
    with pytest.raises(BadInput, match="proves nothing"):
        measure(dump, net)
