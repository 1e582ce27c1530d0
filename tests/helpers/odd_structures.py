"""Structures that a converter gets wrong easily: each was wrong here once."""

from __future__ import annotations

from tests.helpers.structures import Builder


def slices_swapped() -> str:
    """Alike but for which half of the Slice is read where."""
    net, top = Builder("Swapped", (1, 8, 6, 6)), "data"
    for number in range(3):
        p, q = f"b{number}_p", f"b{number}_q"
        net.add(f"b{number}_s", "Slice", [top], tops=[p, q])
        if number == 1:
            p, q = q, p
        blob = net.relu(f"b{number}_r1", net.conv(f"b{number}_c1", p, 4))
        blob = net.relu(f"b{number}_r2", net.conv(f"b{number}_c2", blob, 4))
        top = net.concat(f"b{number}_cat", [blob, q])
    return net.text


def shared_prelu() -> str:
    net, top = Builder("SharedPReLU", (1, 8, 8, 8)), "data"
    for number in range(6):
        blob = net.conv(f"b{number}_c1", top, 8)
        net.add(f"b{number}_p", "PReLU", [blob], "prelu_param { channel_shared: true }")
        top = net.total(f"b{number}_sum", [top, net.conv(f"b{number}_c2", f"b{number}_p", 8, 3)])
    return net.text


def blocks_called_as_ops() -> str:
    net, top = Builder("Scales", (1, 8, 8, 8)), "data"
    for number in range(6):
        blob = net.conv(f"scale{number}_c1", top, 8)
        net.add(f"scale{number}_s", "Scale", [blob], "scale_param { bias_term: true }", [blob])
        top = net.total(f"scale{number}_sum", [top, net.conv(f"scale{number}_c2", blob, 8, 3)])
    return net.text


def input_in_place_is_an_output() -> str:
    net = Builder("InputInPlace", (1, 3, 4, 4))
    net.add("other", "Input", [], "input_param { shape { dim: 1 dim: 2 } }")
    net.add("p", "Power", ["data"], "power_param { scale: 2 }", ["data"])
    net.add("q", "Power", ["other"], "power_param { shift: 1 }")
    return net.text


def only_input_in_place() -> str:
    net = Builder("OnlyInPlace", (1, 3, 4, 4))
    net.add("p", "Power", ["data"], "power_param { scale: 2 }", ["data"])
    return net.text


def batch_in_the_definition() -> str:
    """A batch of one would fit neither the Reshape nor the Slice."""
    net = Builder("Batch", (4, 3, 6, 6))
    net.conv("c", "data", 2)
    net.add("r", "Reshape", ["c"], "reshape_param { shape { dim: 4 dim: 8 dim: -1 } }")
    net.add("s", "Slice", ["r"], "slice_param { axis: 0 }", ["one", "other"])
    net.add("d", "Eltwise", ["one", "other"], "eltwise_param { coeff: 1 coeff: -1 }")
    return net.text


def two_names_of_one_value() -> str:
    net = Builder("Names", (1, 3, 4, 4))
    net.conv("c", "data", 2)
    net.add("s", "Split", ["c"], tops=["u", "v"])
    return net.text


def in_place_through_a_buffer() -> str:
    net = Builder("Buffered", (1, 4, 6, 6))
    net.conv("a", "data", 4)
    net.add(
        "b",
        "Convolution",
        ["a"],
        "convolution_param { num_output: 4 kernel_size: 3 pad: 1 }",
        ["a"],
    )
    net.add("n", "LRN", ["a"], "lrn_param { norm_region: WITHIN_CHANNEL local_size: 3 }", ["a"])
    net.add("e", "Eltwise", ["a", "data"], "eltwise_param { operation: PROD }", ["a"])
    net.add("m", "Softmax", ["a"], tops=["a"])
    return net.text


def clip_reversed() -> str:
    net = Builder("Reversed", (1, 2, 3, 3))
    net.add("c", "Clip", ["data"], "clip_param { min: 1 max: -1 }")
    return net.text


def argmax_of_a_vector() -> str:
    net = Builder("Vector", (5,))
    net.add("a", "ArgMax", ["data"])
    return net.text


def names_like_numbered_ones() -> str:
    net = Builder("Names", (1, 2, 3, 3))
    for number, name in enumerate(("a", "a", "a#2")):
        net.add(name, "Power", ["data"], f"power_param {{ scale: {number + 2} }}", [f"t{number}"])
    return net.text


def shared_and_transposed() -> str:
    net = Builder("Tied", (2, 5))
    net.add(
        "one",
        "InnerProduct",
        ["data"],
        'param { name: "w" } inner_product_param { num_output: 1 bias_term: false }',
    )
    net.add(
        "two",
        "InnerProduct",
        ["one"],
        'param { name: "w" } inner_product_param { num_output: 5 bias_term: false transpose: true }',
    )
    return net.text


def weights_of_the_batch() -> str:
    """The flattened pictures are one row: a weight as long as the batch is large."""
    net = Builder("Rows", (2, 3, 4, 5))
    net.add("fc", "InnerProduct", ["data"], "inner_product_param { num_output: 3 axis: 0 }")
    net.add("s", "Scale", ["data"], "scale_param { axis: 0 }")
    return net.text


def a_layer_called_reset() -> str:
    net = Builder("Reset", (1, 3, 4, 4))
    net.add("reset", "ELU", ["data"])
    net.add("half", "Power", ["reset"], "power_param { scale: 0.5 }")
    return net.text


def exp_of_two_factors() -> str:
    net = Builder("Exp", (1, 3, 4, 4))
    net.add("e", "Exp", ["data"], "exp_param { base: 2 shift: 1.5 scale: 0.3 }")
    net.add("f", "Exp", ["data"], "exp_param { shift: -0.5 scale: -0.2 }")
    return net.text


ODD = {
    make.__name__: make
    for make in (
        slices_swapped, shared_prelu, blocks_called_as_ops, input_in_place_is_an_output,
        only_input_in_place, two_names_of_one_value, in_place_through_a_buffer, clip_reversed,
        argmax_of_a_vector, names_like_numbered_ones, shared_and_transposed, batch_in_the_definition,
        weights_of_the_batch, a_layer_called_reset, exp_of_two_factors,
    )
}  # fmt: skip
