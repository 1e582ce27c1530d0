"""How a definition is read: what is said of it, what travels, and which layers it includes."""

from __future__ import annotations

import pytest

from decant.dumper.dumpfile import Dump
from decant.loader.artifact.conversion import reading_of
from decant.loader.definition.graph import net_from_text
from decant.loader.definition.reading import STOCK, Reading, ReadingOptions, from_json, from_text
from decant.loader.errors import BadInput, UsageError

OTHER = Reading("TRAIN", ("deploy", "val"), 2, "aligned", "exact", True)


def test_the_default_says_nothing() -> None:
    assert STOCK.to_text() == "" and from_text("") == STOCK and STOCK.of_caffe


@pytest.mark.parametrize("reading", [OTHER, Reading(crop="aligned"), Reading(stages=("a",))])
def test_a_reading_comes_back_from_its_text(reading: Reading) -> None:
    assert from_text(reading.to_text()) == reading
    assert from_json(reading.to_json()) == reading


def test_only_what_differs_is_written() -> None:
    assert Reading(crop="aligned").to_text() == '{"crop": "aligned"}'
    assert Reading(stages=("a",), level=1).to_json() == {"stages": ["a"], "level": 1}


@pytest.mark.parametrize(
    "text",
    ['{"crop": "left"}', '{"colour": 1}', "[]", '{"stages": "deploy"}', '{"stages": [1]}',
     '{"level": true}', '{"level": 1.5}', '{"float_weights": 1}', "{", '{"phase": ["TEST"]}'],
)  # fmt: skip
def test_a_damaged_reading_is_refused(text: str) -> None:
    dump = Dump("n", "", "", "reader", "", False, "", reading=text)
    with pytest.raises(BadInput, match="the dump's reading"):
        reading_of(dump)


def test_the_command_line_goes_over_what_was_said_before() -> None:
    asked = ReadingOptions(phase="train", stages=("val",), crop="stock")
    assert asked.over(Reading(stages=("deploy",), level=1, crop="aligned")) == Reading(
        "TRAIN", ("deploy", "val"), 1
    )
    assert ReadingOptions().over(OTHER) == OTHER


@pytest.mark.parametrize(
    ("asked", "named"),
    [(ReadingOptions(phase="run"), "--phase"), (ReadingOptions(prior_sizes="int"), "--prior-sizes"),
     (ReadingOptions(crop="left"), "--crop"), (ReadingOptions(stages=("",)), "--stage")],
)  # fmt: skip
def test_a_word_that_is_none_is_refused_by_its_option(asked: ReadingOptions, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        asked.over()


RULES = [
    ("include { phase: TRAIN }", Reading("TRAIN"), True),
    ("include { phase: TEST }", Reading("TRAIN"), False),
    ("include { phase: 0 }", Reading("TRAIN"), True),
    ("exclude { phase: TEST }", Reading("TRAIN"), True),
    ("include { stage: 'deploy' }", Reading(stages=("deploy",)), True),
    ("include { stage: 'deploy' stage: 'x' }", Reading(stages=("deploy",)), False),
    ("include { not_stage: 'deploy' }", Reading(stages=("deploy",)), False),
    ("include { phase: TEST stage: 'val' }", Reading("TRAIN", ("val",)), False),
    ("include { min_level: 1 }", Reading(level=1), True),
    ("include { min_level: 2 }", Reading(level=1), False),
    ("include { max_level: 0 }", Reading(level=1), False),
    ("include { stage: 'own' stage: 'deploy' }", Reading(stages=("deploy",)), True),
    ("", OTHER, True),
]


@pytest.mark.parametrize(("rule", "reading", "kept"), RULES)
def test_layers_are_included_as_it_says(rule: str, reading: Reading, kept: bool) -> None:
    """FilterNet; the text's own stages count as well, its phase and level do not."""
    text = (
        "state { phase: TRAIN level: 7 stage: 'own' }"
        'layer { name: "data" type: "Input" top: "data" }'
        f'layer {{ name: "a" type: "ReLU" bottom: "data" top: "a" {rule} }}'
        'layer { name: "b" type: "ReLU" bottom: "data" top: "b" include { stage: "deploy" stage: "val" } }'
    )
    net = net_from_text(text, "net", reading)
    assert ("a" in [layer.name for layer in net.layers]) is kept
