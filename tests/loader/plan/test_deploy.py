"""A training definition becomes what a person would have written as its deploy file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from decant.loader.definition.graph import Net, net_from_text, outputs
from decant.loader.errors import BadInput, UsageError
from decant.loader.plan.deploy import deploy
from decant.loader.plan.outline import BlobShapes
from tests.helpers import encode_caffemodel as encode

CONV = 'layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 4 kernel_size: 3 } }'
FC = 'layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc" inner_product_param { num_output: 5 } }'
LOSS = 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }'
ACCURACY = 'layer { name: "accuracy" type: "Accuracy" bottom: "fc" bottom: "label" top: "accuracy" include { phase: TEST } }'
DATA = 'layer { name: "data" type: "Data" top: "data" top: "label" transform_param { crop_size: 27 mean_value: 1 mean_value: 2 mean_value: 3 } data_param { source: "x" } }'


def converted(
    text: str,
    shapes: dict[str, tuple[int, ...]] | None = None,
    weights: BlobShapes | None = None,
    file: str = "train.prototxt",
) -> Net:
    return deploy(net_from_text(text, file), shapes or {}, weights or {})


def kinds(net: Net) -> list[str]:
    return [layer.type for layer in net.layers]


def test_data_becomes_an_input_and_the_loss_its_softmax() -> None:
    net = converted(DATA + CONV + FC + LOSS + ACCURACY)
    assert kinds(net) == ["Input", "Convolution", "InnerProduct", "Softmax"]
    assert net.inputs == {"data": (1, 3, 27, 27)}
    assert outputs(net) == ["loss"]
    assert net.notes == [
        "data: Data became an input (data)",
        "loss: SoftmaxWithLoss became Softmax",
        "accuracy: Accuracy dropped",
        "outputs: 'loss' has the values of Softmax, where Caffe gives the loss, one number; "
        "'accuracy' left out",
    ]


def test_its_text_is_the_same_net_again() -> None:
    net = converted(DATA + CONV + FC + LOSS)
    again = net_from_text(net.run_text, "again")
    assert [(x.name, x.type, x.bottoms, x.tops) for x in again.layers] == [
        (x.name, x.type, x.bottoms, x.tops) for x in net.layers
    ]
    assert again.inputs == net.inputs
    assert deploy(again, {}, {}) is again


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        ('type: "MemoryData" top: "data" top: "label" memory_data_param { batch_size: 2 channels: 3 height: 8 width: 9 }', (2, 3, 8, 9)),
        ('type: "DummyData" top: "data" dummy_data_param { shape { dim: 1 dim: 3 dim: 8 dim: 9 } }', (1, 3, 8, 9)),
        ('type: "DummyData" top: "data" dummy_data_param { num: 2 channels: 3 height: 8 width: 9 }', (2, 3, 8, 9)),
        ('type: "ImageData" top: "data" top: "label" transform_param { force_color: true } image_data_param { source: "x" new_height: 8 new_width: 9 }', (1, 3, 8, 9)),
        ('type: "Data" top: "data" transform_param { crop_size: 8 force_gray: true } data_param { source: "x" }', (1, 1, 8, 8)),
        ('type: "WindowData" top: "data" top: "label" transform_param { crop_size: 8 mean_value: 1 mean_value: 1 mean_value: 1 } window_data_param { source: "x" }', (1, 3, 8, 8)),
    ],
)  # fmt: skip
def test_the_shape_comes_from_the_data_layer(layer: str, shape: tuple[int, ...]) -> None:
    net = converted(f'layer {{ name: "d" {layer} }}' + CONV)
    assert net.inputs == {"data": shape}
    assert net.layers[0].name == "d"


def test_the_channels_come_from_the_weights() -> None:
    text = (
        'layer { name: "data" type: "Data" top: "data" top: "label" transform_param { crop_size: 8 } }'
        + CONV
    )
    assert converted(text, weights={"conv": [(4, 7, 3, 3)]}).inputs == {"data": (1, 7, 8, 8)}
    with pytest.raises(UsageError, match="--input data=1,3,224,224"):
        converted(text)
    assert converted(text, {"data": (1, 2, 8, 8)}).inputs == {"data": (1, 2, 8, 8)}


def test_the_shape_comes_from_the_mean_file_beside_the_definition(tmp_path: Path) -> None:
    text = (
        'layer { name: "data" type: "Data" top: "data" top: "label" transform_param { mean_file: "data/mean.binaryproto" } }'
        + CONV
    )
    file = str(tmp_path / "train.prototxt")
    (tmp_path / "mean.binaryproto").write_bytes(encode.blob(np.ones((1, 3, 10, 12), np.float32)))
    assert converted(text, file=file).inputs == {"data": (1, 3, 10, 12)}
    crop = text.replace("mean_file", "crop_size: 8 mean_file")
    assert converted(crop, file=file).inputs == {"data": (1, 3, 8, 8)}
    (tmp_path / "mean.binaryproto").write_bytes(b"<html>")
    with pytest.raises(BadInput, match="not a mean file"):
        converted(text, file=file)


def test_all_unknown_shapes_are_named_at_once() -> None:
    text = 'layer { name: "a" type: "HDF5Data" top: "data" } layer { name: "b" type: "Data" top: "more" }'
    text += (
        CONV
        + 'layer { name: "c2" type: "Convolution" bottom: "more" top: "c2" convolution_param { num_output: 1 kernel_size: 1 } }'
    )
    with pytest.raises(UsageError) as caught:
        converted(text)
    assert "'data'" in str(caught.value)
    assert "'more'" in str(caught.value)


def test_what_only_labels_feed_is_dropped_too() -> None:
    text = DATA + 'layer { name: "flat" type: "Flatten" bottom: "label" top: "flat" }' + CONV + FC
    text += 'layer { name: "loss" type: "EuclideanLoss" bottom: "fc" bottom: "flat" top: "loss" }'
    net = converted(text)
    assert kinds(net) == ["Input", "Convolution", "InnerProduct"]
    assert outputs(net) == ["fc"]


def test_the_other_losses() -> None:
    base = DATA + CONV + FC
    sigmoid = converted(
        base
        + 'layer { name: "l" type: "SigmoidCrossEntropyLoss" bottom: "fc" bottom: "label" top: "l" }'
    )
    assert kinds(sigmoid)[-1] == "Sigmoid"
    gain = converted(
        base
        + 'layer { name: "l" type: "InfogainLoss" bottom: "fc" bottom: "label" top: "l" infogain_loss_param { axis: -1 source: "m" } }'
    )
    assert kinds(gain)[-1] == "Softmax"
    assert gain.layers[-1].fields.message("softmax_param").text("axis") == "-1"
    hinge = converted(
        base + 'layer { name: "l" type: "HingeLoss" bottom: "fc" bottom: "label" top: "l" }'
    )
    assert outputs(hinge) == ["fc"]
    second = converted(
        base
        + 'layer { name: "l" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "l" top: "prob" }'
    )
    assert outputs(second) == ["prob"]


def test_training_layers_are_filtered_by_phase_first() -> None:
    train = DATA.replace("transform_param", "include { phase: TRAIN } transform_param").replace(
        "27", "99"
    )
    test = DATA.replace("transform_param", "include { phase: TEST } transform_param")
    assert converted(train + test + CONV + FC + LOSS).inputs == {"data": (1, 3, 27, 27)}


def test_a_deploy_file_is_left_alone() -> None:
    text = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }'
    net = net_from_text(text + CONV, "deploy.prototxt")
    assert deploy(net, {}, {}) is net


def test_what_is_made_of_a_loss_goes_with_it() -> None:
    half = (
        'layer { name: "half" type: "Power" bottom: "loss" top: "half" power_param { scale: 0.5 } }'
    )
    net = converted(DATA + CONV + FC + LOSS + half)
    assert kinds(net) == ["Input", "Convolution", "InnerProduct", "Softmax"]
    assert outputs(net) == ["loss"]
    both = 'layer { name: "e" type: "EuclideanLoss" bottom: "fc" bottom: "label" top: "e" } layer { name: "sum" type: "Eltwise" bottom: "loss" bottom: "e" top: "sum" }'
    assert outputs(converted(DATA + CONV + FC + LOSS + both)) == ["loss"]
    per_class = ACCURACY.replace('top: "accuracy"', 'top: "accuracy" top: "each"')
    quiet = 'layer { name: "quiet" type: "Silence" bottom: "each" }'
    assert "Silence" not in kinds(converted(DATA + CONV + FC + LOSS + per_class + quiet))


def test_losses_without_a_top_do_not_collide() -> None:
    bare = LOSS.replace(' top: "loss"', "")
    net = converted(DATA + CONV + FC + bare + bare)
    assert kinds(net)[-2:] == ["Softmax", "Softmax"]
    assert len(set(outputs(net))) == 2


OWN = 'layer { name: "lab" type: "Data" top: "label" data_param { source: "y" } }'
PICTURES = DATA.replace(' top: "label"', "")
HDF5 = (
    'layer { name: "h" type: "HDF5Data" top: "data" top: "label" hdf5_data_param { source: "x" } }'
)
FLAT = 'layer { name: "flat" type: "Flatten" bottom: "label" top: "flat" }'
FAR = 'layer { name: "loss" type: "EuclideanLoss" bottom: "fc" bottom: "flat" top: "loss" }'
QUIET = 'layer { name: "quiet" type: "Silence" bottom: "label" bottom: "data" }'


PYTHON = (
    'layer { name: "p" type: "Python" top: "data" top: "label" '
    'python_param { module: "own_data" layer: "Reader" } }'
)


def test_a_python_layer_without_bottoms_brings_data() -> None:
    with pytest.raises(UsageError, match="'data'"):
        converted(PYTHON + CONV + FC + LOSS)


@pytest.mark.parametrize(
    ("text", "output"),
    [
        (PYTHON + CONV + FC + LOSS, "loss"),
        (PICTURES + OWN + CONV + FC + LOSS, "loss"),
        (HDF5 + CONV + FC + FLAT + FAR, "fc"),
        (DATA + QUIET + CONV + FC + LOSS, "loss"),
    ],
)
def test_labels_are_known_by_who_reads_them(text: str, output: str) -> None:
    net = converted(text, {"data": (1, 3, 27, 27)})
    assert net.inputs == {"data": (1, 3, 27, 27)}
    assert outputs(net) == [output]


def test_a_label_that_the_net_computes_with_is_an_input() -> None:
    text = DATA + CONV + FC
    text += 'layer { name: "l2" type: "Power" bottom: "label" top: "l2" } layer { name: "e" type: "Eltwise" bottom: "fc" bottom: "l2" top: "e" }'
    with pytest.raises(UsageError, match="'label'"):
        converted(text)
    net = converted(text, {"label": (1, 5)})
    assert set(net.inputs) == {"data", "label"} and outputs(net) == ["e"]
