"""An input of another size than the weights were trained on: the one that they fit is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from decant.loader.definition.graph import Net, net_from_text, read_net
from decant.loader.errors import BadInput
from decant.loader.plan.fit import refuse_other_input
from tests.helpers import encode_caffemodel as encode
from tests.helpers.nets import inputs_text, layer
from tests.helpers.pairs import random, stage
from tests.helpers.random_weights import random_blobs
from tests.helpers.structures import STRUCTURES

Shape = tuple[int, ...]


def conv(name: str, bottom: str, param: str) -> str:
    return layer(name, "Convolution", [bottom], [name], f"convolution_param {{ {param} }}")


def pool(name: str, bottom: str) -> str:
    return layer(
        name, "Pooling", [bottom], [name], "pooling_param { pool: MAX kernel_size: 2 stride: 2 }"
    )


def full(name: str, bottom: str, outputs: int = 5, more: str = "") -> str:
    param = f"inner_product_param {{ num_output: {outputs} {more} }}"
    return layer(name, "InnerProduct", [bottom], [name], param)


def text(shape: Shape, body: str, **others: Shape) -> str:
    return inputs_text({"data": shape, **others}) + body


PLAIN = conv("c", "data", "num_output: 4 kernel_size: 3") + full("fc", "c")
POOLED = (
    conv("c", "data", "num_output: 4 kernel_size: 3")
    + pool("p", "c")
    + pool("q", "p")
    + full("fc", "q")
)
TWO_FULL = PLAIN + full("fc2", "fc", 3)
FLAT = full("fc", "data")


def trained(body: str, shape: Shape) -> dict[str, list[Shape]]:
    """The shapes of the weights of this net, trained on inputs of this shape."""
    net = net_from_text(text(shape, body), "net.prototxt")
    return {
        item.name: [array.shape for array in blobs]
        for item, blobs in zip(net.layers, random_blobs(net), strict=True)
        if blobs
    }


def refusal(net: Net, held: dict[str, list[Shape]]) -> str:
    shapes = {blob: shape or () for blob, shape in net.inputs.items()}
    with pytest.raises(BadInput) as caught:
        refuse_other_input(net, shapes, held)
    assert caught.value.message.startswith("net.prototxt: line ")
    assert "\n" not in caught.value.message
    return caught.value.message


FITS: dict[str, tuple[str, Shape, Shape, str]] = {
    "a square": (PLAIN, (1, 3, 20, 20), (1, 3, 16, 16), "16 x 16: --input data=1,3,16,16"),
    "larger": (PLAIN, (1, 3, 20, 20), (1, 3, 300, 300), "--input data=1,3,300,300"),
    "the same proportion": (PLAIN, (1, 3, 20, 40), (1, 3, 12, 24), "12 x 24: --input data=1,3,12,24"),
    "a square after all": (PLAIN, (1, 3, 20, 40), (1, 3, 16, 16), "--input data=1,3,16,16"),
    "several sizes": (POOLED, (1, 3, 64, 64), (1, 3, 32, 32), "32 x 32 (a longer side of 31 to 34 fits)"),
    "two layers": (TWO_FULL, (1, 3, 20, 20), (1, 3, 9, 9), "--input data=1,3,9,9"),
    "other channels": (PLAIN, (1, 3, 28, 28), (1, 1, 28, 28), "28 x 28 with 1 channel: --input data=1,1,28,28"),
    "channels and size": (PLAIN, (1, 3, 20, 20), (1, 1, 28, 28), "--input data=1,1,28,28"),
    "the batch stays": (PLAIN, (4, 3, 20, 20), (4, 3, 16, 16), "--input data=4,3,16,16"),
    "rows of values": (FLAT, (1, 100), (1, 784), "--input data=1,784"),
    "transposed weights": (
        conv("c", "data", "num_output: 4 kernel_size: 3") + full("fc", "c", 5, "transpose: true"),
        (1, 3, 20, 20), (1, 3, 16, 16), "--input data=1,3,16,16",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FITS)
def test_the_input_that_fits_is_named(name: str) -> None:
    body, given, right, expected = FITS[name]
    net = net_from_text(text(given, body), "net.prototxt")
    assert expected in refusal(net, trained(body, right))
    refuse_other_input(net, {"data": right}, trained(body, right))


def test_legacy_shapes_of_old_files_are_understood() -> None:
    held = {name: list(shapes) for name, shapes in trained(PLAIN, (1, 3, 16, 16)).items()}
    held["fc"] = [(1, 1, *held["fc"][0]), (1, 1, 1, 5)]
    net = net_from_text(text((1, 3, 20, 20), PLAIN), "net.prototxt")
    assert "--input data=1,3,16,16" in refusal(net, held)


@pytest.mark.parametrize("name", ["resnet", "hed", "light_cnn"])
def test_whole_nets_with_their_own_weights_are_left_alone(name: str) -> None:
    net = net_from_text(STRUCTURES[name](), "net.prototxt")
    shapes = {blob: shape or () for blob, shape in net.inputs.items()}
    held = {
        item.name: [array.shape for array in blobs]
        for item, blobs in zip(net.layers, random_blobs(net), strict=True)
        if blobs
    }
    refuse_other_input(net, shapes, held)


NO_CLAIM = {
    "another number of outputs": (PLAIN, {"fc": [(7, 784), (7,)]}),
    "weights that no size gives": (PLAIN, {"fc": [(5, 787), (5,)]}),
    "another kernel": (PLAIN, {"c": [(4, 3, 5, 5), (4,)]}),
    "nothing held": (PLAIN, {"fc": []}),
}


@pytest.mark.parametrize("name", NO_CLAIM)
def test_no_size_is_claimed_where_none_fits(name: str) -> None:
    body, change = NO_CLAIM[name]
    net = net_from_text(text((1, 3, 20, 20), body), "net.prototxt")
    refuse_other_input(net, {"data": (1, 3, 20, 20)}, {**trained(body, (1, 3, 16, 16)), **change})


def test_an_unsupported_layer_on_the_way_leaves_it_open() -> None:
    body = layer("odd", "Odd", ["data"], ["odd"]) + full("fc", "odd")
    net = net_from_text(text((1, 3, 20, 20), body), "net.prototxt")
    refuse_other_input(net, {"data": (1, 3, 20, 20)}, {"fc": [(5, 784), (5,)]})


@pytest.mark.parametrize("engine", ["reader", "caffe"])
def test_it_is_said_before_an_engine_runs(engine: str, tmp_path: Path) -> None:
    weights = encode.net(
        "current",
        [
            ("c", "Convolution", [random(4, 3, 3, 3), random(4)]),
            ("fc", "InnerProduct", [random(5, 784), random(5)]),
        ],
    )
    with pytest.raises(BadInput, match="--input data=1,3,16,16") as caught:
        stage(tmp_path, text((1, 3, 20, 20), PLAIN), weights, engine)
    assert caught.value.code == 3
    found = stage(tmp_path, text((1, 3, 20, 20), PLAIN), weights, shapes={"data": (1, 3, 16, 16)})
    assert found.inputs == {"data": (1, 3, 16, 16)}


def test_the_reports_own_file(reports: Path) -> None:
    net = read_net(reports / "input_size_differs/net.prototxt")
    held = {"c": [(4, 3, 3, 3), (4,)], "fc8": [(5, 784), (5,)]}
    with pytest.raises(BadInput, match="16 x 16: --input data=1,3,16,16"):
        refuse_other_input(net, {"data": (1, 3, 20, 20)}, held)
    assert np.prod(held["fc8"][0]) == 5 * 784
