"""What the values of a net's inputs are to the layers that read them: indices, markers, boxes ...

A value may be moved on the way (Reshape, Slice, Concat ...). The walk carries for each blob which
values of which inputs it holds, so that a reader says exactly what is asked of which value.
Sources: layers/{embed,batch_reindex,filter,recurrent,lstm,lstm_unit}_layer.cpp, and of the forks
those that docs/layers.md names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from decant.loader.definition.graph import Layer, Net
from decant.loader.definition.prototxt import number
from decant.loader.layers.rule import Rule, Shape
from decant.loader.plan.batch import RECURRENT
from decant.loader.plan.planning import outline


class Role(Enum):
    """What a layer takes a value for."""

    INDEX = "indices"
    MARKER = "continuation markers"
    SELECTOR = "a selector"
    BOX = "boxes"
    SIZE = "the picture's size"
    FEATURE = "features"


# by the bottom's place, -1 for the last one; what else these read is said in `role`
_READS: dict[str, dict[int, Role]] = {
    "BatchReindex": {1: Role.INDEX},
    "Embed": {0: Role.INDEX},
    "Filter": {-1: Role.SELECTOR},
    "LSTM": {1: Role.MARKER},
    "LSTMUnit": {2: Role.MARKER},
    "Lstm": {1: Role.MARKER},
    "Proposal": {2: Role.SIZE},
    "ProposalLayer": {2: Role.SIZE},
    "RNN": {1: Role.MARKER},
}


def role(layer: Layer, position: int) -> Role | None:
    """What the layer takes that bottom for; None where any value will do."""
    kind = layer.fields.message("python_param").text("layer", layer.type)
    last = position - len(layer.bottoms)
    found = _READS.get(kind, {}).get(position) or _READS.get(kind, {}).get(last)
    if found is None and "ROI" in kind and position == 1:
        return Role.BOX
    if found is None and kind in (*RECURRENT, "LSTMUnit", "Lstm"):
        return Role.FEATURE
    if found is None and layer.bottoms[position] == "im_info":
        return Role.SIZE
    return found


@dataclass(frozen=True)
class Moved:
    """A blob that holds values of inputs, times `scale`, plus `shift`.

    `places`: int64, of the blob's shape, where each stands in `Walk.values`; -1 for other values.
    """

    places: np.ndarray
    scale: float = 1.0
    shift: float = 0.0


@dataclass(frozen=True)
class Reading:
    """`layer` takes `moved` for a `role`; `shapes` are those of all its bottoms, where known."""

    layer: Layer
    role: Role
    moved: Moved
    shapes: list[Shape | None]

    @property
    def limit(self) -> int:
        """Of indices: how many rows there are; one where that is not known."""
        if self.layer.type == "Embed":
            return max(1, self.layer.fields.message("embed_param").integer("input_dim", 1))
        rows = self.shapes[0]
        return rows[0] if rows else 1


class Walk:
    """The inputs that such a layer reads, and what it takes their values for.

    `values`: of all these inputs, float32, NaN where nobody has set one yet; `inputs`: where each
    stands in it. `shapes`: of all inputs.
    """

    def __init__(
        self, net: Net, shapes: Mapping[str, Shape], rules: Mapping[str, Rule] | None = None
    ) -> None:
        self.net, self.shapes, self.rules = net, shapes, rules or {}
        self.inputs: dict[str, slice] = {}
        followed, end = _followed(net), 0
        for name in net.inputs:
            if name in followed:
                start, end = end, end + math.prod(shapes[name])
                self.inputs[name] = slice(start, end)
        self.values = np.full(end, np.nan, np.float32)

    def of(self, name: str) -> np.ndarray:
        """The input's values, in its shape."""
        return self.values[self.inputs[name]].reshape(self.shapes[name])

    def names(self, places: np.ndarray) -> list[str]:
        """The inputs that these places are in."""
        found = places[places >= 0]
        return [
            name
            for name, own in self.inputs.items()
            if ((found >= own.start) & (found < own.stop)).any()
        ]

    def readings(self) -> Iterator[Reading]:
        """In order of execution: rows that an index picks are known once its reading was dealt with."""
        if not self.inputs:
            return
        tops = list(outline(self.net, self.shapes, self.rules).tops.values())
        known: dict[str, Shape | None] = dict(self.shapes)
        held: dict[str, Moved | None] = {
            name: Moved(np.arange(own.start, own.stop).reshape(self.shapes[name]))
            for name, own in self.inputs.items()
        }
        for layer, outs in zip(self.net.layers, tops, strict=True):
            if layer.type == "Input":
                continue
            ins = [held.get(bottom) for bottom in layer.bottoms]
            shapes = [known.get(bottom) for bottom in layer.bottoms]
            moved: Sequence[Moved | None] = [None] * len(outs)
            for position, values in enumerate(ins):
                if values and (taken := role(layer, position)):
                    yield Reading(layer, taken, values, shapes)
            if layer.type in _MOVES and any(ins) and None not in (*shapes, *outs):
                site = _Site(layer, ins, _whole(shapes), _whole(outs), self.values)
                moved = _MOVES[layer.type](site)
            known.update(zip(layer.tops, outs, strict=True))
            held.update(zip(layer.tops, moved, strict=True))


def _followed(net: Net) -> set[str]:
    """Names of blobs that a reader takes, as they are or moved."""
    found: set[str] = set()
    for layer in reversed(net.layers):
        moves = layer.type in _MOVES and not found.isdisjoint(layer.tops)
        for position, bottom in enumerate(layer.bottoms):
            if moves or role(layer, position):
                found.add(bottom)
    return found


def _whole(shapes: Sequence[Shape | None]) -> list[Shape]:
    return [shape for shape in shapes if shape is not None]


@dataclass(frozen=True)
class _Site:
    """A layer, what its bottoms hold of inputs, and the shapes of its bottoms and tops."""

    layer: Layer
    ins: Sequence[Moved | None]
    shapes: list[Shape]
    outs: list[Shape]
    values: np.ndarray

    def axis(self, message: str, old: str = "axis") -> int:
        """`axis`, or under the name that it had before; 1 where it is not given."""
        param = self.layer.fields.message(message)
        axis = param.integer("axis", param.integer(old, 1))
        return axis + len(self.shapes[0]) if axis < 0 else axis


_Move = Callable[[_Site], Sequence[Moved | None]]


def _of_first(change: Callable[[_Site, np.ndarray], Sequence[np.ndarray]]) -> _Move:
    """All tops are made of bottom 0, by changing its places."""

    def move(site: _Site) -> Sequence[Moved | None]:
        first = site.ins[0]
        if first is None:
            return [None] * len(site.outs)
        return [replace(first, places=places) for places in change(site, first.places)]

    return move


def _reshaped(site: _Site, places: np.ndarray) -> Sequence[np.ndarray]:
    return [places.reshape(shape) for shape in site.outs]


def _tiled(site: _Site, places: np.ndarray) -> Sequence[np.ndarray]:
    (out,) = site.outs
    return [np.tile(places, [size // one for size, one in zip(out, places.shape, strict=True)])]


def _permuted(site: _Site, places: np.ndarray) -> Sequence[np.ndarray]:
    order = site.layer.fields.message("permute_param").integers("order")
    order = order or site.layer.fields.message("transpose_param").integers("dim")
    return [places.transpose(order + [x for x in range(places.ndim) if x not in order])]


def _reversed(site: _Site, places: np.ndarray) -> Sequence[np.ndarray]:
    axes = site.layer.fields.message("reverse_param").integers("axis") or [0]
    return [np.flip(places, tuple(axes))]


def _sliced(site: _Site, places: np.ndarray) -> Sequence[np.ndarray]:
    axis = site.axis("slice_param", "slice_dim")
    return np.split(places, np.cumsum([shape[axis] for shape in site.outs])[:-1], axis)


def _picked(site: _Site, places: np.ndarray) -> Sequence[np.ndarray]:
    """Rows by an index; each row in turn where the index is none of an input's values."""
    index, rows = site.ins[1], np.arange(site.outs[0][0])
    if index is not None and (index.places >= 0).all():
        found = site.values[index.places] * index.scale + index.shift
        rows = np.nan_to_num(found).astype(np.int64).ravel()
    return [places[rows % len(places)]]


def _joined(site: _Site) -> Sequence[Moved | None]:
    """Of parts that were multiplied and shifted alike."""
    parts = [part for part in site.ins if part is not None]
    if len({(part.scale, part.shift) for part in parts}) > 1:
        return [None]
    places = [
        np.full(shape, -1) if part is None else part.places
        for part, shape in zip(site.ins, site.shapes, strict=True)
    ]
    joined = np.concatenate(places, site.axis("concat_param", "concat_dim"))
    return [replace(parts[0], places=joined)]


def _scaled(site: _Site) -> Sequence[Moved | None]:
    """(shift + scale x) to the power of 1."""
    first, param = site.ins[0], site.layer.fields.message("power_param")
    power, scale = number(param.text("power", "1")), number(param.text("scale", "1"))
    if first is None or power != 1 or scale == 0:
        return [None]
    shift = first.shift * scale + number(param.text("shift", "0"))
    return [Moved(first.places, first.scale * scale, shift)]


def _kept(site: _Site) -> Sequence[Moved | None]:
    """A Filter's: as if it kept every row; what is asked of one that it drops does no harm."""
    return site.ins[:-1]


# types that leave values as they are, or multiply them and add to them
_MOVES: dict[str, _Move] = {
    "BatchReindex": _of_first(_picked),
    "Concat": _joined,
    "Dropout": _of_first(_reshaped),
    "Filter": _kept,
    "Flatten": _of_first(_reshaped),
    "Permute": _of_first(_permuted),
    "Power": _scaled,
    "Reshape": _of_first(_reshaped),
    "Reverse": _of_first(_reversed),
    "Slice": _of_first(_sliced),
    "Split": _of_first(_reshaped),
    "Tile": _of_first(_tiled),
    "Transpose": _of_first(_permuted),
}
