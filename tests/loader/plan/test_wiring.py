"""Layers between values: in-place tops are values of their own in the same memory."""

from __future__ import annotations

import pytest

from decant.loader.definition.graph import net_from_text
from decant.loader.errors import UsageError
from decant.loader.plan.wiring import wire
from tests.helpers.nets import inputs_text, layer

TEXT = (
    inputs_text({"data": (1, 3, 4, 4)})
    + layer("r", "ReLU", ["data"], ["data"])
    + layer("f", "Flatten", ["data"], ["f"])
    + layer("s", "Sigmoid", ["f"], ["s"])
)


def test_an_in_place_top_is_another_value_in_the_same_memory() -> None:
    wired, made, ends = wire(net_from_text(TEXT, "f"), {"data": (1, 3, 4, 4)})
    _, relu, flat, sigmoid = wired
    assert relu.inputs == [made["data"]] and relu.outputs[0] is not made["data"]
    assert relu.outputs[0].memory is made["data"].memory
    # a Flatten's top is a view; a Sigmoid's is not
    assert flat.inputs == relu.outputs and flat.outputs[0].memory is made["data"].memory
    assert sigmoid.outputs[0].memory is not made["data"].memory
    assert ends == {"s": sigmoid.outputs[0]}
    assert [item.index for item in wired] == [0, 1, 2, 3]


def test_every_input_without_a_shape_is_named() -> None:
    net = net_from_text('input: "a" input: "b"\n' + layer("e", "Eltwise", ["a", "b"], ["e"]), "f")
    with pytest.raises(UsageError, match="give --input a=1,3,224,224") as caught:
        wire(net, {})
    assert caught.value.details == ["input 'a' has no shape", "input 'b' has no shape"]
