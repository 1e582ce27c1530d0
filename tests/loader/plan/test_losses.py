"""Losses of forks: dropped as stock losses are, with what they learnt, before a label is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from decant.loader.definition.graph import Net, net_from_text, outputs
from decant.loader.definition.schema import unknown_to_caffe
from decant.loader.errors import BadInput, Unsupported, UsageError
from decant.loader.plan.deploy import deploy
from tests.helpers.converting import conv, converted, layer, random, write_pair

DATA = layer(
    "data", "Data", "", "data label", "transform_param { crop_size: 8 } data_param { source: 'x' }"
)
HEAD = conv("c", "data", "c") + layer(
    "fc", "InnerProduct", "c", "fc", "inner_product_param { num_output: 5 }"
)
SHAPES = {"data": (1, 3, 8, 8)}


def deployed(text: str, plugins: dict[str, object] | None = None) -> Net:
    return deploy(net_from_text(DATA + HEAD + text, "net"), SHAPES, {}, None, plugins)  # type: ignore[arg-type]


LOSSES = [
    layer("x", "CenterLoss", "fc label", "x", "center_loss_param { num_output: 5 }"),
    layer("x", "TripletLoss", "fc fc fc", "x", "triplet_loss_param { margin: 1 }"),
    layer("x", "MultiBoxLoss", "fc fc c label", "x", "multibox_loss_param { num_classes: 2 }"),
    layer("x", "SmoothL1LossOHEM", "fc label", "x y", "smooth_l1_loss_param { sigma: 3 }"),
    layer("x", "WeightedSoftmaxWithLoss2", "fc label c", "x"),
    layer("x", "ContrastiveLossV2", "fc fc label", "x"),
    layer("x", "MultiLabelAccuracy", "fc label", "x"),
    layer("x", "DetectionEvaluate", "fc label", "x", "detection_evaluate_param { num_classes: 2 }"),
    layer("x", "MadeUp", "fc label", "x", "loss_weight: 0.5"),
    layer("x", "Python", "fc label", "x", "python_param { module: 'm' layer: 'PairLossLayer' }"),
    layer("x", "Python", "fc label", "x", "python_param { module: 'm' layer: 'Pair' } loss_weight: 1"),
    layer("x", "LargeMarginInnerProduct", "fc label", "x lambda",
          "largemargin_inner_product_param { num_output: 5 type: DOUBLE }")
    + layer("l", "SoftmaxWithLoss", "x label", "l"),
    layer("x", "MarginInnerProduct", "fc label", "x lambda", "margin_inner_product_param { num_output: 5 type: SINGLE }")
    + layer("l", "SoftmaxWithLoss", "x label", "l"),
]  # fmt: skip


@pytest.mark.parametrize("text", LOSSES)
def test_a_loss_of_a_fork_is_dropped(text: str) -> None:
    net = deployed(text)
    assert [x.type for x in net.layers] == ["Input", "Convolution", "InnerProduct"]
    assert outputs(net) == ["fc"] and not unknown_to_caffe(net)
    assert "x" in net.left_out and any(note.startswith("x: ") for note in net.notes)


def test_one_that_holds_a_softmax_becomes_it() -> None:
    net = deployed(layer("x", "SoftmaxWithLossOHEM", "fc label", "x", "softmax_param { axis: 1 }"))
    assert [x.type for x in net.layers][-1] == "Softmax"


def test_a_plugin_of_that_type_is_nothing_that_is_dropped() -> None:
    text = layer("x", "FocalLoss", "fc", "x")
    assert deployed(text, {"FocalLoss": object()}).layers[-1].type == "FocalLoss"
    assert deployed(text).layers[-1].type == "InnerProduct"


@pytest.mark.parametrize(
    ("kind", "param"),
    [("LabelSpecificAdd", "label_specific_add_param { bias: -0.35 }"),
     ("LabelSpecificMargin", "label_specific_margin_param { margin: 0.5 }"),
     ("LabelSpecificRescale", "label_specific_rescale_param { positive_weight: 0.9 }")],
)  # fmt: skip
def test_a_margin_for_the_label_is_nothing_at_test(kind: str, param: str) -> None:
    loss = layer("l", "SoftmaxWithLoss", "{} label", "l")
    net = deployed(layer("m", kind, "fc label", "m", param) + loss.replace("{}", "m"))
    assert [x.type for x in net.layers][-2:] == ["Split", "Softmax"]
    in_place = deployed(layer("m", kind, "fc label", "fc", param) + loss.replace("{}", "fc"))
    assert [x.type for x in in_place.layers][-2:] == ["InnerProduct", "Softmax"]
    flag = {"LabelSpecificAdd": "transform_test", "LabelSpecificMargin": "margin_on_test",
            "LabelSpecificRescale": "rescale_test"}[kind]  # fmt: skip
    asked = layer("m", kind, "fc label", "m", param.replace("{", "{ " + flag + ": true"))
    with pytest.raises(Unsupported, match=kind):
        deployed(asked + loss.replace("{}", "m"))


def test_l_softmax_without_a_margin_is_a_product(tmp_path: Path) -> None:
    """largemargin_inner_product_layer.cpp, SINGLE: x w, no bias, and the label is not looked at."""
    param = "largemargin_inner_product_param { num_output: 6 type: SINGLE base: 1000 }"
    text = layer("ip", "LargeMarginInnerProduct", "fc label", "ip lambda", param)
    net = deployed(text + layer("l", "SoftmaxWithLoss", "ip label", "l"))
    assert [x.type for x in net.layers][-2:] == ["InnerProduct", "Softmax"]
    assert not net.layers[-2].fields.message("inner_product_param").boolean("bias_term", True)


def test_unknown_types_are_named_before_a_labels_shape() -> None:
    with pytest.raises(Unsupported, match="layer 'x' \\(Embedder\\)") as caught:
        deployed(layer("x", "Embedder", "fc label", "x") + layer("y", "Other", "x", "y"))
    assert len(caught.value.details) == 2
    with pytest.raises(UsageError, match="'label'"):
        deployed(layer("x", "Eltwise", "fc label", "x"))


def test_its_centres_in_the_file_are_left_out(tmp_path: Path) -> None:
    text = (
        DATA.replace("crop_size: 8", "crop_size: 8 mean_value: 1 mean_value: 2 mean_value: 3")
        + HEAD
    )
    text += layer("l", "SoftmaxWithLoss", "fc label", "l") + LOSSES[0]
    weights = [
        ("c", "Convolution", [random(4, 3, 3, 3), random(4)]),
        ("fc", "InnerProduct", [random(5, 144), random(5)]),
    ]
    write_pair(tmp_path, text, [*weights, ("x", "CenterLoss", [random(5, 5)])])
    manifest = converted(tmp_path)
    assert manifest["left_out"]["x"] == "CenterLoss dropped"
    assert "x: CenterLoss dropped, and the parameters that it may have" in manifest["changes"]
    assert [item["blob"] for item in manifest["outputs"]] == ["l"]
    write_pair(tmp_path, text, [*weights, ("stranger", "CenterLoss", [random(5, 5)])])
    with pytest.raises(BadInput, match="stranger"):
        converted(tmp_path)


CHANGED = [
    (layer("loss", "SigmoidCrossEntropyLoss", "fc label", "loss"),
     "outputs: 'loss' has the values of Sigmoid, where Caffe gives the loss, one number"),
    (layer("loss", "EuclideanLoss", "fc label", "loss"),
     "outputs: 'loss' left out; 'fc' is one now"),
    (layer("loss", "SoftmaxWithLoss", "fc label", "loss prob"), "outputs: 'loss' left out"),
    (layer("loss", "SoftmaxWithLoss", "fc label", ""), "outputs: 'loss' is one now"),
    (layer("p", "Softmax", "fc", "p"), None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), CHANGED)
def test_what_changed_in_the_outputs_is_said(text: str, said: str | None) -> None:
    """A discriminator's loss is an output of one number in Caffe; here its values are."""
    notes = [note for note in deployed(text).notes if note.startswith("outputs: ")]
    assert notes == ([said] if said else [])


def test_each_of_two_losses_of_one_name_is_said_to_be_its_function() -> None:
    found = deployed(
        layer("l", "SoftmaxWithLoss", "fc label", "a")
        + layer("l", "SoftmaxWithLoss", "fc label", "b")
    )
    (note,) = [note for note in found.notes if note.startswith("outputs: ")]
    assert "'a' has the values of Softmax" in note and "'b' has the values of Softmax" in note
