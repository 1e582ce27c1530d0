"""A dump's blobs as the parameters of a hand-written module; all that does not fit is said at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from decant.dumper import dumpfile
from decant.dumper.dumpfile import Dump
from decant.loader.errors import MappingError
from decant.loader.source.mapping import map_parameters
from decant.loader.zoo import build

ROOT = Path(__file__).resolve().parents[3]


REFERENCE = ROOT / "models/lenet_digits/reference.h5"


@pytest.fixture
def dump() -> Dump:
    return dumpfile.read(REFERENCE)


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
