"""A dump as a module: its state is the dump's arrays, and Caffe's Split layers are passed over."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from decant.dumper import dumpfile
from decant.dumper.dumpfile import Layer
from decant.loader.artifact import conversion
from decant.loader.artifact.conversion import conversion_of, written_net
from decant.loader.errors import BadInput
from tests.helpers.artifacts import REFERENCE


@pytest.fixture(scope="module")
def dump() -> dumpfile.Dump:
    return dumpfile.read(REFERENCE)


def test_the_modules_state_is_the_dumps_and_its_answer_caffes(dump: dumpfile.Dump) -> None:
    import torch

    made = conversion_of(dump, None, "net")
    params = {layer.name: layer.params for layer in dump.layers}
    for key, (layer, blob) in made.origin.items():
        assert made.tensors[key].tobytes() == np.asarray(params[layer][blob]).tobytes()
    found = made.build()(torch.from_numpy(np.array(dump.probe["data"])))
    caffes = dump.layers[-1].activations[0]
    assert np.abs(found.numpy() - caffes).max() <= 1e-5 * np.abs(caffes).max()
    assert made.outputs == [{"blob": "prob", "layer": "prob", "type": "Softmax"}]
    assert [row["name"] for row in made.net][0] == "data" and made.batch is None


def test_splits_of_caffes_are_passed_over_and_a_missing_layer_is_named(dump: dumpfile.Dump) -> None:
    net = written_net(dump)
    split = Layer("conv1_split", "Split", ["conv1"], ["a", "b"])
    more = replace(dump, layers=[*dump.layers[:2], split, *dump.layers[2:]])
    for one, other in zip(conversion.blobs(net, more), conversion.blobs(net, dump), strict=True):
        assert all(a is b for a, b in zip(one, other, strict=True))
    with pytest.raises(BadInput, match=r"no layer 'conv1' \(Convolution\).*dump the net again"):
        conversion.blobs(net, replace(dump, layers=[dump.layers[0]]))


def test_a_definition_is_the_dumps_where_text_and_reading_are(dump: dumpfile.Dump) -> None:
    net = written_net(dump)
    assert conversion.is_of(net, dump)
    assert not conversion.is_of(net, replace(dump, prototxt=dump.prototxt + " "))
    with pytest.raises(BadInput, match="dump the net again"):
        conversion.reading_of(replace(dump, reading="{"))
