"""Who makes and who reads the values of a sequence of units, and what a run of them is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from decant.loader.plan.steps import Value
from decant.loader.source.units import Unit, free_values, joins


@dataclass(frozen=True)
class Run:
    """`length` units from `start` on."""

    start: int
    length: int

    @property
    def end(self) -> int:
        """The first unit behind it."""
        return self.start + self.length


@dataclass(frozen=True)
class Group:
    """Runs that are alike; `plain`: of one value in and one out."""

    runs: list[Run]
    plain: bool = False


class Wires:
    """Who makes and who reads each value of these units; `ends` are read after the last one.

    `tokens`: equal numbers for units that are alike. `alone`: units that are in no block.
    """

    def __init__(
        self,
        units: Sequence[Unit],
        ends: Sequence[Value],
        tokens: Sequence[object],
        alone: Sequence[bool],
    ) -> None:
        self.units, self.alone = units, alone
        self.maker = {
            value: (at, number)
            for at, unit in enumerate(units)
            for number, value in enumerate(unit.outputs)
        }
        self.last: dict[Value, int] = {}
        for at, unit in enumerate(units):
            self.last.update((value, at) for value in unit.inputs)
        self.last.update((value, len(units)) for value in ends)
        self.joins = [joins(unit) for unit in units]
        self.free = [free_values(unit) for unit in units]
        numbers: dict[object, int] = {}
        self.tokens = [numbers.setdefault(item, len(numbers)) for item in tokens]
        counts = Counter(self.tokens)
        # what stands there once is part of no repeat
        self.lonely = [alone[at] or counts[number] == 1 for at, number in enumerate(self.tokens)]
        self.reads = [[self.maker.get(value, (-1, 0)) for value in unit.inputs] for unit in units]
        self.lowest = [min((at for at, _ in places), default=len(units)) for places in self.reads]
        # of a unit that reads nothing from before the run
        self.inner = [
            hash((number, *((at - place, which) for place, which in places)))
            for at, (number, places) in enumerate(zip(self.tokens, self.reads, strict=True))
        ]

    def borders(self, run: Run) -> tuple[list[Value], list[Value]]:
        """(values that go in, values that come out) in the order of their first use."""
        part = self.units[run.start : run.end]
        inside = {value for unit in part for value in unit.outputs}
        entries = dict.fromkeys(v for unit in part for v in unit.inputs if v not in inside)
        out = [v for unit in part for v in unit.outputs if self.last.get(v, -1) >= run.end]
        return list(entries), out

    def part(self, run: Run) -> Sequence[Unit]:
        """Its units."""
        return self.units[run.start : run.end]

    def more_values(self, run: Run) -> int:
        """How many values go in and come out beyond one and one."""
        entries, leaving = self.borders(run)
        return len(entries) + len(leaving) - 2

    def is_block(self, run: Run) -> bool:
        """Whether the run is one piece, forks or joins, and is not a chain of shorter ones."""
        return self._forks(run) and self.connected(run) and not self._periodic(run)

    def _forks(self, run: Run) -> bool:
        """It joins branches, or what goes in or is made there has several readers."""
        if any(self.joins[run.start : run.end]):
            return True
        readers = Counter(value for unit in self.part(run) for value in set(unit.inputs))
        return max(readers.values()) > 1

    def connected(self, run: Run) -> bool:
        """Whether the run is in one piece: not two chains that happen to stand side by side."""
        pieces: dict[Value, int] = {}
        root = list(range(run.length))

        def find(at: int) -> int:
            while root[at] != at:
                root[at] = at = root[root[at]]
            return at

        for at, unit in enumerate(self.part(run)):
            for value in (*unit.inputs, *unit.outputs):
                root[find(pieces.setdefault(value, at))] = find(at)
        return len({find(at) for at in range(run.length)}) == 1

    def _periodic(self, run: Run) -> bool:
        """Whether it is a chain of shorter runs that are alike."""
        own = self.tokens[run.start : run.end]
        return any(
            run.length % period == 0
            and own[period:] == own[:-period]
            # not side by side
            and min(self.lowest[run.start + period : run.end]) >= run.start
            for period in range(1, run.length // 2 + 1)
        )
