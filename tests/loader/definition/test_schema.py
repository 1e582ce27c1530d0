"""Texts that Caffe's parser refuses: each is refused here too, with its line and what is meant.

What the parser says of thousands more is asked in tests/container/test_text_format.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from decant.loader.definition.graph import Net, net_from_text
from decant.loader.definition.reading import STOCK, Reading
from decant.loader.errors import BadInput, Unsupported
from tests.helpers.converting import conv, converted, input_layer, layer, random, write_pair

HEAD = input_layer("data", 1, 3, 16, 16)
V1_HEAD = 'input: "data" input_dim: [1, 3, 16, 16]\n'
WEIGHTS = [("c", "Convolution", [random(4, 3, 3, 3), random(4)])]


def net(text: str, reading: Reading = STOCK) -> Net:
    return net_from_text(text, "net.prototxt", reading)


# (line 2 and what follows, what is said of it)
TWICE = [
    (conv("c", "data", "c", "kernel_size: 3 num_output: 4"), "num_output appears a second time"),
    (conv("c", "data", "c", "kernel_size: 3 bias_term: true bias_term: true"), "bias_term"),
    (layer("c", "ReLU", "data", "c", "relu_param { } relu_param { negative_slope: 1 }"), "relu_param"),
    (layer("c", "ReLU", "data", "c", "name: 'again'"), "name appears a second time"),
    (layer("c", "ReLU", "data", "c", "phase: TEST phase: TRAIN"), "phase"),
    (layer("c", "ReLU", "data", "c", "include { phase: TEST phase: TEST }"), "phase"),
    (layer("c", "ReLU", "data", "c", "param { name: 'a' name: 'b' }"), "name"),
    (layer("c", "ReLU", "data", "c", "name: ['c']"), "name: one value is wanted, not a list"),
    (layer("c", "ReLU", "data", "c", "relu_param { negative_slope: [] }"), "not a list"),
    # also where it is left out, and in the stock parts of a fork's layer
    (layer("c", "ReLU", "data", "c", "phase: TEST phase: TEST include { phase: TRAIN }"), "phase"),
    (layer("c", "DepthwiseConvolution", "data", "c",
           "convolution_param { num_output: 3 kernel_h: 1 kernel_h: 1 }"), "kernel_h"),
    ('name: "a"\nname: "b" ' + layer("c", "ReLU", "data", "c"), "line 3: name appears a second time (first in line 2)"),
    ("state { level: 0 } state { level: 1 } " + layer("c", "ReLU", "data", "c"), "state"),
]  # fmt: skip
KINDS = [
    (conv("c", "data", "c", "kernel_size: 3.0"), "kernel_size: a whole number from 0 on is wanted, not 3.0"),
    (conv("c", "data", "c", "kernel_size: -3"), "not -3"),
    (conv("c", "data", "c", "kernel_size: 4294967296"), "not 4294967296"),
    (conv("c", "data", "c", 'kernel_size: "3"'), 'not "3"'),
    (conv("c", "data", "c", "kernel_size: three"), "not three"),
    (conv("c", "data", "c", "bias_term: TRUE"), "bias_term: true or false is wanted, not TRUE"),
    (conv("c", "data", "c", "bias_term: 2"), "not 2"),
    (conv("c", "data", "c", 'engine: "CAFFE"'), 'engine: a word without quotes is wanted, not "CAFFE"'),
    (conv("c", "data", "c", "weight_filler: 3"), "weight_filler: { ... } is wanted, not 3"),
    (layer("c", "ReLU", "data", "c", "relu_param { negative_slope: 0x1 }"), "a number is wanted, not 0x1"),
    (layer("c", "ReLU", "data", "c", "relu_param { negative_slope: 01 }"), "not 01"),
    (layer("c", "ReLU", "data", "c", "relu_param { negative_slope: { } }"), "not { ... }"),
    ("layer { name: c type: 'ReLU' bottom: 'data' top: 'c' }", "name: a text in quotes is wanted, not c"),
    (layer("c", "ReLU", "data", "c").replace('"ReLU"', "RELU"), "type: a text in quotes is wanted"),
    (layer("c", "Clip", "data", "c", "clip_param { min: 0 }"), "max is missing"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), [*TWICE, *KINDS])
def test_what_no_caffe_can_read_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        net(HEAD + text)
    assert any(said in line for line in caught.value.details)
    assert caught.value.details[0].startswith("line ")
    assert caught.value.message.startswith("net.prototxt:") and "\n" not in caught.value.message


def test_every_line_is_named_at_once() -> None:
    text = HEAD + conv("c", "data", "c", "kernel_size: 3.5\n bias_term: YES\n group: 1 group: 2")
    with pytest.raises(BadInput) as caught:
        net(text)
    assert [line.split(":")[0] for line in caught.value.details] == ["line 2", "line 3", "line 4"]


@pytest.mark.parametrize(
    "text",
    [
        conv("c", "data", "c", "kernel_size: 3 kernel_size: 5 pad: [1, 2] stride: 1 dilation: 1"),
        layer("c", "ReLU", "data", "c", "param { } param { } loss_weight: 1 loss_weight: 2"),
        layer("c", "ReLU", "data", "c", "relu_param < negative_slope: .5f >; phase: 1"),
        layer(
            "c", "ReLU", "data", "c", "relu_param { negative_slope: -INF } propagate_down: [t, 0]"
        ),
        conv("c", "data", "c", "kernel_size: 0x3 group: 01 bias_term: 00 axis: -3"),
        layer("c", "Clip", "data", "c", "clip_param { min: 0 max: 1e400 }"),
    ],
)
def test_what_caffe_takes_is_taken(text: str) -> None:
    assert net(HEAD + text).run_text == ""


V1 = [
    (
        "layers { name: 'r' type: 'ReLU' bottom: 'data' top: 'r' }",
        "in today's layout the layers are called `layer`",
    ),
    ("layers { name: 'r' type: RELU bottom: 'data' top: 'r' param { lr_mult: 1 } }", "not { ... }"),
    ("layers { name: 'r' type: RELU type: RELU bottom: 'data' top: 'r' }", "type appears a second"),
    (
        "layers { layer { name: 'r' name: 's' type: 'relu' } bottom: 'data' top: 'r' }",
        "name appears",
    ),
    ("layers { layer { name: 'r' type: 'pool' pad: -1 } bottom: 'data' top: 'r' }", "not -1"),
]


@pytest.mark.parametrize(("text", "said"), V1)
def test_old_layouts_are_held_against_their_own_messages(text: str, said: str) -> None:
    with pytest.raises(BadInput, match="layer 'r': |line 2: ") as caught:
        net(V1_HEAD + text)
    assert said in caught.value.details[0]


# ---------------------------------------------------------------------------- a fork's own fields


@pytest.mark.parametrize(
    ("param", "said"),
    [
        ("interp_param { height: 4 width: 4 height: 8 }", "height stands 2 times"),
        ("interp_param { height: 4 width: 4 } interp_param { height: 8 }", "interp_param stands 2"),
    ],
)
def test_a_forks_field_twice_is_refused_by_the_rule_that_reads_it(
    param: str, said: str, tmp_path: Path
) -> None:
    text = HEAD + conv("c", "data", "c") + layer("i", "Interp", "c", "i", param)
    write_pair(tmp_path, text, WEIGHTS)
    with pytest.raises(Unsupported, match=said):
        converted(tmp_path)
    assert not list(tmp_path.glob("artifacts/*"))


def test_a_forks_list_stays_a_list(tmp_path: Path) -> None:
    order = "permute_param { order: 0 order: 2 order: 3 order: 1 }"
    text = HEAD + conv("c", "data", "c") + layer("p", "Permute", "c", "p", order)
    write_pair(tmp_path, text, WEIGHTS)
    assert converted(tmp_path)["net"][-1]["shapes"] == [[1, 14, 14, 4]]


def test_what_some_fork_repeats_is_that_forks_and_refused_by_name(tmp_path: Path) -> None:
    """Intel's Caffe pools in any number of axes: kernel_size is a list there."""
    pool = layer("p", "Pooling", "c", "p", "pooling_param { kernel_size: 2 kernel_size: 3 }")
    write_pair(tmp_path, HEAD + conv("c", "data", "c") + pool, WEIGHTS)
    with pytest.raises(Unsupported, match="layer 'p' .*kernel_size stands 2 times"):
        converted(tmp_path)
