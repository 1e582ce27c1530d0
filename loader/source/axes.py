"""What the axes of a net's values are called: a letter where any number goes, else the number.

N counts pictures, T and N the steps and sequences of a recurrent net, K the rows that depend on the
data. Nothing is guessed from the number of axes: the definition is worked out again with another size,
and what changes with it has the letter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from decant.loader.definition.graph import Net
from decant.loader.definition.naming import unique
from decant.loader.layers import type_of
from decant.loader.layers.rule import Rule, Shape, Site, Written
from decant.loader.plan.batch import batch_of, fixed_batch, same_but_for, with_batch
from decant.loader.plan.outline import BlobShapes, Outline, outline
from decant.loader.plan.rules import python_type, rule_of

Words = tuple[str, ...]
# rows of which there are as many as the data asks for
ROW = "K"


@dataclass
class Axes:
    """`inputs`: blob -> its axes; `tops`: unique layer name -> those of each top.

    `batch`: as loader.batch.fixed_batch says it.
    """

    inputs: dict[str, Words] = field(default_factory=dict)
    tops: dict[str, list[Words]] = field(default_factory=dict)
    batch: int | None = None


@dataclass(frozen=True)
class _Trial:
    """The net with `other` in place of `size` wherever the letter stands."""

    letter: str
    size: int
    other: int
    inputs: Mapping[str, Shape]
    found: Outline


def axes_of(
    net: Net,
    shapes: Mapping[str, Shape],
    plugins: Mapping[str, Rule] | None = None,
    blobs: BlobShapes | None = None,
) -> Axes:
    """`shapes`: of the inputs; `blobs`: of the weights, which may fix a size."""
    base = outline(net, shapes, plugins, blobs)
    trials = list(_trials(net, shapes, base, plugins, blobs))
    inputs = {
        name: _words(shape, [(trial, trial.inputs[name]) for trial in trials])
        for name, shape in shapes.items()
    }
    tops = {}
    for name in unique(layer.name for layer in net.layers):
        columns = zip(base.tops[name], *(trial.found.tops[name] for trial in trials), strict=True)
        tops[name] = [
            _words(shape or (), list(zip(trials, others, strict=True)))
            for shape, *others in columns
        ]
    if any(type_of(layer).recurrent for layer in net.layers):
        batch = fixed_batch(net, shapes, plugins, blobs)
    else:
        batch = None if "N" in {trial.letter for trial in trials} else batch_of(shapes)
    return Axes(inputs, tops, batch)


def _trials(
    net: Net,
    shapes: Mapping[str, Shape],
    base: Outline,
    plugins: Mapping[str, Rule] | None,
    blobs: BlobShapes | None,
) -> Iterator[_Trial]:
    """Those that the net takes."""
    for letter, size, inputs in _sizes(net, shapes, base):
        found = outline(net, inputs, plugins, blobs)
        if same_but_for(net, base, found, plugins):
            yield _Trial(letter, size, _other(size), inputs, found)
    yield from _rows(net, shapes, base, plugins, blobs)


def _rows(
    net: Net,
    shapes: Mapping[str, Shape],
    base: Outline,
    plugins: Mapping[str, Rule] | None,
    blobs: BlobShapes | None,
) -> Iterator[_Trial]:
    """The net with a row more wherever the data says how many there are; for each number of them."""
    grown: dict[int, dict[str, Rule]] = {}
    for layer, tops in zip(net.layers, base.tops.values(), strict=True):
        axis, rule = type_of(layer).rows_axis, rule_of(layer, plugins or {})
        if axis is not None and rule and tops and tops[0]:
            kind = python_type(layer) or layer.type
            grown.setdefault(tops[0][axis], {})[kind] = _grown(rule, axis)
    for size, more in grown.items():
        found = outline(net, shapes, {**(plugins or {}), **more}, blobs)
        if len(found.refused) <= len(base.refused):
            yield _Trial(ROW, size, size + 1, shapes, found)


def _sizes(
    net: Net, shapes: Mapping[str, Shape], base: Outline
) -> Iterator[tuple[str, int, dict[str, Shape]]]:
    """(letter, its size, the inputs with another one)."""
    sequences = list(_sequences(net, base))
    own = any(shape[: len(steps)] == steps for steps in sequences for shape in shapes.values())
    # of a fork's, the sequences may be the columns of pictures
    if sequences and (own or any(type_of(layer).recurrent for layer in net.layers)):
        for axis, letter in zip(range(len(sequences[0])), "TN", strict=False):
            size = sequences[0][axis]
            yield letter, size, _with_axis(shapes, sequences[0], axis)
        return
    batch = batch_of(shapes)
    if batch is None:
        batch = next((shape[0] for shape in shapes.values() if len(shape) > 1), None)
    if batch:
        yield "N", batch, with_batch(shapes, batch, _other(batch))


def _sequences(net: Net, base: Outline) -> Iterator[Shape]:
    """Steps and sequences of each recurrent layer; of a fork's Lstm of one sequence the steps alone."""
    for layer, tops in zip(net.layers, base.tops.values(), strict=True):
        if not tops or not tops[0] or not (type_of(layer).recurrent or layer.type == "Lstm"):
            continue
        if type_of(layer).recurrent or len(tops[0]) > 2:
            yield tops[0][:2]
        elif layer.fields.message("lstm_param").text("batch_size", "1") == "1":
            yield tops[0][:1]


def _with_axis(shapes: Mapping[str, Shape], sequence: Shape, axis: int) -> dict[str, Shape]:
    """Inputs that are steps x sequences x ..., with another number of one of them."""
    return {
        name: (*shape[:axis], _other(shape[axis]), *shape[axis + 1 :])
        if shape[: len(sequence)] == sequence
        else shape
        for name, shape in shapes.items()
    }


def _other(size: int) -> int:
    return 1 if size > 1 else 2


def _grown(rule: Rule, axis: int) -> Rule:
    """The rule with a row more in each top."""

    def more(site: Site) -> Written:
        written = rule(site)
        shapes = [(*s[:axis], s[axis] + 1, *s[axis + 1 :]) for s in written.shapes]
        return replace(written, shapes=shapes)

    return more


def _words(shape: Shape, trials: Sequence[tuple[_Trial, Shape | None]]) -> Words:
    return tuple(
        _word(size, [(trial, other[at]) for trial, other in trials if other and at < len(other)])
        for at, size in enumerate(shape)
    )


def _word(size: int, trials: Sequence[tuple[_Trial, int]]) -> str:
    """`N`, `6N`, `TN`, or the number where no letter divides it."""
    changed = [(trial, other) for trial, other in trials if other != size]
    # how many rows the data leaves is not a multiple of how many there were
    changed = [item for item in changed if item[0].letter == ROW][:1] or changed
    letters, count = "", size
    for trial, other in changed:
        if count % trial.size or other * trial.size != size * trial.other:
            return str(size)
        letters, count = letters + trial.letter, count // trial.size
    return letters if letters and count == 1 else f"{count}{letters}"
