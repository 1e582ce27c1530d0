"""NVCaffe's BatchNorm with a scale and a bias of its own: five blobs.

The oracle is NVCaffe's Forward_cpu at TEST (batch_norm_layer.cpp), transcribed: no Caffe here has that layer.
What goes to stock Caffe in its place is held against real Caffe in tests/container/test_weights.py.
"""

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
from decant.loader.errors import BadInput, Unsupported
from tests.helpers import encode_caffemodel as encode
from tests.helpers.nets import inputs_text, layer
from tests.helpers.pairs import answer, dumped, made, params, random, stage

MEAN, VARIANCE = random(4, seed=1), np.abs(random(4, seed=2)) + np.float32(0.1)
SCALE, SHIFT = random(4, seed=3), random(4, seed=4)
# NVCaffe's order, the correction in the middle; and that of DIGITS, four axes each, before it
NEW = [MEAN, VARIANCE, np.float32([1]), SCALE, SHIFT]
OLD = [x.reshape(1, -1, 1, 1) for x in (SCALE, SHIFT, MEAN, VARIANCE)] + [
    np.ones((1, 1, 1, 1), "f4")
]
FOUR = inputs_text({"data": (1, 4, 3, 3)})
ASKED = "batch_norm_param { scale_bias: true eps: 0.0001 }"


def forward(x: np.ndarray, eps: float, mean: np.ndarray = MEAN) -> np.ndarray:
    """Forward_cpu at TEST, float32: x - EX, times (var + eps)^-0.5, times scale, plus shift."""
    one = (slice(None), *(None,) * (x.ndim - 2))
    inverse = np.power(VARIANCE + np.float32(max(eps, 1e-5)), np.float32(-0.5))
    normal = (x - mean[one]) * inverse[one]
    return normal * SCALE[one] + SHIFT[one]


def norm(param: str, bottom: str = "data", top: str = "bn") -> str:
    return layer("bn", "BatchNorm", [bottom], [top], param)


def close(found: np.ndarray, expected: np.ndarray) -> bool:
    return float(np.abs(found - expected).max()) <= 1e-5 * float(np.abs(expected).max())


@pytest.mark.parametrize("blobs", [NEW, OLD], ids=["nvcaffe", "digits"])
@pytest.mark.parametrize(
    ("param", "eps"),
    [
        (ASKED, 1e-4),
        ("", 1e-5),
        ("batch_norm_param { eps: 1e-9 scale_bias: true }", 1e-5),
        ("batch_norm_param { use_global_stats: false scale_bias: true moving_average_fraction: 0.9 }", 1e-5),
        ("batch_norm_param { scale_filler { value: 1 } bias_filler { value: 0 } }", 1e-5),
    ],
)  # fmt: skip
@pytest.mark.parametrize("shape", [(2, 4, 3, 3), (3, 4)])
def test_five_blobs_are_an_affine_batchnorm(
    blobs: list[np.ndarray], param: str, eps: float, shape: tuple[int, ...], tmp_path: Path
) -> None:
    weights = encode.net("current", [("bn", "BatchNorm", blobs)])
    dump = dumped(tmp_path, inputs_text({"data": shape}) + norm(param), weights)
    x = random(*shape, seed=9)
    assert close(answer(dump, data=x), forward(x, eps))
    numbers = {key: blob for key, (_, blob) in made(dump).origin.items()}
    old = blobs is OLD
    assert numbers == {
        "bn.running_mean": 2 if old else 0,
        "bn.running_var": 3 if old else 1,
        "bn.weight": 0 if old else 3,
        "bn.bias": 1 if old else 4,
    }


def test_the_correction_is_not_looked_at(tmp_path: Path) -> None:
    """NVCaffe writes 1 there; whatever stands there, its forward at TEST does not read it."""
    x = random(1, 4, 3, 3, seed=5)
    for value in (1.0, 0.0, 999.0):
        blobs = [MEAN, VARIANCE, np.float32([value]), SCALE, SHIFT]
        weights = encode.net("current", [("bn", "BatchNorm", blobs)])
        dump = dumped(tmp_path, inputs_text({"data": (1, 4, 3, 3)}) + norm(ASKED), weights)
        assert close(answer(dump, data=x), forward(x, 1e-4))


def test_a_mean_many_deviations_away_is_subtracted_first(tmp_path: Path) -> None:
    """As in every other BatchNorm: x * a + b would cancel."""
    far = MEAN + np.float32(1e4)
    weights = encode.net("current", [("bn", "BatchNorm", [far, *NEW[1:]])])
    dump = dumped(tmp_path, FOUR + norm(ASKED), weights)
    x = random(1, 4, 3, 3, seed=5) + far[:, None, None]
    assert close(answer(dump, data=x), forward(x, 1e-4, far))


SC = layer("sc", "Scale", ["bn"], ["sc"], "scale_param { bias_term: true }")
BN_5 = ("bn", "BatchNorm", NEW)


def test_a_scale_that_the_file_lacks_has_its_values_in_the_batchnorm(tmp_path: Path) -> None:
    text = FOUR + norm("batch_norm_param { eps: 0.0001 }") + SC
    dump = dumped(tmp_path, text, encode.net("current", [BN_5]))
    assert [len(layer.params) for layer in dump.layers] == [0, 3, 2]
    assert np.array_equal(params(dump)["sc"][0], SCALE)
    assert np.array_equal(params(dump)["sc"][1], SHIFT)
    x = random(1, 4, 3, 3, seed=6)
    assert close(answer(dump, data=x), forward(x, 1e-4))
    assert any("'sc', which the caffemodel lacks" in note for note in made(dump).notes)


def test_a_scale_of_its_own_comes_on_top(tmp_path: Path) -> None:
    own = (random(4, seed=7), random(4, seed=8))
    weights = encode.net("current", [BN_5, ("sc", "Scale", list(own))])
    dump = dumped(tmp_path, FOUR + norm(ASKED) + SC, weights)
    x = random(1, 4, 3, 3, seed=6)
    both = forward(x, 1e-4) * own[0][:, None, None] + own[1][:, None, None]
    assert close(answer(dump, data=x), both)


OTHER_SCALES = {
    "no bias, and the file has one": FOUR
    + norm("")
    + layer("sc", "Scale", ["bn"], ["sc"]),
    "the definition asks for scale_bias itself": FOUR + norm(ASKED) + SC,
    "another layer reads the BatchNorm": FOUR + norm("") + SC + layer("r", "ReLU", ["bn"], ["r"]),
    "no factor a channel": FOUR
    + norm("")
    + layer("sc", "Scale", ["bn"], ["sc"], "scale_param { bias_term: true axis: 0 }"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_SCALES)
def test_a_scale_is_not_guessed_where_it_may_be_another(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"'sc' \(Scale\) has no weights"):
        dumped(tmp_path, OTHER_SCALES[name], encode.net("current", [BN_5]))


WRONG = {
    "scale_bias with three blobs": (ASKED, NEW[:3], "has 3 parameter blobs, not 5"),
    "four blobs": ("", NEW[:4], "takes 3 parameter blobs, and has 4"),
    "another number of channels": (ASKED, [x[:3] if x.size > 1 else x for x in NEW], "1 x 4 x 3 x 3"),
    "parts of different sizes": (ASKED, [*NEW[:4], SHIFT[:2]], "not NVCaffe's"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_other_blobs_are_refused(name: str, tmp_path: Path) -> None:
    param, blobs, expected = WRONG[name]
    weights = encode.net("current", [("bn", "BatchNorm", blobs)])
    with pytest.raises(BadInput, match=expected):
        dumped(tmp_path, FOUR + norm(param), weights)


def test_one_channel_has_no_order_that_can_be_told(tmp_path: Path) -> None:
    weights = encode.net("current", [("bn", "BatchNorm", [random(1, seed=n) for n in range(5)])])
    with pytest.raises(BadInput, match="of several channels"):
        dumped(tmp_path, inputs_text({"data": (1, 1, 3, 3)}) + norm(ASKED), weights)


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
