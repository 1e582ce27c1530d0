"""Forks' spellings of what stock Caffe can do: rewritten, said once, and given to Caffe.

tests/container/test_dialect.py asks Caffe.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from decant.engines.caffe import foreign_to_caffe
from decant.loader.definition.graph import Net, net_from_text
from decant.loader.definition.prototxt import Message, parse
from decant.loader.definition.schema import faults
from decant.loader.errors import Unsupported
from tests.helpers.converting import conv, converted, input_layer, layer, random, write_pair

HEAD = input_layer("data", 1, 3, 16, 16)
WEIGHTS = [("c", "Convolution", [random(4, 3, 3, 3), random(4)])]
OUT = "is left out: a choice of implementation or of training"


def net(text: str) -> Net:
    return net_from_text(HEAD + text, "net.prototxt")


def given(found: Net) -> Message:
    """What Caffe is given: something that its parser takes."""
    tree = parse(found.run_text, "run_text")
    assert list(faults(tree, "Net")) == [] == foreign_to_caffe(found)
    return tree


def param(found: Net, name: str) -> Message:
    """Of the net's last layer, as Caffe gets it."""
    return given(found).messages("layer")[-1].message(name)


def values(message: Message) -> list[tuple[str, object]]:
    return [(item.name, item.value) for item in message.fields]


# --------------------------------------------------------------------------------------------- hole


@pytest.mark.parametrize(
    ("hole", "dilation", "said"),
    [
        ("hole: 2", ["2"], "hole read as dilation"),
        ("hole_h: 2 hole_w: 3", ["2", "3"], "hole_h and hole_w read as dilation"),
        ("hole_w: 3 hole_h: 2", ["2", "3"], "hole_h and hole_w read as dilation"),
        ("hole_h: 2 hole_w: 1", ["2", "1"], "hole_h and hole_w read as dilation"),
        ("hole: 0x4", ["0x4"], "hole read as dilation"),
    ],
)
@pytest.mark.parametrize("kind", ["Convolution", "DepthwiseConvolution", "ConvolutionDepthwise"])
def test_hole_is_dilation(kind: str, hole: str, dilation: list[str], said: str) -> None:
    text = conv("c", "data", "c", f"kernel_size: 3 {hole} pad: 2").replace(
        '"Convolution"', f'"{kind}"'
    )
    found = net(text)
    assert found.notes == [said]
    assert found.layers[1].fields.message("convolution_param").texts("dilation") == dilation
    if kind == "Convolution":
        assert param(found, "convolution_param").texts("dilation") == dilation


@pytest.mark.parametrize("hole", ["hole: 1", "hole_h: 1", "hole: 1 hole_h: 1 hole_w: 1"])
@pytest.mark.parametrize("kind", ["Convolution", "Deconvolution"])
def test_a_hole_of_one_is_none(kind: str, hole: str) -> None:
    found = net(conv("c", "data", "c", f"kernel_size: 3 {hole}").replace("Convolution", kind))
    assert found.notes == ["hole of 1 is left out: it is none"]
    assert values(param(found, "convolution_param")) == [("num_output", "4"), ("kernel_size", "3")]


@pytest.mark.parametrize(
    "hole",
    [
        "hole_h: 2",
        "hole_w: 2",
        "hole: 2 hole_h: 2 hole_w: 2",
        "hole: 2 dilation: 2",
        "hole: x",
        "hole: 2 hole: 2",
        "hole: 1 hole: 2",
        "hole_h: 2 hole_w: 2 hole_w: 3",
    ],
)
def test_holes_that_do_not_go_together_are_refused(hole: str, tmp_path: Path) -> None:
    write_pair(tmp_path, HEAD + conv("c", "data", "c", f"kernel_size: 3 {hole}"), WEIGHTS)
    with pytest.raises(Unsupported, match="hole|dilation"):
        converted(tmp_path)


def test_a_deconvolution_with_holes_is_refused(tmp_path: Path) -> None:
    text = conv("c", "data", "c", "kernel_size: 3 hole: 2").replace("Convolution", "Deconvolution")
    write_pair(tmp_path, HEAD + text, [("c", "Deconvolution", [random(3, 4, 3, 3), random(4)])])
    with pytest.raises(Unsupported, match="convolution_param.hole"):
        converted(tmp_path)


# ----------------------------------------------------------------------- choices of implementation

HARMLESS = [
    ('engine: "MKL2017"', "engine: MKL2017"),
    ("forward_type: FLOAT16 forward_math: FLOAT16", "forward_type: FLOAT16"),
    ("cudnn_math_override: 1", "cudnn_math_override: 1"),
    ("multinode { num_nodes: 2 }", "multinode"),
    ("blobs_lr: 1 blobs_lr: 2 weight_decay: 0", "blobs_lr: 1"),
    ("loss_param { weight_by_label_freqs: true }", "weight_by_label_freqs: true"),
    ("transform_param { resize_param { height: 3 } }", "resize_param"),
]
IN_PARAMS = [
    ("Convolution", "convolution_param", "num_output: 4 kernel_size: 3", "engine: MKLDNN"),
    ("Convolution", "convolution_param", "num_output: 4 kernel_size: 3", "engine: 3"),
    ("Convolution", "convolution_param", "num_output: 4 kernel_size: 3", "engine: CUDNN"),
    ("Convolution", "convolution_param", "num_output: 4 kernel_size: 3", "relu: false"),
    ("Convolution", "convolution_param", "num_output: 4 kernel_size: 3", "conv_algorithm: winograd"),
    ("Convolution", "convolution_param", "num_output: 4 kernel_size: 3", "cudnn_convolution_algo_seeker: FINDEX"),
    ("Pooling", "pooling_param", "kernel_size: 2", "engine: MKL2017"),
    ("Pooling", "pooling_param", "kernel_size: 2", "avg_include_pad: true"),
    ("Pooling", "pooling_param", "kernel_size: 2", "ceil_mode: true"),
    ("ReLU", "relu_param", "negative_slope: 0.1", "engine: CUDNN"),
    ("ReLU", "relu_param", "negative_slope: 0.1", "fuse: false"),
    ("LRN", "lrn_param", "local_size: 3", "engine: MKLDNN"),
    ("Concat", "concat_param", "axis: 1", "engine: MKLDNN"),
    ("Eltwise", "eltwise_param", "operation: SUM", "engine: MKLDNN"),
    ("Softmax", "softmax_param", "axis: 1", "engine: 2"),
    ("InnerProduct", "inner_product_param", "num_output: 4", "engine: MKLDNN"),
    ("BatchNorm", "batch_norm_param", "eps: 0.001", "engine: MKLDNN"),
    ("BatchNorm", "batch_norm_param", "eps: 0.001", "scale_bias: false"),
    ("BatchNorm", "batch_norm_param", "eps: 0.001", "use_weight_bias: false"),
    ("Dropout", "dropout_param", "dropout_ratio: 0.3", "scale_train: true"),
    ("Dropout", "dropout_param", "dropout_ratio: 0.3", "sample_weights_test: false"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "said"), HARMLESS)
def test_a_layers_field_that_changes_nothing_is_left_out(field: str, said: str) -> None:
    found = net(layer("r", "ReLU", "data", "r", field))
    assert f"{said} {OUT}" in found.notes
    (last,) = given(found).messages("layer")[1:]
    assert {item.name for item in last.fields} <= {
        "name",
        "type",
        "bottom",
        "top",
        "loss_param",
        "transform_param",
    }
    assert not last.message("loss_param").fields and not last.message("transform_param").fields


@pytest.mark.parametrize(("kind", "name", "own", "field"), IN_PARAMS)
def test_a_parameter_that_changes_nothing_is_left_out(
    kind: str, name: str, own: str, field: str
) -> None:
    with_it = net(layer("x", kind, "data", "x", f"{name} {{ {own} {field} }}"))
    without = net(layer("x", kind, "data", "x", f"{name} {{ {own} }}"))
    assert with_it.notes == [f"{field} {OUT}"]
    assert values(param(with_it, name)) == values(without.layers[1].fields.message(name))
    assert without.notes == [] and without.run_text == ""


@pytest.mark.parametrize("engine", ["DEFAULT", "CAFFE", "0", "1"])
def test_an_engine_that_caffe_has_on_the_cpu_stays(engine: str) -> None:
    assert net(layer("r", "ReLU", "data", "r", f"relu_param {{ engine: {engine} }}")).run_text == ""


@pytest.mark.parametrize(
    "field", ['engine: "MKLDNN"', "default_forward_type: FLOAT16", "compile_net_state { }"]
)
def test_a_nets_own_field_that_changes_nothing_is_left_out(field: str) -> None:
    found = net(f"{field} " + layer("r", "ReLU", "data", "r"))
    assert len(found.notes) == 1 and OUT in found.notes[0]
    given(found)


def test_a_nets_own_field_of_unknown_meaning_keeps_caffe_away() -> None:
    found = net('engine: "MKLDNN" novel_field: 3 ' + layer("r", "ReLU", "data", "r"))
    assert foreign_to_caffe(found) == ["line 2: field novel_field (a fork's)"]


def test_each_kind_is_said_once_with_the_number_of_its_layers() -> None:
    slow = "convolution_param { num_output: 4 kernel_size: 1 engine: MKLDNN }"
    text = "".join(layer(f"c{n}", "Convolution", "data", f"c{n}", slow) for n in range(5))
    text += layer("r", "ReLU", "data", "r", "relu_param { engine: CUDNN }")
    assert net(text).notes == [f"engine: MKLDNN {OUT} (5 layers)", f"engine: CUDNN {OUT}"]


CHANGES = [
    (layer("x", "Convolution", "data", "c", "convolution_param { num_output: 4 kernel_size: 3 relu: true }"), "relu"),
    (layer("x", "Pooling", "data", "c", "pooling_param { kernel_size: 2 avg_include_pad: false }"), "avg_include_pad"),
    (layer("x", "Pooling", "data", "c", "pooling_param { kernel_size: 2 axis: 2 }"), "axis"),
    (layer("x", "ReLU", "data", "c", "relu_param { fuse: true }"), "fuse"),
    (layer("x", "Dropout", "data", "c", "dropout_param { sample_weights_test: true }"), "sample_weights_test"),
    (layer("x", "ReLU", "data", "c", "novel: 1"), "novel is not supported"),
    # twice, and not the same
    (layer("x", "Pooling", "data", "c", "pooling_param { kernel_size: 2 ceil_mode: true ceil_mode: false }"), "ceil_mode stands 2"),
    (layer("x", "Dropout", "data", "c", "dropout_param { scale_train: true scale_train: false }"), "scale_train stands 2"),
    (layer("x", "ReLU", "data", "c", "relu_param { fuse: false fuse: true }"), "fuse"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), CHANGES)
def test_what_changes_something_is_still_refused(text: str, said: str, tmp_path: Path) -> None:
    weights = [("x", "Convolution", WEIGHTS[0][2])] if "num_output" in text else []
    text += conv("c2", "data", "c2") if not weights else ""
    write_pair(tmp_path, HEAD + text, weights or [("c2", "Convolution", WEIGHTS[0][2])])
    with pytest.raises(Unsupported, match=said):
        converted(tmp_path)


# ------------------------------------------------------------------------------ rounding and scaling


def test_ceil_mode_false_is_round_mode_floor(tmp_path: Path) -> None:
    text = HEAD + conv("c", "data", "c") + layer(
        "p", "Pooling", "c", "p", "pooling_param { kernel_size: 3 stride: 2 ceil_mode: false }"
    )  # fmt: skip
    found = net_from_text(text, "net.prototxt")
    assert param(found, "pooling_param").text("round_mode") == "FLOOR"
    write_pair(tmp_path, text, WEIGHTS)
    assert converted(tmp_path)["net"][-1]["shapes"] == [[1, 4, 6, 6]]


@pytest.mark.parametrize("ratio", [None, "0.5", "0.3", "0.9f", "0"])
def test_a_dropout_that_scales_at_test_is_a_power(ratio: str | None) -> None:
    written = f"dropout_ratio: {ratio}" if ratio else ""
    text = layer(
        "d", "Dropout", "data", "data", f"dropout_param {{ {written} scale_train: false }}"
    )
    found = net(text)
    power = given(found).messages("layer")[-1]
    assert (power.text("name"), power.text("type")) == ("d", "Power")
    assert power.texts("bottom") == power.texts("top") == ["data"]
    # dropout_layer.cpp of caffe-fast-rcnn, in its own precisions
    threshold = np.float32(float((ratio or "0.5").removesuffix("f")))
    scale = np.float32(1.0 / (1.0 - float(threshold)))
    assert np.float32(power.message("power_param").text("scale")) == np.float32(1.0 / float(scale))
    assert found.notes == [
        f"Dropout with scale_train: false read as a Power that multiplies by {np.float32(1.0 / float(scale))}"
    ]


@pytest.mark.parametrize("more", ["phase: TRAIN", "dropout_param { dropout_ratio: 1 }"])
def test_a_dropout_that_would_do_something_else_is_refused(more: str, tmp_path: Path) -> None:
    text = HEAD + conv("c", "data", "c")
    param = more if "ratio" in more else f"{more} dropout_param {{ }}"
    param = param.replace("dropout_param {", "dropout_param { scale_train: false")
    write_pair(tmp_path, text + layer("d", "Dropout", "c", "d", param), WEIGHTS)
    with pytest.raises(Unsupported, match="scale_train"):
        converted(tmp_path)


def test_the_artifact_computes_what_the_notes_say(tmp_path: Path) -> None:
    text = HEAD + conv("c", "data", "c", "kernel_size: 3 hole: 2 engine: MKLDNN")
    text += layer(
        "d", "Dropout", "c", "d", "dropout_param { dropout_ratio: 0.25 scale_train: false }"
    )
    write_pair(tmp_path, text, WEIGHTS)
    found = converted(tmp_path)
    assert [item["type"] for item in found["net"]] == ["Input", "Convolution", "Power"]
    source = (tmp_path / "artifacts/net/model.py").read_text()
    assert "dilation=2" in source and "0.75" in source


# ---------------------------------------------------------------------------------- legacy inputs

RELU = layer("r", "ReLU", "data", "r")


def test_a_legacy_input_that_a_layer_makes_is_left_out_as_caffe_does() -> None:
    found = net_from_text('input: "data"\n' + HEAD + RELU, "net.prototxt")
    assert found.inputs == {"data": (1, 3, 16, 16)}
    assert not given(found).has("input")
    assert found.notes == ["input 'data' is left out, as in Caffe: a layer makes it"]


def test_the_other_legacy_inputs_are_kept_for_a_shape() -> None:
    text = 'input: "data" input: "info"\n' + HEAD + RELU + layer("s", "Silence", "info", "")
    found = net_from_text(text, "net.prototxt")
    assert found.inputs == {"data": (1, 3, 16, 16), "info": None}
    assert given(found).texts("input") == ["info"]


def test_a_legacy_input_that_a_layer_works_on_in_place_is_kept() -> None:
    text = 'engine: "MKLDNN" input: "data" ' + layer("r", "ReLU", "data", "data")
    found = net_from_text(text, "net.prototxt")
    assert found.inputs == {"data": None} and given(found).texts("input") == ["data"]


@pytest.mark.parametrize("shape", ["input_dim: [1, 3, 4, 4]", "input_shape { dim: 1 }"])
def test_a_legacy_input_with_a_shape_beside_a_layer_is_refused_as_caffe_does(shape: str) -> None:
    with pytest.raises(Exception, match="makes 'data' a second time"):
        net_from_text(f'input: "data" {shape}\n' + HEAD + RELU, "net.prototxt")


@pytest.mark.parametrize("more", ["input_dim: [1, 3, 4, 4]", "input_shape { dim: 1 }"])
def test_a_shape_without_an_input_says_nothing_as_in_caffe(more: str) -> None:
    assert net_from_text(more + HEAD + RELU, "net.prototxt").inputs == {"data": (1, 3, 16, 16)}


def test_v0_passes_over_input_shape_and_is_refused_with_the_way_out() -> None:
    text = 'input: "data" input_shape { dim: [1, 2, 3, 4] }\nlayers { layer { name: "r" type: "relu" } bottom: "data" top: "r" }'
    with pytest.raises(Exception, match="net.prototxt:1: input_shape in a net of V0 layers"):
        net_from_text(text, "net.prototxt")
