"""Definitions with senseless parameters: refused by name, or converted; never another error."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decant.loader.definition.graph import net_from_text
from decant.loader.errors import DecantError
from decant.loader.plan.planning import plan
from decant.loader.source.codegen import generate
from tests.helpers.forks import FORKS, Fork
from tests.helpers.nets import NETS, inputs_text, layer

VALUES = [
    "-1",
    "0",
    "1",
    "2",
    "3",
    "7",
    "100000",
    "-3",
    "1e30",
    "nan",
    "inf",
    "true",
    "false",
    "MAX",
    '"x"',
    "4000000000",
    "0.5",
]


def fork_text(fork: Fork) -> str:
    tops = [f"out{number}" for number in range(fork.tops)]
    return inputs_text(fork.inputs) + layer("it", fork.kind, list(fork.inputs), tops, fork.param)


TEXTS = [(net.text, dict(net.inputs)) for net in NETS] + [
    (fork_text(fork), dict(fork.inputs)) for fork in FORKS.values()
]


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    chosen=st.sampled_from(TEXTS),
    edits=st.lists(st.tuples(st.integers(0, 20), st.sampled_from(VALUES)), min_size=1, max_size=4),
    axes=st.integers(0, 5),
    blobs=st.lists(st.lists(st.integers(0, 7), max_size=4), max_size=4),
)
@pytest.mark.slow
def test_only_our_own_errors(
    chosen: tuple[str, dict[str, tuple[int, ...]]],
    edits: list[tuple[int, str]],
    axes: int,
    blobs: list[list[int]],
) -> None:
    text, shapes = chosen
    for place, value in edits:
        numbers = [m for m in re.finditer(r"(?<=: )[-\w.]+", text) if '"' not in m.group()]
        if numbers:
            at = numbers[place % len(numbers)]
            text = text[: at.start()] + value + text[at.end() :]
    arrays = [np.ones(shape, np.float32) for shape in blobs]
    shapes = {name: shape[:axes] or shape for name, shape in shapes.items()}
    try:
        net = net_from_text(text, "net.prototxt")
        given_blobs = [arrays if layer.name == "it" else [] for layer in net.layers]
        shapes = {name: shapes.get(name, shape or (1,)) for name, shape in net.inputs.items()}
        compile(generate(plan(net, given_blobs, shapes), "net").source, "model.py", "exec")
    except DecantError:
        return
