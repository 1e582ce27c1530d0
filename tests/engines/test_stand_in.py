"""What stock Caffe is given in place of NVCaffe's BatchNorm, and how its dump is told back."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from decant.dumper import dumpfile
from decant.engines.stand_in import blobs_for, stand_in, told_back
from decant.engines.weights import blob_shapes, read_weights
from decant.loader.definition.graph import net_from_text
from decant.loader.definition.schema import unknown_to_caffe
from decant.loader.errors import Unsupported
from tests.helpers import encode_caffemodel as encode
from tests.helpers.nets import inputs_text, layer
from tests.helpers.pairs import random, stage

MEAN, VARIANCE = random(4, seed=1), np.abs(random(4, seed=2)) + np.float32(0.1)


SCALE, SHIFT = random(4, seed=3), random(4, seed=4)


# NVCaffe's order, the correction in the middle; and that of DIGITS, four axes each, before it
NEW = [MEAN, VARIANCE, np.float32([1]), SCALE, SHIFT]


FOUR = inputs_text({"data": (1, 4, 3, 3)})


ASKED = "batch_norm_param { scale_bias: true eps: 0.0001 }"


def norm(param: str, bottom: str = "data", top: str = "bn") -> str:
    return layer("bn", "BatchNorm", [bottom], [top], param)


BN_5 = ("bn", "BatchNorm", NEW)


# what stock Caffe gets in its place
BEHIND = layer(
    "fc", "InnerProduct", ["data"], ["fc"], 'param { name: "w" } inner_product_param { num_output: 2 }'
) + layer(
    "fd", "InnerProduct", ["data"], ["fd"], 'param { name: "w" } inner_product_param { num_output: 2 }'
)  # fmt: skip


LAYERS = [BN_5, ("fc", "InnerProduct", [random(2, 36), random(2)])]
LAYERS += [("fd", "InnerProduct", [LAYERS[1][2][0], random(2, seed=1)])]


def test_stock_caffe_parses_what_it_is_given() -> None:
    net = net_from_text(FOUR + norm(ASKED, top="data") + BEHIND, "net.prototxt")
    stood = stand_in(net, {"bn": [array.shape for array in NEW]})
    assert unknown_to_caffe(net) and not unknown_to_caffe(stood.net)
    again = net_from_text(stood.net.run_text, "net.prototxt")
    assert [layer.name for layer in again.layers] == ["data", "bn", "bn/scale_bias", "fc", "fd"]
    assert again.layers[1].fields.message("batch_norm_param").text("eps") == "0.0001"
    assert stood.added == {"bn/scale_bias": "bn"}


def test_a_net_without_such_a_layer_is_left_as_it_is() -> None:
    net = net_from_text(FOUR + norm(""), "net.prototxt")
    assert stand_in(net, {"bn": [array.shape for array in NEW[:3]]}).net is net
    named = net_from_text(FOUR + norm('param { name: "m" }'), "net.prototxt")
    assert stand_in(named, {"bn": [array.shape for array in NEW]}).net is named


def test_shared_ones_are_left_to_the_reader(tmp_path: Path) -> None:
    """Asked for in the text or not: stock Caffe would abort on five blobs."""
    names = " ".join(f'param {{ name: "p{number}" }}' for number in range(5))
    again = norm(names, "bn", "again").replace('name: "bn"', 'name: "again"')
    text = FOUR + norm(names) + again
    weights = encode.net("current", [BN_5, ("again", "BatchNorm", NEW)])
    found = stage(tmp_path, text, weights, "auto")
    assert found.engine == "reader"
    assert found.content.layers[2].owners == [(1, number) for number in range(5)]
    with pytest.raises(Unsupported, match="stock Caffe") as caught:
        stage(tmp_path, text, weights, "caffe")
    assert caught.value.details[0].endswith("layer 'bn': five blobs (NVCaffe), shared")


def test_the_dump_is_told_back_with_its_owners(tmp_path: Path) -> None:
    text = FOUR + norm(ASKED, top="data") + BEHIND
    (tmp_path / "net.caffemodel").write_bytes(encode.net("current", LAYERS))
    net = net_from_text(text, "net.prototxt")
    weights = read_weights(tmp_path / "net.caffemodel", net)
    stood = stand_in(net, blob_shapes(weights.model))
    layers = []
    given = {layer.name: layer for layer in blobs_for(stood, weights)}
    for item in stood.net.layers:
        record = dumpfile.Layer(item.name, item.type, list(item.bottoms), list(item.tops))
        blobs = given[item.name].blobs if item.name in given else []
        record.params = [blob.array() for blob in blobs if blob is not None]
        record.owners = [None] * len(record.params)
        record.activations = [random(1, 4, 3, 3, seed=len(layers))]
        layers.append(record)
    layers[4].owners[0] = (3, 0)
    dump = dumpfile.Dump("n", text, stood.net.run_text, "caffe", "1", True, "", layers=layers)
    told = told_back(dump, stood, weights)
    assert [layer.name for layer in told.layers] == [layer.name for layer in net.layers]
    assert told.layers[3].owners == [(2, 0), None]
    for array, expected in zip(told.layers[1].params, NEW, strict=True):
        assert np.array_equal(array, expected)
    assert np.array_equal(told.layers[1].activations[0], layers[2].activations[0])


def test_what_layers_borrow_in_hdf5_is_written_out_for_caffe(tmp_path: Path) -> None:
    """Its HDF5 has a shared blob with the owner alone; a binary file must have all of them."""
    net = net_from_text(FOUR + norm(ASKED, top="data") + BEHIND, "net.prototxt")
    with h5py.File(str(tmp_path / "net.h5"), "w") as file:
        for name, _, blobs in LAYERS:
            for number, array in enumerate(blobs):
                if (name, number) != ("fd", 0):
                    file[f"data/{name}/{number}"] = array
    weights = read_weights(tmp_path / "net.h5", net)
    stood = stand_in(net, blob_shapes(weights.model))
    found = {layer.name: layer.blobs for layer in blobs_for(stood, weights)}
    assert [len(found[name]) for name in ("bn", "bn/scale_bias", "fc", "fd")] == [3, 2, 2, 2]
    shared, own = found["fd"]
    assert shared is found["fc"][0]
    assert own is not None and np.array_equal(own.array(), LAYERS[2][2][1])
