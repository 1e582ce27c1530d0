"""Layers that the weights lack: filled as Caffe fills them, where that is exact, and else an error.

The oracle is BilinearFiller and ConstantFiller of filler.hpp, transcribed value by value; the container
tests hold the same bits against real Caffe (tests/container/test_weights.py).
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from decant.engines.weights import read_weights, with_fillers
from decant.loader.definition.graph import net_from_text
from decant.loader.errors import BadInput
from decant.loader.plan.fillers import bilinear
from tests.helpers import encode_caffemodel as encode
from tests.helpers.nets import inputs_text, layer
from tests.helpers.pairs import dumped, made, params, random

DATA = inputs_text({"data": (1, 3, 8, 8)})
CONV = layer(
    "c", "Convolution", ["data"], ["c"], "convolution_param { num_output: 4 kernel_size: 3 }"
)
FILE = encode.net("current", [("c", "Convolution", [random(4, 3, 3, 3), random(4)])])
BILINEAR = 'weight_filler { type: "bilinear" }'
F = np.float32


def up(filler: str, more: str = "bias_term: false", name: str = "up") -> str:
    """FCN's upsampling layer: one kernel for each channel."""
    param = f"num_output: 4 group: 4 kernel_size: 4 stride: 2 pad: 1 {more} {filler}"
    return layer(name, "Deconvolution", ["c"], [name], f"convolution_param {{ {param} }}")


def by_hand(size: int) -> np.ndarray:
    """`(1 - fabs(x / f - c)) * (1 - fabs(y / f - c))`: float at every step; c comes of doubles."""
    f = math.ceil(size / 2.0)
    c = F((size - 1) / (2.0 * f))
    line = [F(F(1) - abs(F(F(F(x) / F(f)) - c))) for x in range(size)]
    return np.array([[F(x * y) for x in line] for y in line], F)


@pytest.mark.parametrize("size", [*range(1, 18), 32, 63, 64])
def test_the_bilinear_kernel_has_caffes_bits(size: int) -> None:
    found = bilinear((2, 3, size, size))
    assert found.shape == (2, 3, size, size) and found.dtype == F
    for plane in found.reshape(6, size, size):
        assert np.array_equal(plane.view(np.uint32), by_hand(size).view(np.uint32))


def test_an_upsampling_layer_that_the_file_lacks_is_filled_and_said(tmp_path: Path) -> None:
    dump = dumped(tmp_path, DATA + CONV + up(BILINEAR), FILE)
    (weight,) = params(dump)["up"]
    assert np.array_equal(weight, np.broadcast_to(by_hand(4), (4, 1, 4, 4)))
    (note,) = dump.notes
    assert note == "layer 'up': not in the caffemodel, so filled as Caffe fills it (bilinear)"
    assert note in made(dump).notes


PARAM = "convolution_param { num_output: 4 kernel_size: 3 %s }"
FILLED = {
    "a bias by default": (up(BILINEAR, ""), "bilinear, constant 0", [0.0625, 0]),
    "a bias of its own": (
        up(BILINEAR, "bias_filler { value: 0.1 }"),
        "bilinear, constant 0.1",
        [0.0625, 0.1],
    ),
    "a constant": (
        layer("up", "Convolution", ["c"], ["up"], PARAM % "weight_filler { value: 0.5 }"),
        "constant 0.5, constant 0",
        [0.5, 0],
    ),
    "a type written": (
        layer(
            "up", "Scale", ["c"], ["up"], 'scale_param { filler { type: "constant" value: 20 } }'
        ),
        "constant 20",
        [20],
    ),
    "a slope": (
        layer("up", "PReLU", ["c"], ["up"], "prelu_param { filler { value: 0.25 } }"),
        "constant 0.25",
        [0.25],
    ),
    "a bias layer": (
        layer("up", "Bias", ["c"], ["up"], "bias_param { filler { value: -3e-2 } }"),
        "constant -3e-2",
        [-0.03],
    ),
    "a fully connected layer": (
        layer(
            "up",
            "InnerProduct",
            ["c"],
            ["up"],
            "inner_product_param { num_output: 2 transpose: true weight_filler { value: 1 } }",
        ),
        "constant 1, constant 0",
        [1, 0],
    ),
}


@pytest.mark.parametrize("name", FILLED)
def test_what_is_written_down_fills(name: str, tmp_path: Path) -> None:
    text, said, firsts = FILLED[name]
    dump = dumped(tmp_path, DATA + CONV + text, FILE)
    found = params(dump)["up"]
    assert [array.reshape(-1)[0] for array in found] == [F(value) for value in firsts]
    assert dump.notes[0].endswith(f"({said})")
    made(dump).build()


REFUSED = {
    "nobody wrote a filler": layer("up", "Convolution", ["c"], ["up"], PARAM % ""),
    "only that of the bias": layer(
        "up", "Convolution", ["c"], ["up"], PARAM % "bias_filler { value: 1 }"
    ),
    "a random one": up('weight_filler { type: "gaussian" std: 0.01 }'),
    "a random bias": up(BILINEAR, 'bias_filler { type: "uniform" }'),
    "a kernel that is not square": layer(
        "up",
        "Deconvolution",
        ["c"],
        ["up"],
        "convolution_param { num_output: 4 group: 4 kernel_h: 4 kernel_w: 2 bias_term: false "
        + BILINEAR
        + " }",
    ),
    "not of four axes": layer(
        "up",
        "InnerProduct",
        ["c"],
        ["up"],
        "inner_product_param { num_output: 2 " + BILINEAR + " }",
    ),
    "an infinity": up('weight_filler { type: "constant" value: 1e99 }'),
    "no number": up('weight_filler { type: "constant" value: nan }'),
    "no filler of Caffe's": up('weight_filler { type: "Bilinear" }'),
    "sparse": up("weight_filler { value: 1 sparse: 2 }"),
    "statistics": layer("up", "BatchNorm", ["c"], ["up"]),
    "a slope by default": layer("up", "PReLU", ["c"], ["up"]),
    "a scale by default": layer("up", "Scale", ["c"], ["up"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_anything_else_is_a_missing_weight(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="layer 'up' .* has no weights in the file"):
        dumped(tmp_path, DATA + CONV + REFUSED[name], FILE)


def test_a_random_filler_is_named_and_nothing_is_offered_that_would_not_help(
    tmp_path: Path,
) -> None:
    text = DATA + CONV + up('weight_filler { type: "xavier" }')
    with pytest.raises(
        BadInput, match=r"in the file \(Caffe fills it at random: xavier\)"
    ) as caught:
        dumped(tmp_path, text, FILE)
    assert "--ignore-layer" not in caught.value.message
    with pytest.raises(BadInput, match="--ignore-layer NAME"):
        dumped(
            tmp_path,
            text,
            FILE + encode.layer("current", "stranger", "InnerProduct", [encode.blob(random(2, 2))]),
        )


def test_without_any_file_nothing_is_filled(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="add --caffemodel"):
        dumped(tmp_path, DATA + CONV + up(BILINEAR), None)


def test_a_layer_that_is_there_with_too_few_blobs_is_not_filled(tmp_path: Path) -> None:
    """Caffe aborts: the numbers of blobs differ (net.cpp, CopyTrainedLayersFrom)."""
    for blobs in ([], [random(4, 1, 4, 4)]):
        weights = FILE + encode.net("current", [("up", "Deconvolution", blobs)])
        with pytest.raises(BadInput, match="'up'"):
            dumped(tmp_path, DATA + CONV + up(BILINEAR, ""), weights)


def test_a_renamed_layer_is_still_told(tmp_path: Path) -> None:
    """Its weights are in the file under another name: the filler's would be others."""
    legacy = encode.layer(
        "v1", "upscore", "Deconvolution", [encode.blob(random(4, 1, 4, 4), legacy=True)]
    )
    (tmp_path / "old.caffemodel").write_bytes(legacy)
    net = net_from_text(DATA + CONV + up(BILINEAR), "net.prototxt")
    weights = read_weights(tmp_path / "old.caffemodel", net)
    assert not with_fillers(weights, net, {"data": (1, 3, 8, 8)}).made
    both = FILE + encode.net("current", [("upscore", "Deconvolution", [random(4, 1, 4, 4)])])
    with pytest.raises(
        BadInput, match="'up' .* has no weights|'upscore' of the caffemodel has no place in the net"
    ):
        dumped(tmp_path, DATA + CONV + up(BILINEAR), both)


SHARED = 'param { name: "w" }'


def shared(name: str) -> str:
    return up(BILINEAR, name=name).replace("convolution_param", f"{SHARED} convolution_param")


def test_layers_that_share_the_filled_blob_get_it_too(tmp_path: Path) -> None:
    dump = dumped(tmp_path, DATA + CONV + shared("up") + shared("up2"), FILE)
    assert np.array_equal(params(dump)["up2"][0], params(dump)["up"][0])
    assert made(dump).tied == {"up2.weight": "up.weight"}


def test_a_blob_that_another_layer_has_in_the_file_is_not_filled(tmp_path: Path) -> None:
    kernel = random(4, 1, 4, 4)
    weights = FILE + encode.net("current", [("up2", "Deconvolution", [kernel])])
    dump = dumped(tmp_path, DATA + CONV + shared("up") + shared("up2"), weights)
    assert np.array_equal(params(dump)["up"][0], kernel)
    assert not dump.notes


@pytest.mark.parametrize(("size", "older"), [(2, True), (4, False), (5, False), (6, True)])
def test_a_kernel_that_older_caffes_made_otherwise_is_said(
    size: int, older: bool, tmp_path: Path
) -> None:
    text = DATA + CONV + up(BILINEAR).replace("kernel_size: 4", f"kernel_size: {size}")
    (note,) = dumped(tmp_path, text, FILE).notes
    assert ("older Caffes made other values" in note) == older


def test_the_reports_own_file(reports: Path, tmp_path: Path) -> None:
    folder = reports / "bilinear_filler_not_in_file"
    text = (folder / "net.prototxt").read_text()
    dump = dumped(tmp_path, text, (folder / "net.caffemodel").read_bytes())
    assert params(dump)["up"][0].shape == (4, 1, 4, 4)
    assert net_from_text(text, "net.prototxt").layers[-1].name == "up"
