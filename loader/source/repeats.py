"""Runs of units that stand in a net more than once, alike but for channels, strides and slice points.

Every run is known by a hash of what its units are and how they are wired; equal ones make a group.
The work grows with the number of units: no run is longer than a limit, and none is followed further
than it can still close.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from decant.loader.plan.steps import Value
from decant.loader.source.wires import Group, Run, Wires

# layers of a block, and values that enter or leave one: shorter ones save no line, longer ones no
# reader holds in mind, and the search is linear in the longest
SHORTEST, LONGEST, MOST_VALUES = 4, 96, 3
# lines of a class that are not a layer's
OVERHEAD = 8
# a call with several values is harder to read: it must save more
LEAST_OF_SEVERAL = 16


def saved(runs: Sequence[Run]) -> float:
    """Lines in __init__, and as many in forward, if these become blocks of one class."""
    return (len(runs) - 1) * runs[0].length - len(runs) - OVERHEAD


def single(wires: Wires) -> list[Group]:
    """Runs of one value in and one out that join branches, or hold a depthwise convolution."""
    found: dict[int, list[Run]] = {}
    ahead = _next(wires.joins)
    for start in range(len(wires.units)):
        if ahead[start] < start + LONGEST:
            for length, digest in _closed(wires, start):
                found.setdefault(digest, []).append(Run(start, length))
    return [Group(runs, plain=True) for runs in _repeated(found)]


def _next(marked: Sequence[bool]) -> list[int]:
    """Where the next marked unit is, from each one on."""
    found = [len(marked) + LONGEST] * (len(marked) + 1)
    for at in range(len(marked) - 1, -1, -1):
        found[at] = at if marked[at] else found[at + 1]
    return found


def _closed(wires: Wires, start: int) -> Iterator[tuple[int, int]]:
    """(length, hash) of every such run from `start`; not of two of them, one behind the other."""
    units, last = wires.units, wires.last
    stop = min(start + LONGEST, len(units))
    entry: Value | None = None
    latest, digest, worth, whole, twice = -1, 0, False, False, False
    for at in range(start, stop):
        # values that leave here: nothing closes any more
        if wires.lonely[at] or latest >= stop:
            return
        if wires.lowest[at] >= start:
            digest = hash((digest, wires.inner[at]))
            again = False
        else:
            outside = {
                value
                for value, (place, _) in zip(units[at].inputs, wires.reads[at], strict=True)
                if place < start
            }
            entry = entry or next(iter(outside))
            if outside != {entry}:
                return
            wiring = [
                (at - place, which) if place >= start else (0, 0)
                for place, which in wires.reads[at]
            ]
            digest = hash((digest, wires.tokens[at], *wiring))
            again = True
        # what reads the entry belongs to what came before: nothing was whole yet
        whole, twice = (False, False) if again else (whole, twice or (whole and wires.joins[at]))
        worth = worth or wires.joins[at]
        if twice and entry is not None and last[entry] <= at:
            return
        made = units[at].outputs
        if len(made) == 1 and last.get(made[0], -1) > at and latest <= at and worth and entry:
            whole = True
            if at - start + 1 >= SHORTEST and not twice:
                yield at - start + 1, digest
        latest = max([latest, *(last.get(value, -1) for value in made)])


def several(wires: Wires, least: int) -> list[Group]:
    """Runs of `least` to six values in and out together, in parts that fork or join."""
    found: dict[int, list[Run]] = {}
    readers = Counter(value for unit in wires.units for value in set(unit.inputs))
    ahead = _next(
        [
            joins or any(readers[value] > 1 for value in unit.inputs)
            for joins, unit in zip(wires.joins, wires.units, strict=True)
        ]
    )
    for start, longest in enumerate(_limits(wires)):
        if ahead[start] < start + longest:
            for length, digest in _open(wires, start, longest, least):
                found.setdefault(digest, []).append(Run(start, length))
    return [
        Group(runs)
        for runs in _repeated(found)
        if saved(runs) >= LEAST_OF_SEVERAL and _side_by_side(runs)
    ]


def _limits(wires: Wires) -> list[int]:
    """How long a run from each unit may be: no longer than what is only said again and again."""
    limits = _lengths_of_repeats(wires.tokens)
    following: dict[tuple[int, ...], int] = {}
    for start in range(len(wires.units) - 1, -1, -1):
        begins = tuple(wires.inner[start : start + SHORTEST])
        gap = following.get(begins, start) - start
        following[begins] = start
        one, other = start + limits[start], start + gap
        own, shifted = wires.inner[start:one], wires.inner[other : other + limits[start]]
        # each longer run would overlap the next one of its kind
        if 0 < gap < limits[start] and own == shifted:
            limits[start] = gap
    return limits


def _lengths_of_repeats(tokens: Sequence[int]) -> list[int]:
    """Of each place, a length that nothing exceeds which begins there and stands elsewhere as well.

    By doubling: the next 1, 2, 4, 8 ... tokens have a number, equal for equal ones.
    """
    limits = [1] * len(tokens)
    numbers, length = list(tokens), 1
    while length < LONGEST and numbers:
        counts = Counter(numbers)
        for at, number in enumerate(numbers):
            if counts[number] > 1:
                limits[at] = min(2 * length - 1, LONGEST)
        known: dict[tuple[int, int], int] = {}
        numbers = [
            known.setdefault(pair, len(known))
            for pair in zip(numbers, numbers[length:], strict=False)
        ]
        length *= 2
    return limits


def _side_by_side(runs: Sequence[Run]) -> bool:
    """No two overlap: where they do, a shorter run is what repeats."""
    return all(one.end <= other.start for one, other in pairwise(runs))


def tied(wires: Wires, shared: Sequence[bool]) -> list[Group]:
    """Runs whose parameters are the same ones, as in a siamese net; `shared`: units that have such."""
    found: dict[int, list[Run]] = {}
    for start, longest in sorted(_branches(wires, shared).items()):
        for length, digest in _open(wires, start, longest, 0):
            found.setdefault(digest, []).append(Run(start, length))
    return [Group(runs) for runs in _repeated(found)]


def _branches(wires: Wires, shared: Sequence[bool]) -> dict[int, int]:
    """Where branches that are alike may begin -> how long they may be: as far as to the next one.

    At the first unit with shared parameters, or a little before it, where all are alike as well.
    """
    places: dict[int, list[int]] = {}
    for at, token in enumerate(wires.tokens):
        if shared[at]:
            places.setdefault(token, []).append(at)
    found: dict[int, int] = {}
    for own in places.values():
        if len(own) > 1 and (before := _alike_before(wires, own, shared)) is not None:
            longest = max(other - one for one, other in pairwise(own))
            found.update((at - less, longest) for at in own for less in range(before + 1))
    return found


def _alike_before(wires: Wires, own: Sequence[int], shared: Sequence[bool]) -> int | None:
    """How many units in front of these are alike too; None if one of those has shared parameters."""
    first, second = own[:2]
    for less in range(1, min(SHORTEST, first + 1, second - first)):
        if wires.tokens[first - less] != wires.tokens[second - less]:
            return less - 1
        if shared[first - less]:
            return None
    return min(SHORTEST, first + 1, second - first) - 1


def _open(wires: Wires, start: int, longest: int, least: int) -> Iterator[tuple[int, int]]:
    """(length, hash) of every run from `start` that few values enter and leave."""
    units, last = wires.units, wires.last
    stop = min(start + longest, len(units))
    entries: dict[Value, int] = {}
    leaving: set[Value] = set()
    digest, kept = 0, 0
    for at in range(start, stop):
        if wires.lonely[at]:
            return
        unit = units[at]
        if wires.lowest[at] >= start:
            digest = hash((digest, wires.inner[at]))
        else:
            wiring = []
            for value, (place, which) in zip(unit.inputs, wires.reads[at], strict=True):
                inside = place >= start
                wiring.append((at - place if inside else 0, which if inside else 0))
                if not inside:
                    wiring.append((-1, entries.setdefault(value, len(entries))))
            digest = hash((digest, wires.tokens[at], *wiring))
        made = [value for value in unit.outputs if last.get(value, -1) > at]
        # what is read behind the longest run leaves all of them
        kept += sum(last[value] >= stop for value in made)
        if len(entries) > MOST_VALUES or kept > MOST_VALUES:
            return
        leaving.difference_update(value for value in unit.inputs if last[value] == at)
        leaving.update(made)
        few = 0 < len(leaving) <= MOST_VALUES and len(entries) + len(leaving) >= least
        if at - start + 1 >= SHORTEST and entries and few:
            places = sorted(map(wires.maker.__getitem__, leaving))
            own = [(place - start, which) for place, which in places]
            yield at - start + 1, hash((digest, *own))


def _repeated(found: Mapping[int, list[Run]]) -> list[list[Run]]:
    return [runs for runs in found.values() if len(runs) > 1]
