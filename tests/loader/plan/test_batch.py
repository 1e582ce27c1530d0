"""Which nets count on the batch of their definition."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from decant.loader.definition.graph import net_from_text
from decant.loader.errors import UsageError
from decant.loader.plan.batch import (
    filled,
    fixed_batch,
    input_shapes,
    other_steps,
    refuse_no_classes,
)
from decant.loader.plan.deploy import deploy, with_shapes
from decant.loader.plan.outline import outline
from tests.helpers.nets import inputs_text, layer

CONV = layer("c", "Convolution", ["data"], ["c"], "convolution_param { num_output: 2 kernel_size: 3 }")  # fmt: skip


def reshape(fields: str) -> str:
    return CONV + layer("r", "Reshape", ["c"], ["r"], f"reshape_param {{ {fields} }}")


def sliced(axis: int) -> str:
    return CONV + layer("s", "Slice", ["c"], ["x", "y"], f"slice_param {{ axis: {axis} }}")


@pytest.mark.parametrize(
    ("text", "fixed"),
    [
        (CONV, None),
        (reshape("shape { dim: 0 dim: -1 }"), None),
        (reshape("shape { dim: -1 dim: 72 }"), None),
        (reshape("shape { dim: 4 dim: -1 }"), 4),
        (reshape("axis: -5 num_axes: 1 shape { dim: 4 }"), 4),
        (reshape("shape { dim: 2 dim: 2 dim: -1 }"), 4),
        (reshape("axis: 1 shape { dim: 4 dim: -1 }"), None),
        (sliced(0), 4),
        (sliced(-4), 4),
        (sliced(1), None),
    ],
)
def test_a_batch_that_a_layer_counts_on(text: str, fixed: int | None) -> None:
    shape = (4, 3, 8, 8)
    net = net_from_text(inputs_text({"data": shape}) + text, "net")
    assert fixed_batch(net, {"data": shape}) == fixed
    assert input_shapes(net, {}) == {"data": shape if fixed else (1, 3, 8, 8)}


def test_a_batch_of_one_may_be_counted_on() -> None:
    shape = (1, 3, 8, 8)
    text = inputs_text({"data": shape}) + reshape("shape { dim: 1 dim: -1 }")
    assert fixed_batch(net_from_text(text, "net"), {"data": shape}) == 1


def test_an_input_without_a_shape_leaves_the_others_theirs() -> None:
    text = inputs_text({"data": (4, 3, 8, 8)}) + layer("more", "Input", [], ["more"])
    net = net_from_text(text + CONV, "net")
    assert input_shapes(net, {}) == {"data": (1, 3, 8, 8), "more": None}
    none = net_from_text(inputs_text({"data": (0, 3, 8, 8)}) + CONV, "net")
    assert input_shapes(none, {}) == {"data": (1, 3, 8, 8)}


def test_inputs_that_go_together_stay_together() -> None:
    shapes = {"data": (10, 3, 8, 8), "more": (10, 5), "info": (1, 3)}
    text = inputs_text(shapes) + CONV + layer("f", "Flatten", ["c"], ["f"])
    text += layer("cat", "Concat", ["f", "more"], ["cat"])
    net = net_from_text(text, "net")
    assert input_shapes(net, {}) == {"data": (1, 3, 8, 8), "more": (1, 5), "info": (1, 3)}


def two(*more: int) -> str:
    """Pictures beside features, joined: both have as many rows."""
    declared = (
        f"input_param {{ shape {{ {' '.join(f'dim: {n}' for n in more)} }} }}" if more else ""
    )
    text = inputs_text({"data": (4, 3, 8, 8)}) + layer("more", "Input", [], ["more"], declared)
    return text + CONV


JOINED = layer("f", "Flatten", ["c"], ["f"]) + layer("cat", "Concat", ["f", "more"], ["cat"])
NAMED = layer("r", "Reshape", ["c"], ["r"], "reshape_param { shape { dim: 4 dim: -1 } }")
NAMED += layer("cat", "Concat", ["r", "more"], ["cat"])


@pytest.mark.parametrize(
    ("text", "given", "found"),
    [
        (two(4, 5) + JOINED, {}, (1, 1)),
        (two(4, 5) + JOINED, {"data": (4, 3, 8, 8)}, (4, 4)),
        (two(4, 5) + JOINED, {"data": (7, 3, 8, 8)}, (7, 7)),
        (two(4, 5) + JOINED, {"more": (4, 5)}, (4, 4)),
        (two(4, 5) + JOINED, {"more": (7, 5)}, (7, 7)),
        (two() + NAMED, {"more": (4, 5)}, (4, 4)),
        (two(4, 5) + NAMED, {}, (4, 4)),
    ],
)
def test_inputs_that_are_given_say_how_many(
    text: str, given: dict[str, tuple[int, ...]], found: tuple[int, int]
) -> None:
    net = net_from_text(text, "net")
    assert tuple((shape or (0,))[0] for shape in input_shapes(net, given).values()) == found


def test_the_weights_may_count_on_a_batch() -> None:
    shape = (4, 3, 8, 8)
    bias = layer("b", "Bias", ["c"], ["b"], "bias_param { axis: 0 num_axes: 1 }")
    net = net_from_text(inputs_text({"data": shape}) + CONV + bias, "net")
    blobs = {"c": [(2, 3, 3, 3), (2,)], "b": [(4,)]}
    assert fixed_batch(net, {"data": shape}) == 4
    assert fixed_batch(net, {"data": shape}, {}, blobs) == 4
    assert input_shapes(net, {}, {}, blobs) == {"data": shape}


def test_a_layer_without_tops_is_for_the_rules_to_refuse() -> None:
    shape = (4, 3, 8, 8)
    text = layer("r", "Reshape", ["data"], [], "reshape_param { shape { dim: 4 dim: -1 } }")
    assert input_shapes(net_from_text(inputs_text({"data": shape}) + text + CONV, "net"), {})


def test_a_large_transposed_weight_costs_nothing_to_try() -> None:
    text = inputs_text({"data": (4, 3, 128, 128)})
    text += layer("fc", "InnerProduct", ["data"], ["fc"], "inner_product_param { num_output: 50000 transpose: true }")  # fmt: skip
    tracemalloc.start()
    assert fixed_batch(net_from_text(text, "net"), {"data": (4, 3, 128, 128)}) is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 << 20


def test_a_training_definition_keeps_a_batch_that_is_counted_on() -> None:
    head = (
        'layer { name: "data" type: "Data" top: "data" data_param { source: "x" batch_size: 4 } '
        "transform_param { crop_size: 8 mean_value: 1 mean_value: 2 mean_value: 3 } }\n"
    )
    other = layer("k", "Input", [], ["k"], "input_param { shape { dim: 1 dim: 5 } }")
    for text, given, batch in (
        (reshape("shape { dim: 4 dim: -1 }"), {}, 4),
        (reshape("shape { dim: 4 dim: -1 }") + other, {"k": (1, 5)}, 4),
        (CONV, {}, 1),
    ):
        net = deploy(net_from_text(head + text, "net"), given, {})
        assert input_shapes(net, given)["data"] == (batch, 3, 8, 8)


def test_only_the_data_layers_own_batch_is_taken_over() -> None:
    """What a DummyData says of itself stays."""
    text = (
        'layer { name: "data" type: "Data" top: "data" data_param { source: "x" batch_size: 4 } '
        "transform_param { crop_size: 8 mean_value: 1 mean_value: 2 mean_value: 3 } }\n"
    )
    text += layer(
        "k", "DummyData", [], ["k"], "dummy_data_param { shape { dim: 1 dim: 4 dim: 1 dim: 192 } }"
    )
    text += layer(
        "r", "Reshape", ["data"], ["r"], "reshape_param { shape { dim: 1 dim: 4 dim: 1 dim: -1 } }"
    )
    net = deploy(net_from_text(text + layer("sum", "Eltwise", ["r", "k"], ["sum"]), "net"), {}, {})
    assert net.inputs == {"data": (4, 3, 8, 8), "k": (1, 4, 1, 192)}


def test_a_batch_flattened_into_one_row_keeps_its_number() -> None:
    text = (
        'layer { name: "data" type: "Data" top: "data" data_param { source: "x" batch_size: 4 } '
        "transform_param { crop_size: 8 mean_value: 1 mean_value: 2 mean_value: 3 } }\n"
    )
    text += layer(
        "fc", "InnerProduct", ["data"], ["fc"], "inner_product_param { num_output: 2 axis: 0 }"
    )
    assert deploy(net_from_text(text, "net"), {}, {}).inputs == {"data": (4, 3, 8, 8)}


@pytest.mark.parametrize("fields", ["height: foo width: 4", "zoom_factor: 1.5"])
def test_a_number_that_is_none_is_for_the_rules_to_refuse(fields: str) -> None:
    """Of a fork's field; of Caffe's own the text is refused at once."""
    interp = layer("i", "Interp", ["data"], ["i"], f"interp_param {{ {fields} }}")
    net = net_from_text(inputs_text({"data": (4, 3, 8, 8)}) + interp, "net")
    assert set(input_shapes(net, {})) == {"data"}


def test_pictures_are_filled_up() -> None:
    pictures = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert filled(pictures, None) is pictures and filled(pictures, 3) is pictures
    assert filled(pictures, 2).tolist() == [[0, 1], [2, 3], [4, 5], [4, 5]]


@pytest.mark.parametrize("answer", [(2, 10), (4,), (), (4, 10, 6, 6), (4, 2, 1, 5)])
def test_what_is_no_row_of_classes_for_each_picture(answer: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="no classifier"):
        refuse_no_classes(answer, 4)
    for good in ((4, 10), (4, 10, 1, 1), (4, 1, 1, 10)):
        refuse_no_classes(good, 4)


RECURRENT = "recurrent_param { num_output: 3 }"


def test_a_static_input_has_a_row_for_each_sequence() -> None:
    """recurrent_layer.cpp: CHECK_EQ(N_, bottom[2]->shape(0)); torch alone would repeat the one row."""
    shapes = {"data": (2, 3, 8, 8), "cont": (5, 2), "x": (5, 2, 4)}
    text = inputs_text(shapes) + CONV
    net = net_from_text(text + layer("l", "LSTM", ["x", "cont", "c"], ["l"], RECURRENT), "net")
    assert input_shapes(net, {}) == shapes
    assert fixed_batch(net, shapes) == 2


@pytest.mark.parametrize(("kind", "states"), [("LSTM", 2), ("RNN", 1)])
def test_a_state_has_a_row_for_each_sequence(kind: str, states: int) -> None:
    """ShareData wants as many values; torch alone would repeat those of one sequence."""
    param = "recurrent_param { num_output: 3 expose_hidden: true }"
    for row, fits in (((1, 2, 3), True), ((1, 1, 3), False), ((1, 2, 1), False), ((2, 3), True)):
        shapes = {"x": (5, 2, 4), "cont": (5, 2), **{f"s{at}": row for at in range(states)}}
        tops = ["l", *(f"last{at}" for at in range(states))]
        text = inputs_text(shapes) + layer("l", kind, list(shapes), tops, param)
        assert (not outline(net_from_text(text, "net"), shapes).refused) == fits


@pytest.mark.parametrize("kind", ["LSTM", "RNN"])
def test_time_is_counted_on(kind: str) -> None:
    shapes = {"data": (3, 2, 4, 1), "cont": (3, 2)}
    text = inputs_text(shapes) + layer("l", kind, ["data", "cont"], ["l"], RECURRENT)
    net = net_from_text(text, "net")
    assert input_shapes(net, {}) == shapes
    assert not other_steps(net, shapes)
    assert other_steps(net, {"data": (1, 2, 4, 1), "cont": (1, 2)})
    # the number of sequences is free
    assert not other_steps(net, {"data": (3, 7, 4, 1), "cont": (3, 7)})


def test_frames_that_become_time_are_counted_on_also_in_training() -> None:
    text = (
        'layer { name: "data" type: "Data" top: "data" data_param { source: "x" batch_size: 6 } '
        "transform_param { crop_size: 8 mean_value: 1 mean_value: 2 mean_value: 3 } }\n"
    )
    text += layer("k", "Input", [], ["k"], "input_param { shape { dim: 6 dim: 1 } }") + CONV
    text += layer("r", "Reshape", ["c"], ["r"], "reshape_param { shape { dim: -1 dim: 1 dim: 72 } }")  # fmt: skip
    text += layer("l", "LSTM", ["r", "k"], ["l"], RECURRENT)
    net = deploy(net_from_text(text, "net"), {}, {})
    assert net.inputs == {"data": (6, 3, 8, 8), "k": (6, 1)}


@pytest.mark.parametrize("kind", ["Filter", "BatchReindex"])
def test_layers_that_pick_rows_keep_what_there_is_to_pick_from(kind: str) -> None:
    shapes = {"data": (4, 3, 8, 8), "which": (4,)}
    text = inputs_text(shapes) + CONV + layer("p", kind, ["c", "which"], ["p"])
    net = net_from_text(text, "net")
    assert input_shapes(net, {}) == shapes
    assert input_shapes(net, {"data": (2, 3, 8, 8)}) == {"data": (2, 3, 8, 8), "which": (2,)}
    # it takes any number all the same
    assert fixed_batch(net, shapes) is None


def test_a_definition_that_declares_what_it_is_given() -> None:
    text = inputs_text({"x": (1, 2, 4), "go_on": (1, 2)})
    text += layer("l", "LSTM", ["x", "go_on"], ["l"], RECURRENT)
    shapes = {"x": (5, 2, 4), "go_on": (5, 2)}
    changed = with_shapes(net_from_text(text, "net"), shapes)
    again = net_from_text(changed.run_text, "net")
    assert again.inputs == changed.inputs == shapes
    assert [(one.name, one.type, one.bottoms, one.tops) for one in again.layers] == [
        (one.name, one.type, one.bottoms, one.tops) for one in net_from_text(text, "net").layers
    ]
    # a legacy header names several inputs of one layer
    legacy = 'input: "x" input_shape { dim: 1 dim: 2 dim: 4 } input: "go_on" input_shape { dim: 1 dim: 2 }\n'
    legacy += layer("l", "LSTM", ["x", "go_on"], ["l"], RECURRENT)
    changed = with_shapes(net_from_text(legacy, "net"), shapes)
    assert net_from_text(changed.run_text, "net").inputs == shapes
