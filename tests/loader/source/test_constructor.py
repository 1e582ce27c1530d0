"""A constructor's parts, and which of them may differ from block to block."""

from __future__ import annotations

import pytest

from decant.loader.layers.call import Call, arguments
from decant.loader.source.constructor import free, full, is_depthwise


def call(target: str, *positional: object, **named: object) -> Call:
    return Call(target, arguments(*positional, **named))


def test_a_call_is_written_once() -> None:
    made = call("nn.Conv2d", 3, 64, (7, 5), stride=2, bias=None)
    assert made.arguments == (("", "3"), ("", "64"), ("", "(7, 5)"), ("stride", "2"))
    assert str(made) == "nn.Conv2d(3, 64, (7, 5), stride=2)"
    assert str(call("nn.ReLU")) == "nn.ReLU()"


def test_a_stride_of_one_is_written_out() -> None:
    one, two = call("nn.Conv2d", 3, 8, 1), call("nn.Conv2d", 3, 8, 1, stride=2)
    assert [name for name, _ in full(one)] == [name for name, _ in full(two)]
    assert free(one) == free(two) == {0, 1, 3}


@pytest.mark.parametrize(
    ("made", "positions"),
    [
        (call("nn.Linear", 4, 2), {0, 1}),
        (call("nn.BatchNorm2d", 8), {0}),
        (call("nn.PReLU"), set()),
        (call("nn.MaxPool2d", 3, 2), set()),
        (None, set()),
    ],
)
def test_channels_may_differ_and_windows_may_not(made: Call | None, positions: set[int]) -> None:
    assert free(made) == positions


def test_depthwise_has_a_group_for_each_channel() -> None:
    assert is_depthwise(call("nn.Conv2d", 8, 8, 3, groups=8))
    assert not is_depthwise(call("nn.Conv2d", 8, 8, 3, groups=4))
    assert not is_depthwise(call("nn.Conv2d", 8, 8, 3))
    assert not is_depthwise(None)
