"""The small nets of helpers/nets.py against real Caffe's dumps of them, by the file that has their rules."""

from __future__ import annotations

import numpy as np
import torch

from decant.dumper.dumpfile import Dump
from decant.loader.artifact.conversion import Conversion, conversion_of
from decant.loader.definition.prototxt import parse
from decant.loader.layers import layer_type
from decant.loader.parity import measuring
from decant.loader.parity.running import forget
from tests.helpers.nets import NETS, SmallNet

BY_NAME = {net.name: net for net in NETS}


def check(net: SmallNet, dump: Dump) -> Conversion:
    """Convert and compare every layer; raises AssertionError with what differs."""
    converted = conversion_of(dump, None, net.name)
    module = converted.build()
    if net.weights == "second forward":
        check_second(module, converted, dump)
        return converted
    found = measuring.measure(dump, module, converted.caffe_map())
    wrong = [
        (layer.layer, layer.reason)
        for layer in found.layers
        if layer.verdict not in ("passed", "fused")
    ]
    assert not wrong
    assert any(layer.verdict == "passed" for layer in found.layers) or net.covers == "Split Silence"
    return converted


def check_second(module: torch.nn.Module, converted: Conversion, dump: Dump) -> None:
    """The dump is of a second forward: the state of the first is in it."""
    inputs = [torch.from_numpy(np.array(dump.probe[blob])) for blob in converted.inputs]
    forget(module)
    first, second = module(*inputs), module(*inputs)
    caffe = dump.layers[-1].activations[0]
    bound = 1e-5 * np.abs(caffe).max()
    assert np.abs(second.numpy() - caffe).max() <= bound
    assert np.abs(first.numpy() - caffe).max() > 1000 * bound


def computes_what_caffe_did(name: str, dump: Dump) -> None:
    """The net of that name, converted, against `dump`, which real Caffe made of it."""
    net = BY_NAME[name]
    assert dump.prototxt == net.text, "run `python -m tests.helpers.caffe_answers`"
    for blob, array in net.arrays().items():
        assert np.array_equal(dump.probe[blob], array)
    check(net, dump)


def rules_file(kind: str, param: str = "") -> str:
    """The file of loader/layers/ that has the rule of a layer type; "" where it needs none."""
    rule = layer_type(kind, parse(param, "")).rule
    return rule.__module__.rpartition(".")[2] if rule else ""


def nets_of(file: str) -> list[str]:
    """The names of the nets whose first type has its rule in that file."""
    return [name for name, net in BY_NAME.items() if rules_file(net.covers.split()[0]) == file]
