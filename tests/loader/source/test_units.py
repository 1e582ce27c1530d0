"""Units of a source: what must be equal for two to be alike, and what a class leaves open."""

from __future__ import annotations

from decant.loader.layers.call import Call, arguments
from decant.loader.layers.rule import Written
from decant.loader.plan.steps import Step, Value
from decant.loader.source.units import (
    Block,
    BlockClass,
    constructor,
    free_slots,
    joins,
    slots,
    statements,
    steps_of,
    token,
)

DATA = Value("data", (1, 8, 9, 9))


def conv(name: str, outputs: int, kernel: int = 3, **more: object) -> Step:
    call = Call("nn.Conv2d", arguments(8, outputs, kernel, **more))
    top = Value(name, (1, outputs, 7, 7))
    written = Written("{self}({0})", [top.shape], call)
    return Step(name, "Convolution", 1, [DATA], [top], name, written, {})


def test_channels_are_free_and_windows_are_not() -> None:
    one = conv("a", 4)
    assert token(one) == token(conv("b", 16))
    assert token(one) != token(conv("b", 4, 5))
    assert free_slots(one)[:2] == [0, 1] and [text for _, text in slots(one)][:3] == ["8", "4", "3"]


def test_a_parameter_of_the_class_stands_in_for_a_number() -> None:
    one = conv("a", 4)
    assert constructor(one, 0, {}) == "nn.Conv2d(8, 4, 3)"
    assert constructor(one, 0, {(0, 1): "channels"}) == "nn.Conv2d(8, channels, 3)"
    # of another unit of the class
    assert constructor(one, 0, {(1, 1): "channels"}) == "nn.Conv2d(8, 4, 3)"
    assert statements(one, 0, {}) == one.calls


def test_a_block_is_a_call_of_its_class_with_its_own_values() -> None:
    inner = conv("a", 4)
    of = BlockClass("Unit", [inner], ["conv"], [DATA], inner.outputs)
    block = Block("unit1", of, ["4", "1"], [inner], [DATA], inner.outputs)
    assert constructor(block, 0, {(0, 1): "stride"}) == "Unit(4, stride)"
    assert block.calls == ("{self}({0})",) and free_slots(block) == [0, 1]
    assert list(steps_of([block, inner])) == [inner, inner]


def test_what_joins() -> None:
    both = Step(
        "s",
        "Eltwise",
        1,
        [DATA, Value("x", (1,))],
        [Value("s", (1,))],
        "",
        Written("{0} + {1}", [(1,)]),
        {},
    )
    assert joins(both) and not joins(conv("a", 4)) and joins(conv("d", 8, groups=8))
