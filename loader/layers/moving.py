"""What layers that only move values, or multiply and shift them, do to the values of a net's inputs.

A move is a function from `Moving` to what each top holds of the inputs, None where nobody follows it.
Sources: layers/{batch_reindex,concat,filter,power,slice,tile}_layer.cpp, and of the forks those that
docs/layers.md names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from decant.loader.definition.graph import Layer
from decant.loader.definition.prototxt import number
from decant.loader.layers.rule import Shape


@dataclass(frozen=True)
class Moved:
    """A blob that holds values of inputs, times `scale`, plus `shift`.

    `places`: int64, of the blob's shape, where each stands in `Moving.values`; -1 for other values.
    """

    places: np.ndarray
    scale: float = 1.0
    shift: float = 0.0


@dataclass(frozen=True)
class Moving:
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


Move = Callable[[Moving], Sequence[Moved | None]]


def _of_first(change: Callable[[Moving, np.ndarray], Sequence[np.ndarray]]) -> Move:
    """All tops are made of bottom 0, by changing its places."""

    def move(site: Moving) -> Sequence[Moved | None]:
        first = site.ins[0]
        if first is None:
            return [None] * len(site.outs)
        return [replace(first, places=places) for places in change(site, first.places)]

    return move


@_of_first
def reshaped(site: Moving, places: np.ndarray) -> Sequence[np.ndarray]:
    """The same values in another shape, or in the same one."""
    return [places.reshape(shape) for shape in site.outs]


@_of_first
def tiled(site: Moving, places: np.ndarray) -> Sequence[np.ndarray]:
    """The same again along an axis."""
    (out,) = site.outs
    return [np.tile(places, [size // one for size, one in zip(out, places.shape, strict=True)])]


@_of_first
def permuted(site: Moving, places: np.ndarray) -> Sequence[np.ndarray]:
    """In another order of the axes."""
    order = site.layer.fields.message("permute_param").integers("order")
    order = order or site.layer.fields.message("transpose_param").integers("dim")
    return [places.transpose(order + [x for x in range(places.ndim) if x not in order])]


@_of_first
def reversed_(site: Moving, places: np.ndarray) -> Sequence[np.ndarray]:
    """Backwards along the axes."""
    axes = site.layer.fields.message("reverse_param").integers("axis") or [0]
    return [np.flip(places, tuple(axes))]


@_of_first
def sliced(site: Moving, places: np.ndarray) -> Sequence[np.ndarray]:
    """In parts along an axis."""
    axis = site.axis("slice_param", "slice_dim")
    return np.split(places, np.cumsum([shape[axis] for shape in site.outs])[:-1], axis)


@_of_first
def picked(site: Moving, places: np.ndarray) -> Sequence[np.ndarray]:
    """Rows by an index; each row in turn where the index is none of an input's values."""
    index, rows = site.ins[1], np.arange(site.outs[0][0])
    if index is not None and (index.places >= 0).all():
        found = site.values[index.places] * index.scale + index.shift
        rows = np.nan_to_num(found).astype(np.int64).ravel()
    return [places[rows % len(places)]]


def joined(site: Moving) -> Sequence[Moved | None]:
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


def scaled(site: Moving) -> Sequence[Moved | None]:
    """(shift + scale x) to the power of 1."""
    first, param = site.ins[0], site.layer.fields.message("power_param")
    power, scale = number(param.text("power", "1")), number(param.text("scale", "1"))
    if first is None or power != 1 or scale == 0:
        return [None]
    shift = first.shift * scale + number(param.text("shift", "0"))
    return [Moved(first.places, first.scale * scale, shift)]


def kept(site: Moving) -> Sequence[Moved | None]:
    """A Filter's: as if it kept every row; what is asked of one that it drops does no harm."""
    return site.ins[:-1]
