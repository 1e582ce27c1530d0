"""A constructor in its parts, and Python's own reading of its text."""

from __future__ import annotations

import ast

from decant.loader.layers.call import Call, arguments, listed


def test_none_is_left_out_and_the_rest_are_literals() -> None:
    found = arguments(3, None, (2, 2), bias=False, mode="a", eps=None)
    assert found == (("", "3"), ("", "(2, 2)"), ("bias", "False"), ("mode", '"a"'))
    assert listed(found) == '3, (2, 2), bias=False, mode="a"'


def test_its_text_is_a_call_of_the_target() -> None:
    tree = ast.parse(str(Call("nn.Conv2d", arguments(3, 4, kernel_size=(1, 3)))), mode="eval").body
    assert isinstance(tree, ast.Call) and ast.unparse(tree.func) == "nn.Conv2d"
    assert [ast.literal_eval(x) for x in tree.args] == [3, 4]
    assert {x.arg: ast.literal_eval(x.value) for x in tree.keywords} == {"kernel_size": (1, 3)}
    assert str(Call("nn.ReLU")) == "nn.ReLU()"
