"""From layers to a net: Caffe's filter, wiring and sharing (net.cpp), and what Caffe cannot parse."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decant.loader.definition.graph import MAX_LAYERS, Net, net_from_text, outputs, owners, read_net
from decant.loader.definition.schema import unknown_to_caffe
from decant.loader.errors import BadInput

DATA = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 4 } } }\n'


def net(text: str) -> Net:
    return net_from_text(DATA + text, "net.prototxt")


def layer(name: str, bottoms: str, tops: str, more: str = "", kind: str = "ReLU") -> str:
    reads = " ".join(f'bottom: "{blob}"' for blob in bottoms.split())
    makes = " ".join(f'top: "{blob}"' for blob in tops.split())
    return f'layer {{ name: "{name}" type: "{kind}" {reads} {makes} {more} }}\n'


def names(found: Net) -> list[str]:
    return [one.name for one in found.layers]


# --------------------------------------------------------------------------- FilterNet, net.cpp:259

# kept or not, as real Caffe did at TEST, level 0, without stages
RULES = [
    ("", True),
    ("include { }", True),
    ("exclude { }", False),
    ("include { phase: TEST }", True),
    ("include { phase: TRAIN }", False),
    ("include { phase: 1 }", True),
    ("include { phase: 0 }", False),
    ("include { phase: TRAIN } include { phase: TEST }", True),
    ("include { phase: TRAIN } include { stage: 'x' }", False),
    ("exclude { phase: TRAIN }", True),
    ("exclude { phase: TEST }", False),
    ("exclude { phase: TRAIN } exclude { not_stage: 'x' }", False),
    ("include { min_level: 0 max_level: 0 }", True),
    ("include { min_level: 1 }", False),
    ("include { max_level: -1 }", False),
    ("include { min_level: -5 }", True),
    ("include { stage: 'deploy' }", False),
    ("include { stage: 'deploy' stage: 'other' }", False),
    ("include { not_stage: 'deploy' }", True),
    ("include { not_stage: 'a' not_stage: 'b' }", True),
    ("include { not_stage: 'a' stage: 'b' }", False),
    ("include { phase: TEST stage: 'deploy' }", False),
    ("include { phase: TEST } include { stage: 'deploy' }", True),
    ("exclude { phase: TEST stage: 'deploy' }", True),
    ("exclude { stage: 'a' } exclude { min_level: 0 }", False),
    ("phase: TRAIN", True),
]


@pytest.mark.parametrize(("rules", "kept"), RULES)
def test_a_rule_keeps_or_drops_a_layer_as_caffe_does(rules: str, kept: bool) -> None:
    found = net(layer("l", "data", "t", rules) + layer("always", "data", "u"))
    assert ("l" in names(found)) is kept


@pytest.mark.parametrize("include", ["", "phase: TEST", "stage: 'x'"])
@pytest.mark.parametrize("exclude", ["", "phase: TRAIN"])
def test_both_kinds_of_rules_are_refused_with_the_line(include: str, exclude: str) -> None:
    rules = f"include {{ {include} }} exclude {{ {exclude} }}"
    with pytest.raises(BadInput, match=r"net.prototxt:2: layer 'l' has include and exclude"):
        net(layer("l", "data", "t", rules))


def test_the_same_top_may_be_made_once_in_each_phase() -> None:
    text = layer("train", "data", "t", "include { phase: TRAIN }")
    text += layer("test", "data", "t", "include { phase: TEST }")
    assert names(net(text)) == ["data", "test"]


def test_the_stages_of_the_net_itself_count() -> None:
    """pycaffe sets phase and level, and adds stages to those of the text (net.cpp:31-45)."""
    text = (
        'state { stage: "deploy" }\n'
        + DATA
        + layer("l", "data", "t", "include { stage: 'deploy' }")
    )
    assert names(net_from_text(text, "x")) == ["data", "l"]


def test_the_level_and_phase_of_the_net_itself_do_not_count() -> None:
    text = "state { level: 3 phase: TRAIN }\n" + DATA
    text += layer("l", "data", "t", "include { min_level: 1 }")
    text += layer("m", "data", "u", "include { phase: TRAIN }")
    assert names(net_from_text(text, "x")) == ["data"]


def test_a_misspelt_phase_is_refused() -> None:
    with pytest.raises(BadInput):
        net(layer("l", "data", "t", "include { phase: TSET }"))


def test_a_level_that_is_no_number_is_refused_with_its_line() -> None:
    with pytest.raises(BadInput, match="net.prototxt:2: "):
        net(layer("l", "data", "t", "include { min_level: high }"))


# ------------------------------------------------------------------------------------------- wiring


def test_a_bottom_that_no_layer_makes_is_named_with_its_line() -> None:
    with pytest.raises(BadInput, match="line 2: layer 'l' reads 'nowhere'"):
        net(layer("l", "nowhere", "t"))


def test_a_bottom_must_come_first() -> None:
    with pytest.raises(BadInput, match="reads 'b'"):
        net(layer("first", "b", "a") + layer("second", "data", "b"))


def test_a_bottom_that_only_training_makes_is_refused() -> None:
    with pytest.raises(BadInput, match="reads 'a'"):
        net(layer("l", "data", "a", "include { phase: TRAIN }") + layer("m", "a", "b"))


def test_a_second_producer_is_refused_with_its_line() -> None:
    with pytest.raises(BadInput, match="line 3: layer 'm' makes 't' a second time"):
        net(layer("l", "data", "t") + layer("m", "data", "t"))


def test_every_wrong_connection_is_listed() -> None:
    with pytest.raises(BadInput) as caught:
        net(layer("l", "x", "t") + layer("m", "y", "t"))
    assert len(caught.value.details) == 3
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("tops", ["a", "a b"])
def test_an_in_place_layer_is_no_second_producer(tops: str) -> None:
    found = net(layer("s", "data", "a b", kind="Split") + layer("r", "a b", tops, kind="Foo"))
    assert outputs(found) == (["b", "a"] if tops == "a" else ["a", "b"]) or set(outputs(found)) == {
        "a"
    }


def test_in_place_counts_only_at_the_same_position() -> None:
    """Caffe compares top i with bottom i (net.cpp, AppendTop)."""
    with pytest.raises(BadInput, match="'b' a second time"):
        net(layer("s", "data", "a b", kind="Split") + layer("e", "a b", "b", kind="Eltwise"))


def test_two_inputs_of_one_name_are_refused() -> None:
    with pytest.raises(BadInput, match="second time"):
        net_from_text(DATA + DATA.replace('name: "data"', 'name: "again"'), "x")


def test_the_outputs_are_what_nobody_reads() -> None:
    text = layer("a", "data", "a") + layer("inplace", "a", "a") + layer("b", "a", "b")
    text += layer("c", "a", "c") + layer("d", "c", "d1 d2", kind="Slice")
    assert sorted(outputs(net(text))) == ["b", "d1", "d2"]
    assert outputs(net("")) == ["data"]
    assert outputs(net(layer("quiet", "data", "", kind="Silence"))) == []


def test_what_only_a_silence_reads_is_an_output_where_there_is_no_other() -> None:
    """A net that colours pictures ends so: its answer is read from its blobs."""
    quiet = layer("a", "data", "a") + layer("b", "a", "b") + layer("q", "b", "", kind="Silence")
    assert outputs(net(quiet)) == ["b"]
    # in place behind the Silence as well: one blob, its last value
    assert outputs(net(quiet + layer("late", "b", "b"))) == ["b"]
    assert outputs(net(quiet + layer("c", "a", "c"))) == ["c"]
    both = quiet.replace('bottom: "b"', 'bottom: "data" bottom: "b"')
    assert outputs(net(both)) == ["b"]
    assert net(both).notes == ["b: only a Silence reads it; it is the net's output"]
    assert net(quiet + layer("c", "a", "c")).notes == []


def test_an_in_place_layer_at_the_end_is_an_output() -> None:
    assert outputs(net(layer("a", "data", "a") + layer("r", "a", "a"))) == ["a"]


# ------------------------------------------------------------------------------------------- inputs


def test_one_shape_is_for_all_tops_several_are_for_each() -> None:
    text = layer("a", "", "a b", "input_param { shape { dim: [2, 3] } }", kind="Input")
    text += layer("c", "", "c d", "input_param { shape { dim: 1 } shape { dim: 2 } }", kind="Input")
    text += layer("e", "", "e", kind="Input")
    found = net_from_text(text, "x")
    assert found.inputs == {"a": (2, 3), "b": (2, 3), "c": (1,), "d": (2,), "e": None}


def test_shapes_and_tops_of_different_number_are_refused() -> None:
    shapes = "shape { dim: 1 } shape { dim: 2 }"
    with pytest.raises(BadInput, match="2 shapes, 3 tops"):
        net_from_text(layer("a", "", "a b c", f"input_param {{ {shapes} }}", kind="Input"), "x")


@pytest.mark.parametrize("dim", ["x", "1.5", "-", "1e3", "''"])
def test_a_dimension_that_is_no_number_is_refused(dim: str) -> None:
    with pytest.raises(BadInput):
        net_from_text(
            layer("a", "", "a", f"input_param {{ shape {{ dim: {dim} }} }}", kind="Input"), "x"
        )


# ------------------------------------------------------------------------------------ shared blobs


def test_the_first_layer_with_a_name_owns_the_blob() -> None:
    ip = "inner_product_param { num_output: 4 }"
    text = layer("a", "data", "a", 'param { name: "w" } ' + ip, kind="InnerProduct")
    text += layer("b", "a", "b", 'param { } param { name: "w" } ' + ip, kind="InnerProduct")
    text += layer(
        "c", "b", "c", 'param { name: "w" } param { name: "bias" } ' + ip, kind="InnerProduct"
    )
    text += layer(
        "d", "c", "d", 'param { name: "" } param { lr_mult: 2 } ' + ip, kind="InnerProduct"
    )
    text += layer(
        "e", "d", "e", 'param { name: "v" } param { name: "bias" } ' + ip, kind="InnerProduct"
    )
    assert owners(net(text)) == {(2, 1): (1, 0), (3, 0): (1, 0), (5, 1): (3, 1)}


def test_a_layer_may_share_with_itself() -> None:
    text = layer("a", "data", "a", 'param { name: "w" } param { name: "w" }', kind="Foo")
    assert owners(net(text)) == {(1, 1): (1, 0)}


def test_a_layer_of_another_phase_owns_nothing() -> None:
    text = layer("train", "data", "x", 'param { name: "w" } include { phase: TRAIN }', kind="Foo")
    text += layer("a", "data", "a", 'param { name: "w" }', kind="Foo")
    assert owners(net(text)) == {}


# ---------------------------------------------------------------------------------------- the files


def test_a_definition_without_layers_says_which_file_to_give() -> None:
    with pytest.raises(BadInput, match="train_val.prototxt, or the deploy file"):
        net_from_text('name: "solver" net: "train_val.prototxt" base_lr: 0.01', "solver.prototxt")


def test_too_many_layers_are_refused() -> None:
    with pytest.raises(BadInput, match=str(MAX_LAYERS)):
        net_from_text("layer { type: 'Silence' }\n" * (MAX_LAYERS + 1), "x")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\x0a\x04name\xa2\x06\x80\xff\xfe", "is it the caffemodel"),
        (b"\x89HDF\r\n\x1a\n\0\0\0", "is it the caffemodel"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (b"404: Not Found", "an error page"),
        (b"- a: list", ":1:"),
        (b"", "no layers"),
    ],
)
def test_what_is_no_definition_is_one_line(content: bytes, expected: str, tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_bytes(content)
    with pytest.raises(BadInput, match=expected) as caught:
        read_net(tmp_path / "net.prototxt")
    assert "net.prototxt" in caught.value.message
    assert "\n" not in caught.value.message


def test_an_absent_definition_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="No such file"):
        read_net(tmp_path / "none.prototxt")
    with pytest.raises(BadInput, match="directory"):
        read_net(tmp_path)


@pytest.mark.parametrize("encoding", ["gb18030", "latin-1"])
def test_a_comment_in_another_encoding_does_not_matter(encoding: str, tmp_path: Path) -> None:
    """Caffe's parser passes over comments without decoding them."""
    comment = "# réseau\n" if encoding == "latin-1" else "# 网络\n"
    (tmp_path / "net.prototxt").write_bytes(comment.encode(encoding) + DATA.encode())
    assert read_net(tmp_path / "net.prototxt").inputs == {"data": (1, 4)}


def test_windows_line_ends_are_read_and_kept(tmp_path: Path) -> None:
    text = DATA.replace("\n", "\r\n") + layer("l", "data", "t").replace("\n", "\r\n")
    (tmp_path / "net.prototxt").write_bytes(text.encode())
    found = read_net(tmp_path / "net.prototxt")
    assert found.text == text
    assert [one.line for one in found.layers] == [1, 2]


@pytest.mark.parametrize("place", ["name", "bottom", "top", "type"])
def test_a_zero_byte_in_a_name_is_refused(place: str) -> None:
    text = layer("l", "data", "t")
    value = {"name": '"l"', "bottom": '"data"', "top": '"t"', "type": '"ReLU"'}[place]
    with pytest.raises(BadInput, match="net.prototxt:2: .*zero byte"):
        net(text.replace(value, value[:-1] + '\\000"'))


def test_names_of_any_letters_are_kept() -> None:
    found = net(layer("a/b.c-d é网", "data", "with_space").replace("with_space", "with space"))
    assert found.layers[1].name == "a/b.c-d é网"
    assert found.layers[1].tops == ("with space",)


PIECES = [
    "layer { ", "layers { ", "} ", "layer { type: 'conv' name: 'l' ", "name: 'a' ", "type: 'ReLU' ",
    "type: RELU ", "type: 4 ", "type: 'Input' ", "bottom: 'a' ", "top: 'a' ", "top: 'b' ",
    "input: 'a' ", "input_dim: [1, 3, 8, 8] ", "input_dim: x ", "input_shape { dim: 1 } ",
    "input_shape: 3 ", "include { phase: TRAIN } ", "exclude { stage: 'x' } ", "include: 3 ",
    "include { min_level: x } ", "param { name: 'w' } ", "param: 'w' ", "param { name: { } } ",
    "input_param { shape { dim: 2 } } ", "input_param { shape { dim: -1 } } ", "type: { } ",
    "bottom: { } ", "name: { } ", "pad: 1 ", "type: 'padding' ", "state { level: 1 } ",
]  # fmt: skip


@settings(max_examples=500, deadline=2000)
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_any_definition_is_a_net_or_bad_input(text: str) -> None:
    depth = text.count("{") - text.count("}")
    try:
        found = net_from_text(text + "} " * max(depth, 0), "net.prototxt")
    except BadInput as error:
        assert "\n" not in error.message
        assert error.message.startswith("net.prototxt")
        return
    outputs(found), owners(found), unknown_to_caffe(found)


# ----------------------------------------------------------------------- what Caffe cannot parse

FOREIGN = [
    ("layer { name: 'p' type: 'Permute' bottom: 'data' top: 't' }", ["type Permute"]),
    (
        "layer { name: 'p' type: 'Permute' bottom: 'data' top: 't'\n permute_param { order: 0 } }",
        ["line 2: layer 'p': type Permute"],
    ),
    (layer("c", "data", "t", "convolution_param { round: 1 }"), ["layer 'c': field round"]),
    (layer("c", "data", "t", "convolution_param { bias_filler { foo: 1 } }"), ["field foo"]),
    ("new_field: 3", ["field new_field"]),
    (layer("b", "data", "t", "batch_norm_param { scale_bias: true }"), ["field scale_bias"]),
    (layer("r", "data", "t", "novel_name: 'x'"), ["field novel_name"]),
    (layer("e", "data", "t", "eltwise_param { operation: DIV }"), ["operation: DIV (a fork's)"]),
]


@pytest.mark.parametrize(("text", "expected"), FOREIGN)
def test_what_only_a_fork_can_parse_is_named_with_its_line(text: str, expected: list[str]) -> None:
    found = unknown_to_caffe(net(text))
    assert len(found) == len(expected)
    for line, part in zip(found, expected, strict=True):
        assert part in line
        assert line.startswith("line ")


def test_the_fields_of_old_dialects_are_looked_up_in_their_own_messages() -> None:
    v0 = "layers { layer { name: 'l' type: 'conv' kernelsize: 3 novel: 1 } bottom: 'a' top: 't' }"
    head = 'input: "a" input_dim: [1, 3, 8, 8]\n'
    assert unknown_to_caffe(net_from_text(head + v0, "x")) == [
        "line 2: layer 'l': field novel (a fork's)"
    ]
    v1 = "layers { name: 'l' type: RELU bottom: 'a' top: 't' novel_param { } }"
    assert len(unknown_to_caffe(net_from_text(head + v1, "x"))) == 1


def test_what_v1_lacks_and_todays_layout_has_is_given_to_caffe_in_that() -> None:
    text = "layers { name: 'l' type: RELU bottom: 'a' top: 't' prelu_param { } }"
    found = net_from_text('input: "a" input_dim: [1, 3, 8, 8]\n' + text, "x")
    assert unknown_to_caffe(found) == []
    assert 'type: "ReLU"' in found.run_text


def test_every_real_net_with_a_truth_is_parsable_and_no_other(real_nets: list[Path]) -> None:
    seen = 0
    for folder in real_nets:
        foreign = unknown_to_caffe(read_net(folder / "net.prototxt"))
        assert bool(foreign) is not (folder / "truth.json").exists(), (folder.name, foreign)
        seen += 1
    assert seen >= 10


# ----------------------------------------------------------------- layers that no rule looks at


@pytest.mark.parametrize(
    ("kind", "bottoms", "tops", "said"),
    [
        ("SoftmaxWithLoss", "", "l", "has no bottom"),
        ("SigmoidCrossEntropyLoss", "", "l", "has no bottom"),
        ("InfogainLoss", "", "l", "has no bottom"),
        ("EuclideanLoss", "", "l", "has no bottom"),
        ("Accuracy", "", "l", "has no bottom"),
        ("Silence", "", "", "has no bottom"),
        ("Silence", "data", "l", "has a top, and takes none"),
        ("Split", "", "a b", "has no bottom"),
        ("Split", "data", "", "has no top"),
        ("Input", "data", "l", "has a bottom, and takes none"),
        ("MemoryData", "", "", "has no top"),
    ],
)
def test_what_caffe_counts_of_a_layer_is_counted(
    kind: str, bottoms: str, tops: str, said: str
) -> None:
    with pytest.raises(BadInput, match=rf"line 2: layer 'l' \({kind}\) {said}; Caffe refuses"):
        net(layer("l", bottoms, tops, kind=kind))


def test_a_loss_without_a_top_is_none_to_complain_of() -> None:
    """Caffe makes the top itself (AutoTopBlobs)."""
    assert net(layer("l", "data data", "", kind="SoftmaxWithLoss")).layers
