"""Which input the weights fit, where they do not fit the one that the net is to get.

A fully connected layer counts all values of its input, so its weights know the size of the pictures
that it was trained on; those of a convolution know their channels.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from decant.loader.definition.graph import Layer, Net
from decant.loader.errors import BadInput
from decant.loader.layers import type_of
from decant.loader.layers.layer_type import Weight
from decant.loader.layers.rule import Rule, Shape, same_shape, shown
from decant.loader.plan.outline import BlobShapes, outline

# pixels a side: no net that was published takes a larger picture
LARGEST = 4096
# of several sizes that fit, the one that people use
COMMON = (224, 227, 299, 256, 300, 320, 512, 128, 112, 96, 64, 48, 32, 28, 24, 12)


def _is_asked(layer: Layer) -> bool:
    """Whether its rule says which blobs it wants; others are taken as the file has them."""
    return type_of(layer).weight is not Weight.NOT


@dataclass(frozen=True)
class Misfit:
    """A layer's weight, as the file has it and as the net makes it of its input."""

    layer: Layer
    held: Shape
    wanted: Shape


@dataclass(frozen=True)
class Input:
    """An input that the weights fit; `sizes`: the longer sides that fit as well."""

    blob: str
    shape: Shape
    sizes: range = range(0)


def refuse_other_input(
    net: Net,
    shapes: Mapping[str, Shape],
    blobs: BlobShapes,
    rules: Mapping[str, Rule] | None = None,
) -> None:
    """Raise BadInput where the weights do not fit these inputs, but fit others, which it names.

    `blobs`: the shapes in the file. Where they fit none, what the net and the file differ in is not
    the input, and others say it.
    """
    if not blobs or any(not shapes.get(name) for name in net.inputs):
        return
    fitting = _Fitting(net, shapes, blobs, rules)
    wrong = fitting.misfits({})
    found = next(_candidates(fitting, wrong), None) if wrong else None
    if wrong and found is not None:
        raise BadInput(_message(net, wrong[0], found, shapes), [_line(misfit) for misfit in wrong])


def _message(net: Net, misfit: Misfit, found: Input, shapes: Mapping[str, Shape]) -> str:
    size, more = shown(found.shape), ""
    if len(found.shape) == 4:
        size, channels = shown(found.shape[2:]), found.shape[1]
        if channels != shapes[found.blob][1]:
            more = f" with {channels} channel{'s' * (channels > 1)}"
    if len(found.sizes) > 1:
        more += f" (a longer side of {found.sizes[0]} to {found.sizes[-1]} fits)"
    numbers = ",".join(map(str, found.shape))
    return (
        f"{net.file}: {_line(misfit)}; the weights fit an input of {size}{more}: "
        f"--input {found.blob}={numbers}"
    )


def _line(misfit: Misfit) -> str:
    layer = misfit.layer
    return (
        f"line {layer.line}: layer {layer.name!r} ({layer.type}): weights of {shown(misfit.held)} in "
        f"the caffemodel, {shown(misfit.wanted)} with this input"
    )


@dataclass(frozen=True)
class _Fitting:
    """The net with its inputs, and the weights to hold against it."""

    net: Net
    shapes: Mapping[str, Shape]
    blobs: BlobShapes
    rules: Mapping[str, Rule] | None

    def wanted(self, other: Mapping[str, Shape]) -> list[Misfit]:
        """Both shapes of each weight with these inputs; not where the net does not get so far."""
        fixed = {
            layer.name: self.blobs.get(layer.name, ())
            for layer in self.net.layers
            if not _is_asked(layer)
        }
        made = outline(self.net, {**self.shapes, **other}, self.rules, fixed).blobs
        return [
            Misfit(layer, self.blobs[layer.name][0], made[layer.name][0])
            for layer in self.net.layers
            if _is_asked(layer) and self.blobs.get(layer.name) and made.get(layer.name)
        ]

    def misfits(self, other: Mapping[str, Shape]) -> list[Misfit]:
        """The weights that do not fit."""
        return [x for x in self.wanted(other) if not same_shape(x.held, x.wanted)]

    def fits(self, other: Mapping[str, Shape]) -> bool:
        """Whether all weights do, and the net gets to all of them."""
        pairs = self.wanted(other)
        held = sum(1 for x in self.net.layers if _is_asked(x) and self.blobs.get(x.name))
        return len(pairs) == held and not self.misfits(other)

    def excess(self, other: Mapping[str, Shape]) -> int:
        """How many more weights the fully connected layers want than there are: it grows with a side.

        A layer that the net does not get to, because its input is too small, wants none.
        """
        full = [x for x in self.net.layers if x.type == "InnerProduct" and self.blobs.get(x.name)]
        held = sum(math.prod(self.blobs[layer.name][0]) for layer in full)
        wanted = [x for x in self.wanted(other) if x.layer.type == "InnerProduct"]
        return sum(math.prod(x.wanted) for x in wanted) - held


def _candidates(fitting: _Fitting, wrong: list[Misfit]) -> Iterator[Input]:
    """Inputs that fit: other channels, another size in the same proportion, a square."""
    for blob in fitting.net.inputs:
        shape = fitting.shapes[blob]
        if len(shape) == 2:
            yield from _rows(fitting, blob, shape, wrong)
        if len(shape) == 4:
            for channels in dict.fromkeys((shape[1], *_channels(blob, wrong))):
                yield from _pictures(fitting, blob, (shape[0], channels, *shape[2:]))


def _rows(fitting: _Fitting, blob: str, shape: Shape, wrong: list[Misfit]) -> Iterator[Input]:
    """As many values a row as a fully connected layer on this very input has weights for."""
    for misfit in wrong:
        values = math.prod(misfit.held) * shape[1] // math.prod(misfit.wanted)
        other = (shape[0], values)
        if blob in misfit.layer.bottoms and fitting.fits({blob: other}):
            yield Input(blob, other)


def _channels(blob: str, wrong: list[Misfit]) -> list[int]:
    """Those that the weights of convolutions on this very input are for."""
    return [
        x.held[1] * x.layer.fields.message("convolution_param").integer("group", 1)
        for x in wrong
        if x.layer.type == "Convolution" and blob in x.layer.bottoms and len(x.held) == 4
    ]


def _pictures(fitting: _Fitting, blob: str, shape: Shape) -> Iterator[Input]:
    if fitting.fits({blob: shape}):
        yield Input(blob, shape)
    for proportion in dict.fromkeys((shape, (*shape[:2], 1, 1))):

        def excess(size: int, proportion: Shape = proportion) -> int:
            return fitting.excess({blob: _sized(proportion, size)})

        sizes = range(1, LARGEST + 1)
        fit = range(bisect_left(sizes, 0, key=excess) + 1, bisect_left(sizes, 1, key=excess) + 1)
        if fit:
            best = _sized(proportion, next((size for size in COMMON if size in fit), fit[0]))
            if fitting.fits({blob: best}):
                yield Input(blob, best, fit)


def _sized(shape: Shape, size: int) -> Shape:
    """The same proportion with `size` for the longer side."""
    longer = max(shape[2:])
    sides = (max(1, round(side * size / longer)) for side in shape[2:])
    return (*shape[:2], *sides)
