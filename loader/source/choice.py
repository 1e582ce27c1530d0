"""Which of the repeats are folded: those that save most, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from heapq import heappop, heappush

from decant.loader.source.wires import Group, Run

Saving = Callable[[Group], float]
Score = Callable[[Group, float], float]


def chosen(groups: Sequence[Group], number: int, most: Saving, score: Score) -> Iterator[Group]:
    """The repeats to fold, of `number` units: again and again the one of the highest score.

    `score` is given a group and its `most`, and says between 0 and that. A unit is in one repeat.
    """
    choice = _Choice(groups, number, most, score)
    while group := choice.best():
        yield group
        choice.take(group.runs)


class _Choice:
    """Groups in a heap by the most that they could score; looked at closer only where that is needed."""

    def __init__(self, groups: Sequence[Group], number: int, most: Saving, score: Score) -> None:
        self.groups, self.most, self.score = groups, most, score
        self.taken = bytearray(number)
        # start -> the groups that have a run there
        self.starting: dict[int, list[int]] = {}
        for at, group in enumerate(groups):
            for run in group.runs:
                self.starting.setdefault(run.start, []).append(at)
        self.longest = max((group.runs[0].length for group in groups), default=0)
        # of each group: with the runs that are still there, and its score once it is known
        self.left = list(groups)
        self.scores: dict[int, float] = {}
        self.heap: list[tuple[float, int]] = []
        self.bounds: dict[int, float] = {}
        for at in range(len(groups)):
            self._renew(at)

    def best(self) -> Group | None:
        """The group of the highest score, the first of several; None where none is above 0."""
        best: tuple[float, int] | None = None
        seen: list[tuple[float, int]] = []
        while self.heap and (best is None or self.heap[0] <= best):
            bound, at = heappop(self.heap)
            # of a group that has lost runs since
            if self.bounds.get(at) != bound:
                continue
            seen.append((bound, at))
            if at not in self.scores:
                self.scores[at] = self.score(self.left[at], -bound)
            if self.scores[at] > 0 and (best is None or (-self.scores[at], at) < best):
                best = (-self.scores[at], at)
        for item in seen:
            heappush(self.heap, item)
        return self.left[best[1]] if best else None

    def take(self, runs: Sequence[Run]) -> None:
        """These units are in a block now."""
        touched: set[int] = set()
        for run in runs:
            self.taken[run.start : run.end] = b"\1" * run.length
            for start in range(max(0, run.start - self.longest), run.end):
                touched.update(self.starting.get(start, ()))
        for at in sorted(touched):
            self._renew(at)

    def _renew(self, at: int) -> None:
        self.scores.pop(at, None)
        runs = apart(self.groups[at].runs, self.taken)
        self.left[at] = replace(self.groups[at], runs=runs)
        most = self.most(self.left[at]) if len(runs) > 1 else 0
        if most <= 0:
            self.bounds.pop(at, None)
        elif self.bounds.get(at) != -most:
            self.bounds[at] = -most
            heappush(self.heap, (-most, at))


def apart(runs: Sequence[Run], taken: Sequence[int]) -> list[Run]:
    """From left to right, those that do not overlap."""
    found: list[Run] = []
    for run in runs:
        free = not found or run.start >= found[-1].end
        if free and not any(taken[run.start : run.end]):
            found.append(run)
    return found
