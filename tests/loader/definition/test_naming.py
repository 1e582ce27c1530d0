"""Caffe's names as identifiers: what Python and torch.nn.Module have already is never handed out."""

from __future__ import annotations

import keyword

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from decant.loader.definition.naming import TAKEN, Names, identifier, unique


def test_every_public_name_of_a_module_is_known() -> None:
    assert {name for name in dir(nn.Module()) if not name.startswith("_")} <= TAKEN


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("conv1/7x7_s2", "conv1_7x7_s2"),
        ("7x7", "layer_7x7"),
        ("class", "class_"),
        ("forward", "forward_"),
        ("größe", "gr_e"),
        ("//", "layer"),
    ],
)
def test_a_name_becomes_an_identifier(name: str, found: str) -> None:
    assert identifier(name) == found


@given(st.text(max_size=12))
def test_any_name_does(name: str) -> None:
    found = identifier(name)
    assert found.isascii() and found.isidentifier()
    assert not keyword.iskeyword(found) and found not in TAKEN


@given(st.lists(st.sampled_from(["a", "a_2", "a#2", "a/2", "class"]), max_size=12))
def test_no_name_is_given_twice(names: list[str]) -> None:
    assert len(set(unique(names))) == len(names)
    own = Names(["a_3"])
    found = [own.new(name) for name in names]
    assert len(set(found)) == len(names) and "a_3" not in found
