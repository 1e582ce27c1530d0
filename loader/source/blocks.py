"""Repeats in a net, folded: Inception, residual, dense, fire, dual-path and tied blocks become classes.

First the branches whose parameters Caffe shares; then runs of one value in and one out; then, of what
is left and of the blocks found so far, runs that several values enter or leave. Plain chains (VGG's)
stay as they are: what repeats must join branches, fork, or hold a depthwise convolution.
"""

from __future__ import annotations

import builtins
import keyword
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from decant.loader.definition.naming import Names, identifier
from decant.loader.ops import OPS, imports, sources
from decant.loader.plan.steps import Plan, Step, Value
from decant.loader.source.block_names import (
    Called,
    attributes_of,
    caffe_name,
    class_name,
    differences,
    labels_of,
    number_classes,
    numbered,
    parameters_of,
    shared_names_of,
    words_of,
)
from decant.loader.source.choice import chosen
from decant.loader.source.repeats import LEAST_OF_SEVERAL, saved, several, single, tied
from decant.loader.source.units import Block, BlockClass, Unit, steps_of, token
from decant.loader.source.wires import Group, Run, Wires

# a class that takes more is harder to read than its copies
MOST_PARAMETERS = 12
# what blocks of several values save, against those of one
AS_MUCH_AS_SINGLE = 1 / 3
Find = Callable[[Wires], list[Group]]


def fold(plan: Plan) -> list[Unit]:
    """The plan's steps with repeats replaced; the attributes of the steps inside become `block.x`."""
    owners = dict(plan.tied)
    names = Names(step.attribute for step in plan.steps)
    ends = list(plan.outputs.values())
    units = _fold_tied(list(plan.steps), ends, owners, names)
    units = _fold_repeats(units, ends, owners, names, caffe_name)
    number_classes(classes_of(units), _classes(plan.steps))
    _note_uses(units, "")
    renamed = _nest(units)
    plan.tied = [(renamed.get(a, a), renamed.get(b, b)) for a, b in plan.tied]
    return units


def classes_of(units: Iterable[Unit]) -> dict[BlockClass, None]:
    """Every class, each after those that it is written with."""
    found: dict[BlockClass, None] = {}
    for unit in units:
        if isinstance(unit, Block):
            found.update(classes_of(unit.of.units))
            found[unit.of] = None
    return found


def _fold_tied(
    units: list[Unit], ends: Sequence[Value], owners: Mapping[str, str], names: Names
) -> list[Unit]:
    """Branches that share parameters: one class; one module, where they share all of them."""
    if not owners:
        return units
    steps = list(steps_of(units))
    pairs = {key for pair in owners.items() for key in pair}
    tokens = [
        (_exact(step), tuple(owners.get(key, key) if key in pairs else "" for key in _keys(step)))
        for step in steps
    ]
    wires = Wires(units, ends, tokens, [False] * len(units))
    shared = [sum(key in pairs for key in _keys(step)) for step in steps]

    def most(group: Group) -> float:
        first, times = group.runs[0], len(group.runs) - 1
        # a line for each parameter that is tied
        own = sum(shared[first.start : first.end])
        return saved(group.runs) + times * own / 2 if own else 0

    def score(group: Group, worth: float) -> float:
        first = group.runs[0]
        one_piece = wires.connected(first)
        return worth - len(group.runs) * wires.more_values(first) if one_piece else 0

    groups = tied(wires, list(map(bool, shared)))
    folded = _Fold(wires, names, caffe_name)
    for group in chosen(groups, len(units), most, score):
        part = steps[group.runs[0].start : group.runs[0].end]
        of, stems = folded.share(group.runs, all(key in pairs for x in part for key in _keys(x)))
        _fold_inside(of, owners, dict(zip(of.units, stems, strict=True)))
    return folded.units()


def _fold_inside(of: BlockClass, owners: Mapping[str, str], stems: Mapping[Unit, str]) -> None:
    """Fold the repeats inside of a class; `stems`: what its layers are called."""
    local = dict(zip(of.units, of.attributes, strict=True))
    names = Names(attribute for attribute in of.attributes if attribute)
    folded = _fold_repeats(
        of.units, of.outputs, owners, names, lambda unit: stems.get(unit) or caffe_name(unit)
    )
    if len(folded) < len(of.units):
        of.units = folded
        of.attributes = [local.get(unit, unit.attribute) for unit in folded]
        of.words = words_of(of, "")


def _fold_repeats(
    units: list[Unit],
    ends: Sequence[Value],
    owners: Mapping[str, str],
    names: Names,
    called: Called,
) -> list[Unit]:
    """Until nothing is saved any more: blocks of layers, then blocks of blocks."""
    uses = Counter(owners.get(key, key) for step in _own(units) for key in _keys(step))
    shared = {key for key, owner in owners.items() if uses[owner] > 1}
    shared |= {owner for owner, count in uses.items() if count > 1}

    def folded(units: list[Unit], find: Find, names: Names) -> list[Unit]:
        return _pass(units, ends, shared, names, called, find)

    # blocks of several values cost more to find: only where those of one leave repeats
    left = names.copy()
    tried = folded(units, single, left)
    if _little_repeats(tried):
        units, names = tried, left
    else:
        units = folded(units, _both, names)
    while True:
        before = len(units)
        units = folded(units, _blocks, names)
        if len(units) == before:
            return units


def _little_repeats(units: Iterable[Unit]) -> bool:
    """Whether hardly a layer is left, outside of blocks, that is like another one."""
    counts = Counter(token(unit) for unit in units if isinstance(unit, Step))
    return sum(count for count in counts.values() if count > 1) < LEAST_OF_SEVERAL


def _both(wires: Wires) -> list[Group]:
    return [*single(wires), *several(wires, least=3)]


def _blocks(wires: Wires) -> list[Group]:
    return several(wires, least=2)


def _own(units: Iterable[Unit]) -> Iterator[Step]:
    """The steps whose modules are their own: not those of tied blocks after the first."""
    return steps_of(
        unit for unit in units if not (isinstance(unit, Block) and unit.same is not None)
    )


def _pass(
    units: list[Unit],
    ends: Sequence[Value],
    shared: set[str],
    names: Names,
    called: Called,
    find: Find,
) -> list[Unit]:
    alone = [
        (isinstance(unit, Block) and unit.of.tied)
        or any(key in shared for step in steps_of([unit]) for key in _keys(step))
        for unit in units
    ]
    wires = Wires(units, ends, [token(unit) for unit in units], alone)
    words = list(map(called, units))
    labels: dict[Run, list[str]] = {}

    def most(group: Group) -> float:
        return 2 * saved(group.runs) * (1 if group.plain else AS_MUCH_AS_SINGLE)

    def score(group: Group, bound: float) -> float:
        runs, worth = group.runs, saved(group.runs)
        if not group.plain:
            worth -= len(runs) * wires.more_values(runs[0])
            if worth < LEAST_OF_SEVERAL or not wires.is_block(runs[0]):
                return 0
        if len(differences([wires.free[run.start : run.end] for run in runs])) > MOST_PARAMETERS:
            return 0
        found = labels_of([words[run.start : run.end] for run in runs], not group.plain)
        labels[runs[0]] = found
        return bound * worth / saved(runs) / (1 if found else 2)

    folded = _Fold(wires, names, called)
    for group in chosen(find(wires), len(units), most, score):
        folded.replace(group.runs, labels[group.runs[0]], group.plain)
    return folded.units()


def _keys(step: Step) -> list[str]:
    return [step.key(name) for name in step.written.tensors]


def _exact(step: Step) -> tuple[object, ...]:
    return (step.kind, len(step.outputs), step.calls, step.written.module)


class _Fold:
    """Units in which runs are replaced by blocks. `called`: the name of a unit's layer."""

    def __init__(self, wires: Wires, names: Names, called: Called) -> None:
        self.wires, self.names, self.called = wires, names, called
        self.blocks: dict[int, Block] = {}

    def units(self) -> list[Unit]:
        """What there is now."""
        found: list[Unit] = []
        at = 0
        while at < len(self.wires.units):
            block = self.blocks.get(at)
            found.append(block or self.wires.units[at])
            at += len(block.units) if block else 1
        return found

    def replace(self, runs: Sequence[Run], labels: Sequence[str], plain: bool) -> None:
        """A class, and a block of it for each run; `plain`: of one value in and one out."""
        part = list(self.wires.part(runs[0]))
        label = labels[0] if labels else ""
        attributes = attributes_of(part, label, self.called, whole=not plain)
        of = BlockClass("", part, attributes, *self.wires.borders(runs[0]))
        differing = differences([self.wires.free[run.start : run.end] for run in runs])
        of.parameters, of.filled = parameters_of(of.units, attributes, differing)
        of.name = class_name(of, labels)
        of.words = words_of(of, label)
        stems = labels
        if not labels and not plain:
            stems = [f"{identifier(of.name.lower())}{at + 1}" for at in range(len(runs))]
        self._use(
            of, runs, [numbered(stem, at) for at, stem in enumerate(stems or [""] * len(runs))]
        )

    def share(self, runs: Sequence[Run], tied: bool) -> tuple[BlockClass, list[str]]:
        """A class for branches, whose only module stands for all of them if they are `tied`.

        And what its layers are called.
        """
        part = self.wires.part(runs[0])
        names = [list(map(self.called, self.wires.part(run))) for run in runs]
        stems, marks = shared_names_of(names)
        local = Names()
        attributes = [
            local.new(stem or default) if unit.attribute else ""
            for unit, stem, default in zip(
                part, stems, attributes_of(part, "", self.called, False), strict=True
            )
        ]
        of = BlockClass("Branch", list(part), attributes, *self.wires.borders(runs[0]), tied=tied)
        of.words = words_of(of, "")
        self._use(of, runs, [f"{of.name.lower()}_{mark}".strip("_") for mark in marks])
        return of, stems

    def _use(self, of: BlockClass, runs: Sequence[Run], stems: Sequence[str]) -> None:
        for run in runs:
            for unit in self.wires.part(run):
                self.names.free(unit.attribute)
        for number, (run, stem) in enumerate(zip(runs, stems, strict=True)):
            values = [values[number] for values in of.parameters.values()]
            part = list(self.wires.part(run))
            name = self.names.new(stem)
            block = Block(name, of, values, part, *self.wires.borders(run))
            if of.tied and number:
                block.same = self.blocks[runs[0].start]
            self.blocks[run.start] = block


def _note_uses(units: Iterable[Unit], path: str, attributes: Iterable[str] = ()) -> None:
    """Tell each class where in the net it stands, in others too."""
    names = list(attributes) or [unit.attribute for unit in units]
    for unit, name in zip(units, names, strict=True):
        if isinstance(unit, Block):
            unit.of.uses.append(path + name)
            _note_uses(unit.of.units, f"{path}{name}.", unit.of.attributes)


def _nest(units: Iterable[Unit]) -> dict[str, str]:
    """Put the block's name before its steps' attributes; old key -> new key."""
    renamed: dict[str, str] = {}
    for unit in units:
        if isinstance(unit, Block):
            _nest_in(unit, unit.attribute, renamed)
    return renamed


def _nest_in(block: Block, path: str, renamed: dict[str, str]) -> None:
    steps = steps_of(block.units)
    for step, place in zip(steps, places_of(block.of, path), strict=True):
        if step.attribute:
            old = _keys(step)
            step.attribute = place
            renamed.update(zip(old, _keys(step), strict=True))


def places_of(of: BlockClass, path: str) -> Iterator[str]:
    """The module's path of each step in a block of this class that stands at `path`."""
    for unit, attribute in zip(of.units, of.attributes, strict=True):
        place = f"{path}.{attribute}"
        if isinstance(unit, Block):
            yield from places_of(unit.of, place)
        else:
            yield place


def _classes(steps: Sequence[Step]) -> set[str]:
    """Names that a class must not have: ops, plugins' classes, what is imported, Python's own."""
    callees = {step.written.module.target for step in steps if step.written.module}
    imported = imports(sources({op for step in steps for op in step.written.ops})).values()
    python = {*keyword.kwlist, *dir(builtins)}
    return {"Model", "OrderedDict", *OPS, *callees, *python}.union(*imported)
