"""Which rule computes a layer: a plugin's first; and how a type is refused that none computes."""

from __future__ import annotations

import pytest

from decant.loader.definition.graph import Layer, net_from_text
from decant.loader.errors import Unsupported
from decant.loader.layers import activation
from decant.loader.layers.rule import Site, Written
from decant.loader.plan import rules
from tests.helpers.nets import inputs_text, layer


def own(site: Site) -> Written:
    raise NotImplementedError


def one(kind: str, param: str = "") -> Layer:
    text = inputs_text({"data": (1, 3, 4, 4)}) + layer("it", kind, ["data"], ["t"], param)
    return net_from_text(text, "f").layers[-1]


PROGRAM = one("Python", 'python_param { module: "mine" layer: "Warp" }')
KNOWN = one("Python", 'python_param { module: "rpn.proposal_layer" layer: "ProposalLayer" }')


def test_a_plugin_comes_before_the_types_own_rule() -> None:
    relu = one("ReLU")
    assert rules.rule_of(relu, {}) is activation.relu
    assert rules.rule_of(relu, {"ReLU": own}) is own
    assert rules.rule_of(PROGRAM, {"Python:Warp": own}) is own
    assert rules.rule_of(PROGRAM, {}) is None is rules.known_python(PROGRAM)
    assert rules.known_python(KNOWN) is rules.rule_of(KNOWN, {}) is not None


def test_what_is_known() -> None:
    assert rules.python_type(PROGRAM) == "Python:Warp" and rules.python_type(one("ReLU")) == ""
    assert rules.is_known(one("ReLU")) and rules.is_known(KNOWN)
    assert not rules.is_known(PROGRAM) and rules.is_known(PROGRAM, ["Python:Warp"])


def test_all_unknown_types_are_refused_at_once_with_what_was_meant() -> None:
    with pytest.raises(Unsupported) as caught:
        rules.refuse_unknown_types("f", [one("relu"), one("ReLU"), one("Odd"), PROGRAM], {})
    first, odd, program = caught.value.details
    assert "is it ReLU?" in first and "'it' (Odd)" in odd
    assert "module 'mine', layer 'Warp'" in program
    assert "--layer-plugin" in caught.value.message
    rules.refuse_unknown_types("f", [one("Odd")], {"Odd": own})


def test_what_the_weights_lack_is_said_beside_it() -> None:
    found = rules.unsupported("f", ["a"], ["layer 'x': blob 0 is missing"])
    assert "the weights do not fit either: layer 'x'" in found.message
    assert found.details == ["a", "layer 'x': blob 0 is missing"]
