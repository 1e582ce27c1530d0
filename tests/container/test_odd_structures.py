"""Structures that are easily got wrong, through real Caffe: layers and outputs agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from decant.dumper.dumpfile import Dump
from decant.loader.definition.graph import net_from_text, outputs
from tests.helpers.caffe_answers import ask, unpack
from tests.helpers.golden import check
from tests.helpers.nets import SmallNet
from tests.helpers.odd_structures import ODD
from tests.helpers.random_weights import shapes_of

NETS = {
    name: SmallNet(name, "", make(), shapes_of(net_from_text(make(), name)))
    for name, make in ODD.items()
}


@pytest.fixture(scope="module")
def dumps(image: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dump]:
    return unpack(ask(list(NETS.values())), tmp_path_factory.mktemp("answers"))


@pytest.mark.parametrize("name", list(NETS))
def test_an_odd_structure_agrees_with_caffe(name: str, dumps: dict[str, Dump]) -> None:
    assert name in dumps, "Caffe refuses this net"
    dump = dumps[name]
    converted = check(NETS[name], dump)
    module = converted.build().eval()
    with torch.no_grad():
        found = module(*(torch.from_numpy(np.array(array)) for array in dump.probe.values()))
    last = {
        top: array
        for layer in dump.layers
        for top, array in zip(layer.tops, layer.activations, strict=False)
    }
    ends = outputs(net_from_text(NETS[name].text, name))
    ours = {ends[0]: found} if isinstance(found, torch.Tensor) else found
    assert list(ours) == ends
    for blob, value in ours.items():
        np.testing.assert_allclose(
            value.numpy(), last[blob], rtol=1e-5, atol=1e-5 * abs(last[blob]).max()
        )
