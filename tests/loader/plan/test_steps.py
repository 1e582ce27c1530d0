"""Values and steps: two of the same name are two, and keys go by the module's name."""

from __future__ import annotations

from decant.loader.layers.rule import Written
from decant.loader.plan.steps import Step, Value


def test_a_value_is_itself_alone_and_has_memory_of_its_own() -> None:
    one, other = Value("a", (1,)), Value("a", (1,))
    assert one != other and one.memory is not other.memory and len({one, other}) == 2


def test_a_key_is_behind_the_modules_name_or_the_name_itself() -> None:
    step = Step("c", "Conv", 1, [], [], "conv", Written("{self}({0})", [(1,)]), {})
    assert step.key("weight") == "conv.weight" and step.key("") == "conv"
    assert step.calls == ("{self}({0})",)
