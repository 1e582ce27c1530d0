"""Repeats of residual units are found, with their borders; a plain chain has none."""

from __future__ import annotations

import pytest

from decant.loader.plan.steps import Step
from decant.loader.source.repeats import OVERHEAD, saved, several, single
from decant.loader.source.units import token
from decant.loader.source.wires import Run, Wires
from tests.loader.source.test_blocks import chain, dual, residual


def wires(steps: list[Step]) -> Wires:
    return Wires(steps, steps[-1].outputs, list(map(token, steps)), [False] * len(steps))


def test_a_residual_net_repeats_its_unit_and_a_chain_nothing() -> None:
    found = wires(residual(40))
    runs = {(run.start, run.length) for group in single(found) for run in group.runs}
    assert runs
    for group in single(found):
        assert group.plain and len(group.runs) > 1
        assert len({tuple(found.tokens[run.start : run.end]) for run in group.runs}) == 1
        for run in group.runs:
            into, out = found.borders(run)
            assert (len(into), len(out)) == (1, 1)
    assert single(wires(chain(40))) == []


@pytest.mark.parametrize("least", [3, 4])
def test_runs_of_several_values_have_at_least_so_many(least: int) -> None:
    found = wires(dual(80))
    groups = several(found, least)
    assert groups
    for group in groups:
        assert all(found.more_values(run) + 2 >= least for run in group.runs)
        ends = [run.end for run in group.runs[:-1]]
        assert all(end <= run.start for end, run in zip(ends, group.runs[1:], strict=True))


def test_lines_saved_by_hand() -> None:
    """Three blocks of five lines: ten are gone, three call, and the class has its own."""
    assert saved([Run(0, 5), Run(5, 5), Run(10, 5)]) == 10 - 3 - OVERHEAD
