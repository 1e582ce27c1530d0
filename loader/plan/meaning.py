"""What the values of a net's inputs are to the layers that read them: indices, markers, boxes ...

A value may be moved on the way (Reshape, Slice, Concat ...). The walk carries for each blob which
values of which inputs it holds, so that a reader says exactly what is asked of which value.
Sources: layers/{embed,batch_reindex,filter,recurrent,lstm,lstm_unit}_layer.cpp, and of the forks
those that docs/layers.md names.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from decant.loader.definition.graph import Layer, Net
from decant.loader.layers import type_of
from decant.loader.layers.layer_type import Role
from decant.loader.layers.moving import Moved, Moving
from decant.loader.layers.rule import Rule, Shape
from decant.loader.plan.outline import outline


def role(layer: Layer, position: int) -> Role | None:
    """What the layer takes that bottom for; None where any value will do."""
    kind = layer.fields.message("python_param").text("layer", layer.type)
    reads = type_of(layer).reads
    found = reads.get(position) or reads.get(position - len(layer.bottoms))
    if found is None and "ROI" in kind and position == 1:
        return Role.BOX
    found = found or reads.get(None)
    if found is None and layer.bottoms[position] == "im_info":
        return Role.SIZE
    return found


@dataclass(frozen=True)
class InputUse:
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

    def uses(self) -> Iterator[InputUse]:
        """In order of execution: rows that an index picks are known once its use was dealt with."""
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
                    yield InputUse(layer, taken, values, shapes)
            move = type_of(layer).moves
            if move and any(ins) and None not in (*shapes, *outs):
                moved = move(Moving(layer, ins, _whole(shapes), _whole(outs), self.values))
            known.update(zip(layer.tops, outs, strict=True))
            held.update(zip(layer.tops, moved, strict=True))


def _followed(net: Net) -> set[str]:
    """Names of blobs that a reader takes, as they are or moved."""
    found: set[str] = set()
    for layer in reversed(net.layers):
        moves = type_of(layer).moves is not None and not found.isdisjoint(layer.tops)
        for position, bottom in enumerate(layer.bottoms):
            if moves or role(layer, position):
                found.add(bottom)
    return found


def _whole(shapes: Sequence[Shape | None]) -> list[Shape]:
    return [shape for shape in shapes if shape is not None]
