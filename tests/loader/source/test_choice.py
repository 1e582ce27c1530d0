"""Which repeats are folded: overlaps by hand, and the best first."""

from __future__ import annotations

from decant.loader.source.choice import apart, chosen
from decant.loader.source.wires import Group, Run


def test_runs_that_overlap_are_taken_from_the_left() -> None:
    runs = [Run(0, 3), Run(2, 3), Run(3, 3), Run(8, 2)]
    assert apart(runs, bytearray(10)) == [Run(0, 3), Run(3, 3), Run(8, 2)]
    taken = bytearray(10)
    taken[4] = 1
    assert apart(runs, taken) == [Run(0, 3), Run(8, 2)]


def test_the_best_comes_first_and_takes_its_places_from_the_others() -> None:
    long = Group([Run(0, 4), Run(4, 4)])
    short = Group([Run(0, 2), Run(2, 2), Run(8, 2), Run(10, 2)])
    hopeless = Group([Run(8, 1), Run(9, 1)])

    def saved(group: Group) -> float:
        return (len(group.runs) - 1) * group.runs[0].length if group is not hopeless else 0

    found = list(chosen([short, long, hopeless], 12, saved, lambda group, most: most - 1))
    assert (
        found
        == [
            short,
        ]
        or found[0] == short
    )
    # the score decides, not the most that one could be: with long ahead, short keeps two runs
    found = list(
        chosen(
            [short, long], 12, saved, lambda group, most: most if group.runs[0].length == 4 else 1
        )
    )
    assert [group.runs for group in found] == [long.runs, [Run(8, 2), Run(10, 2)]]


def test_what_stands_there_once_is_not_folded() -> None:
    assert list(chosen([Group([Run(0, 4)])], 4, lambda group: 9, lambda group, most: most)) == []
