"""A constructor's parts, and which of them may differ from block to block."""

from __future__ import annotations

import pytest

from decant.loader.source.constructor import Call, free, full, is_depthwise, parse_call


def test_a_call_comes_apart() -> None:
    found = parse_call("nn.Conv2d(3, 64, (7, 5), stride=2)")
    assert found == Call("nn.Conv2d", (("", "3"), ("", "64"), ("", "(7, 5)"), ("stride", "2")))
    assert parse_call("") == Call("", ())


def test_a_stride_of_one_is_written_out() -> None:
    one, two = parse_call("nn.Conv2d(3, 8, 1)"), parse_call("nn.Conv2d(3, 8, 1, stride=2)")
    assert [name for name, _ in full(one)] == [name for name, _ in full(two)]
    assert free(one) == free(two) == {0, 1, 3}


@pytest.mark.parametrize(
    ("text", "positions"),
    [
        ("nn.Linear(4, 2)", {0, 1}),
        ("nn.BatchNorm2d(8)", {0}),
        ("nn.PReLU()", set()),
        ("nn.MaxPool2d(3, 2)", set()),
    ],
)
def test_channels_may_differ_and_windows_may_not(text: str, positions: set[int]) -> None:
    assert free(parse_call(text)) == positions


def test_depthwise_has_a_group_for_each_channel() -> None:
    assert is_depthwise(parse_call("nn.Conv2d(8, 8, 3, groups=8)"))
    assert not is_depthwise(parse_call("nn.Conv2d(8, 8, 3, groups=4)"))
    assert not is_depthwise(parse_call("nn.Conv2d(8, 8, 3)"))
