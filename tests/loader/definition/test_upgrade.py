"""Old dialects, with what Caffe's own upgrade makes of them (util/upgrade_proto.cpp) beside each."""

from __future__ import annotations

import pytest

from decant.loader.definition.graph import Layer, Net, net_from_text
from decant.loader.definition.prototxt import Message
from decant.loader.errors import BadInput
from decant.loader.weights.era import V0_TYPES, V1_TYPES

INPUT = 'input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8\n'


def net(text: str) -> Net:
    return net_from_text(INPUT + text, "net.prototxt")


def values(message: Message) -> dict[str, object]:
    """A message of single fields; lists where a field repeats."""
    found: dict[str, object] = {}
    for item in message.fields:
        value = values(item.value) if isinstance(item.value, Message) else item.value
        if item.name in found:
            before = found[item.name]
            found[item.name] = [*before, value] if isinstance(before, list) else [before, value]
        else:
            found[item.name] = value
    return found


def v0(kind: str, fields: str = "", bottom: str = "data", top: str = "t", name: str = "l") -> str:
    return (
        f'layers {{ layer {{ name: "{name}" type: "{kind}" {fields} }} '
        f' bottom: "{bottom}" top: "{top}" }}\n'
    )


# data layers have no bottoms, and what only reads has no tops
BRINGS = {"Data", "DummyData", "HDF5Data", "ImageData", "MemoryData", "WindowData"}
READS = {"HDF5Output", "Silence"}


def wired(text: str, kind: str) -> str:
    """`text` of a layer of this type, with the bottom and the top that it may have."""
    text = text.replace(' bottom: "data"', "") if kind in BRINGS else text
    return text.replace(' top: "t"', "") if kind in READS else text


def only(found: Net) -> Layer:
    layers = [layer for layer in found.layers if layer.type != "Input"]
    assert len(layers) == 1
    return layers[0]


# ----------------------------------------------------------------------------------------------- V0

MOVES = [
    (
        "conv",
        "num_output: 4 biasterm: false pad: 2 kernelsize: 5 group: 2 stride: 3",
        "convolution_param",
        {"num_output": "4", "bias_term": "false", "pad": "2", "kernel_size": "5", "group": "2",
         "stride": "3"},
    ),
    (
        "conv",
        "weight_filler { type: 'gaussian' std: 0.01 } bias_filler { value: 1 }",
        "convolution_param",
        {"weight_filler": {"type": "gaussian", "std": "0.01"}, "bias_filler": {"value": "1"}},
    ),
    (
        "innerproduct",
        "num_output: 4 biasterm: false weight_filler { } bias_filler { value: 1 }",
        "inner_product_param",
        {"num_output": "4", "bias_term": "false", "weight_filler": {}, "bias_filler": {"value": "1"}},
    ),
    (
        "pool",
        "pool: AVE kernelsize: 3 stride: 2 pad: 1",
        "pooling_param",
        {"pool": "AVE", "kernel_size": "3", "stride": "2", "pad": "1"},
    ),
    ("dropout", "dropout_ratio: 0.2", "dropout_param", {"dropout_ratio": "0.2"}),
    (
        "lrn",
        "local_size: 3 alpha: 0.1 beta: 0.5 k: 2",
        "lrn_param",
        {"local_size": "3", "alpha": "0.1", "beta": "0.5", "k": "2"},
    ),
    ("concat", "concat_dim: 0", "concat_param", {"concat_dim": "0"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "fields", "place", "expected"), MOVES)
def test_the_fields_of_a_v0_layer_move_into_its_parameters(
    kind: str, fields: str, place: str, expected: dict[str, object]
) -> None:
    layer = only(net(v0(kind, fields)))
    assert layer.type == V0_TYPES[kind]
    assert values(layer.fields.message(place)) == expected


def test_a_v0_field_keeps_its_line() -> None:
    layer = only(
        net('layers {\n layer {\n name: "l"\n type: "conv"\n num_output: 2 }\n bottom: "data"\n}')
    )
    assert layer.line == 2
    assert layer.fields.message("convolution_param").fields[0].line == 6


@pytest.mark.parametrize("kind", ["relu", "tanh", "lrn", "pool", "softmax"])
def test_a_field_that_the_type_does_not_take_is_dropped_as_in_caffe(kind: str) -> None:
    layer = only(net(v0(kind, "num_output: 5 biasterm: false group: 2")))
    assert not layer.fields.has("convolution_param")
    assert not layer.fields.has("inner_product_param")


@pytest.mark.parametrize("word", sorted(V0_TYPES))
def test_every_v0_word_has_its_type(word: str) -> None:
    kind = V0_TYPES[word]
    assert only(net(wired(v0(word), kind))).type == kind


@pytest.mark.parametrize("word", ["CONVOLUTION", "Convolution", "Conv", ""])
def test_a_word_of_another_layout_in_v0_is_refused_with_its_line(word: str) -> None:
    with pytest.raises(BadInput, match=r"net.prototxt:3: layer 'l'") as caught:
        net("\n" + v0(word))
    assert repr(word) in caught.value.message
    assert ("is it conv?" in caught.value.message) is (word == "Conv")


@pytest.mark.parametrize("word", ["eltwise", "unknown"])
def test_a_word_that_v0_never_had_is_kept_for_the_plan_to_name(word: str) -> None:
    assert only(net(v0(word, "novel: 1"))).type == word


def test_a_field_that_v0_never_had_is_kept_for_the_plan_to_refuse() -> None:
    assert only(net(v0("relu", "novel: 1 pad: 2"))).fields.texts("novel") == ["1"]


def test_only_the_wiring_of_the_outer_v0_layer_survives() -> None:
    text = (
        'layers { layer { name: "l" type: "relu" } bottom: "data" top: "t" name: "outer" '
        "include { phase: TRAIN } relu_param { negative_slope: 1 } }"
    )
    layer = only(net(text))
    assert (layer.name, layer.bottoms, layer.tops) == ("l", ("data",), ("t",))
    assert not layer.fields.has("relu_param")
    assert not layer.fields.has("include")


def test_a_padding_layer_is_folded_into_the_convolution_that_reads_it() -> None:
    found = net(
        v0("padding", "pad: 2", top="p", name="pad") + v0("conv", "kernelsize: 3", "p", "c")
    )
    layer = only(found)
    assert (layer.name, layer.bottoms, layer.tops) == ("l", ("data",), ("c",))
    assert values(layer.fields.message("convolution_param")) == {"kernel_size": "3", "pad": "2"}


def test_a_padding_layer_is_folded_into_a_pooling() -> None:
    layer = only(net(v0("padding", "pad: 1", top="p") + v0("pool", "kernelsize: 3", "p", "c")))
    assert values(layer.fields.message("pooling_param")) == {"kernel_size": "3", "pad": "1"}


def test_one_padding_layer_may_have_several_readers() -> None:
    text = v0("padding", "pad: 1", top="p")
    text += v0("conv", "", "p", "a", "a") + v0("conv", "", "p", "b", "b")
    layers = net(text).layers[1:]
    assert [layer.bottoms for layer in layers] == [("data",), ("data",)]
    assert [values(layer.fields.message("convolution_param")) for layer in layers] == [
        {"pad": "1"}
    ] * 2


def test_a_padding_layer_without_a_size_pads_nothing() -> None:
    layer = only(net(v0("padding", top="p") + v0("conv", "kernelsize: 3", "p", "c")))
    assert layer.fields.message("convolution_param").text("pad") == "0"


def test_the_padding_layer_wins_over_the_convolutions_own_pad() -> None:
    """`set_pad` replaces: upgrade_proto.cpp, UpgradeV0PaddingLayers."""
    layer = only(net(v0("padding", "pad: 2", top="p") + v0("conv", "pad: 1", "p", "c")))
    assert layer.fields.message("convolution_param").texts("pad") == ["2"]


@pytest.mark.parametrize("kind", ["relu", "innerproduct", "padding"])
def test_no_other_layer_may_read_a_padding_layer(kind: str) -> None:
    with pytest.raises(BadInput):
        net(v0("padding", "pad: 1", top="p") + v0(kind, "", "p", "c") + v0("conv", "", "c", "d"))


def test_a_padding_layer_of_two_bottoms_is_refused() -> None:
    with pytest.raises(BadInput):
        net_from_text(
            'input: "data" input: "b" input_dim: [1, 3, 8, 8, 1, 3, 8, 8] '
            'layers { layer { type: "padding" pad: 1 } bottom: "b" bottom: "data" top: "p" }'
            + v0("conv", "", "p", "c"),
            "net.prototxt",
        )


def test_both_upgrades_are_noted() -> None:
    notes = " ".join(net(v0("relu")).notes)
    assert "V0" in notes and "V1" in notes and "Input" in notes


# ----------------------------------------------------------------------------------------------- V1


def v1(kind: str, fields: str = "") -> str:
    return f'layers {{ name: "l" type: {kind} bottom: "data" top: "t" {fields} }}\n'


# BVLC's enum, written out: name -> number -> today's type
ENUM = {
    "ABSVAL": (35, "AbsVal"),
    "ACCURACY": (1, "Accuracy"),
    "ARGMAX": (30, "ArgMax"),
    "BNLL": (2, "BNLL"),
    "CONCAT": (3, "Concat"),
    "CONTRASTIVE_LOSS": (37, "ContrastiveLoss"),
    "CONVOLUTION": (4, "Convolution"),
    "DATA": (5, "Data"),
    "DECONVOLUTION": (39, "Deconvolution"),
    "DROPOUT": (6, "Dropout"),
    "DUMMY_DATA": (32, "DummyData"),
    "ELTWISE": (25, "Eltwise"),
    "EUCLIDEAN_LOSS": (7, "EuclideanLoss"),
    "EXP": (38, "Exp"),
    "FLATTEN": (8, "Flatten"),
    "HDF5_DATA": (9, "HDF5Data"),
    "HDF5_OUTPUT": (10, "HDF5Output"),
    "HINGE_LOSS": (28, "HingeLoss"),
    "IM2COL": (11, "Im2col"),
    "IMAGE_DATA": (12, "ImageData"),
    "INFOGAIN_LOSS": (13, "InfogainLoss"),
    "INNER_PRODUCT": (14, "InnerProduct"),
    "LRN": (15, "LRN"),
    "MEMORY_DATA": (29, "MemoryData"),
    "MULTINOMIAL_LOGISTIC_LOSS": (16, "MultinomialLogisticLoss"),
    "MVN": (34, "MVN"),
    "POOLING": (17, "Pooling"),
    "POWER": (26, "Power"),
    "RELU": (18, "ReLU"),
    "SIGMOID": (19, "Sigmoid"),
    "SIGMOID_CROSS_ENTROPY_LOSS": (27, "SigmoidCrossEntropyLoss"),
    "SILENCE": (36, "Silence"),
    "SLICE": (33, "Slice"),
    "SOFTMAX": (20, "Softmax"),
    "SOFTMAX_LOSS": (21, "SoftmaxWithLoss"),
    "SPLIT": (22, "Split"),
    "TANH": (23, "TanH"),
    "THRESHOLD": (31, "Threshold"),
    "WINDOW_DATA": (24, "WindowData"),
}


@pytest.mark.parametrize("word", ENUM)
def test_every_v1_type_is_known_by_name_and_by_number(word: str) -> None:
    number, kind = ENUM[word]
    assert V1_TYPES[number] == kind
    for text in (v1(word), v1(str(number))):
        assert only(net(wired(text, kind))).type == kind


@pytest.mark.parametrize("word", ["NONE", "Convolution", "Relu", "inner_product"])
def test_a_word_of_another_layout_in_v1_is_refused_with_its_line(word: str) -> None:
    with pytest.raises(BadInput, match=r"net.prototxt:3: layer 'l'") as caught:
        net("\n" + v1(word))
    assert ("; is it" in caught.value.message) is (word != "NONE")


@pytest.mark.parametrize("word", ["0", "41", "PERMUTE", "-4"])
def test_an_enum_that_caffe_does_not_have_is_kept_for_the_plan_to_name(word: str) -> None:
    assert word in only(net(v1(word))).type


def test_number_40_is_crop_or_prelu_by_its_bottoms() -> None:
    assert only(net(v1("40"))).type == "PReLU"
    assert only(net(v1("40", 'bottom: "data"'))).type == "Crop"


def test_a_v1_layer_without_a_type_is_refused() -> None:
    with pytest.raises(BadInput, match="'l' has no type"):
        net('layers { name: "l" bottom: "data" top: "t" }')


def test_v1_parameters_stay_and_learning_rates_go() -> None:
    fields = "blobs_lr: 1 blobs_lr: 2 weight_decay: 1 convolution_param { num_output: 4 pad: 1 }"
    layer = only(net(v1("CONVOLUTION", fields)))
    assert values(layer.fields.message("convolution_param")) == {"num_output": "4", "pad": "1"}
    assert not layer.fields.has("blobs_lr")
    assert layer.param_names == ()


def test_v1_parameter_names_become_messages() -> None:
    fields = 'param: "w" param: "b" blob_share_mode: PERMISSIVE'
    assert only(net(v1("INNER_PRODUCT", fields))).param_names == ("w", "b")


def test_v1_rules_are_followed() -> None:
    text = v1("RELU") + v1("TANH", "include: { phase: TRAIN }").replace('"l"', '"m"')
    assert [layer.type for layer in net(text).layers] == ["Input", "ReLU"]


def test_a_net_of_both_dialects_is_refused_as_in_caffe() -> None:
    with pytest.raises(BadInput, match="both `layer` and `layers`"):
        net(v1("RELU") + 'layer { name: "m" type: "ReLU" bottom: "t" top: "u" }')


# ------------------------------------------------------------------------------------ legacy inputs

RELU = 'layer { name: "r" type: "ReLU" bottom: "a" top: "t" }'


def test_input_dim_is_four_numbers_for_each_input() -> None:
    text = (
        'input: "a" input: "b" input_dim: [1, 2, 3, 4] input_dim: 5 input_dim: [6, 7, 0x8] ' + RELU
    )
    found = net_from_text(text, "x")
    assert found.inputs == {"a": (1, 2, 3, 4), "b": (5, 6, 7, 8)}
    first = found.layers[0]
    assert (first.name, first.type, first.tops) == ("input", "Input", ("a", "b"))


def test_input_shape_may_have_any_number_of_axes() -> None:
    text = 'input: "a" input_shape { dim: [1, 2] } input: "b" input_shape < dim: 3 > ' + RELU
    assert net_from_text(text, "x").inputs == {"a": (1, 2), "b": (3,)}


def test_input_shape_wins_over_input_dim() -> None:
    text = 'input: "a" input_dim: [1, 3, 8, 8] input_shape { dim: [2, 2] } ' + RELU
    assert net_from_text(text, "x").inputs == {"a": (2, 2)}


def test_the_input_layer_comes_first_wherever_the_fields_stand() -> None:
    found = net_from_text(RELU + ' input: "a" input_dim: [1, 3, 8, 8]', "x")
    assert [layer.type for layer in found.layers] == ["Input", "ReLU"]


def test_an_input_without_a_shape_is_kept_so_that_one_may_be_given() -> None:
    found = net_from_text('input: "a" ' + RELU, "x")
    assert found.inputs == {"a": None}
    assert [layer.type for layer in found.layers] == ["ReLU"]


@pytest.mark.parametrize("shape", ["input_dim: [1, 3, 8]", 'input: "b" input_shape { dim: 1 }'])
def test_too_few_dims_are_refused(shape: str) -> None:
    """Caffe reads beyond the end."""
    with pytest.raises(BadInput, match="inputs need"):
        net_from_text(f'input: "a" {shape} ' + RELU, "net.prototxt")


@pytest.mark.parametrize(
    "shape",
    [
        "input_dim: [1, 3, 8, 8, 9]",
        "input_dim: [1, 3, 8, 8, 1, 3, 8, 8]",
        "input_shape { dim: [1, 3, 8, 8] } input_shape { dim: 7 }",
    ],
)
def test_superfluous_dims_are_passed_over(shape: str) -> None:
    assert net_from_text(f'input: "a" {shape} ' + RELU, "x").inputs == {"a": (1, 3, 8, 8)}


def test_todays_nets_are_left_alone() -> None:
    text = (
        'layer { name: "d" type: "Input" top: "a" input_param { shape { dim: 1 dim: 2 } } }' + RELU
    )
    found = net_from_text(text, "x")
    assert found.notes == []
    assert found.inputs == {"a": (1, 2)}
    assert found.text == text


def test_v1_data_layers_say_the_transform_themselves() -> None:
    """UpgradeNetDataTransformation: theirs replaces what transform_param says, and is gone from them."""
    text = (
        'layers { name: "d" type: IMAGE_DATA top: "d" image_data_param { source: "s" scale: 0.5 '
        'mean_file: "m" crop_size: 7 mirror: true } transform_param { scale: 2 mean_value: 9 } }'
    )
    (layer,) = net_from_text(text, "net").layers
    param = layer.fields.message("transform_param")
    assert param.text("scale") == "0.5" and param.text("mean_file") == "m"
    assert param.integer("crop_size") == 7 and param.boolean("mirror")
    assert param.texts("mean_value") == ["9"]
    assert [x.name for x in layer.fields.message("image_data_param").fields] == ["source"]
    # today's layout has them in one place, and Caffe looks at no other
    text = 'layer { name: "d" type: "Data" top: "d" data_param { source: "s" scale: 0.5 } }'
    (layer,) = net_from_text(text, "net").layers
    assert not layer.fields.has("transform_param")
