"""Where a Crop begins whose definition does not say it: at the offset that aligns its bottoms.

Forks of FCN's time work the offset out (crop_layer.cpp there); stock Caffe takes 0, and pycaffe's
coord_map.py does the same as those forks when a definition is written. A layer maps the coordinates of
its bottom to those of its top: a convolution to (x + pad - (kernel - 1) / 2) / stride, its inverse
for a Deconvolution, no change for what works element by element. Composed along the way up from both
bottoms to what both are made of, they say where the second lies in the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from decant.loader.definition.prototxt import Field, Message
from decant.loader.errors import Unsupported

if TYPE_CHECKING:
    from decant.loader.definition.graph import Layer

Shape = tuple[int, ...]
# of one axis: x -> scale * x + shift
Line = tuple[Fraction, Fraction]

# the message that holds kernel, stride and pad
WINDOWS = {
    "Convolution": "convolution_param", "ConvolutionDepthwise": "convolution_param",
    "Deconvolution": "convolution_param", "DepthwiseConvolution": "convolution_param",
    "Im2col": "convolution_param", "Pooling": "pooling_param",
}  # fmt: skip
# every place of the top is made of the same place of these bottoms; None: of all
SAME_PLACE: dict[str, tuple[int, ...] | None] = {
    **dict.fromkeys(
        ("AbsVal", "BN", "BNLL", "BatchNorm", "BatchReindex", "Bias", "CReLU", "Clip", "Crop", "Dropout",
         "ELU", "Exp", "GRN", "HSigmoid", "HardSigmoid", "HardSwish", "LRN", "Log", "MVN", "Mish",
         "Normalize", "PReLU", "Power", "ReLU", "ReLU6", "Scale", "SeLu", "ShuffleChannel", "Sigmoid",
         "Sin", "Softmax", "Split", "Swish", "TanH", "Threshold"),
        (0,),
    ),
    "Axpy": (1, 2), "Concat": None, "Eltwise": None, "Slice": (0,), "Tile": (0,), "ArgMax": (0,),
}  # fmt: skip
# only where they work along another axis than those of places: message, old and new name of the axis
ALONG = {
    "Concat": ("concat_param", "concat_dim"), "Slice": ("slice_param", "slice_dim"),
    "Tile": ("tile_param", ""), "ArgMax": ("argmax_param", ""),
}  # fmt: skip
# more ways than these are as many answers
MAX_WAYS = 8


class _Unmapped(ValueError):
    """A layer whose places are not those of its bottom; the way ends there."""


@dataclass(frozen=True)
class Affine:
    """Along the axes from `first` on; one line stands for every axis."""

    lines: tuple[Line, ...] = ((Fraction(1), Fraction(0)),)
    first: int | None = None

    def after(self, inner: Affine) -> Affine:
        """self(inner(x)). Raises _Unmapped where the two are not about the same axes."""
        firsts = {self.first, inner.first} - {None}
        counts = {len(self.lines), len(inner.lines)} - {1}
        if len(firsts) > 1 or len(counts) > 1:
            raise _Unmapped("along other axes")
        number = max(len(self.lines), len(inner.lines))
        pairs = zip(self.along(number), inner.along(number), strict=True)
        lines = tuple((a * c, a * d + b) for (a, b), (c, d) in pairs)
        return Affine(lines, next(iter(firsts), None))

    def inverse(self) -> Affine:
        """Back from the top to the bottom."""
        return Affine(tuple((1 / a, -b / a) for a, b in self.lines), self.first)

    def along(self, number: int) -> tuple[Line, ...]:
        """A line for each of so many axes."""
        return self.lines * number if len(self.lines) == 1 else self.lines


@dataclass(frozen=True)
class Aligned:
    """A Crop without an offset: `offsets` from its axis on, None where `reason` says why not."""

    index: int
    offsets: tuple[int, ...] | None
    reason: str = ""

    @property
    def shown(self) -> str:
        """`34`, or `3, 4` where the axes differ."""
        assert self.offsets is not None
        return ", ".join(
            map(str, self.offsets[:1] if len(set(self.offsets)) == 1 else self.offsets)
        )


def missing_offsets(layers: Sequence[Layer], inputs: Mapping[str, Shape | None]) -> list[Aligned]:
    """The aligned offset of every Crop that has none written, in order; each takes those before for
    granted, as in the forks."""
    if not any(_wants_offset(layer) for layer in layers):
        return []
    axes = max((len(shape) for shape in inputs.values() if shape), default=4)
    graph = _Graph(layers, axes)
    found = []
    for index, layer in enumerate(layers):
        if not _wants_offset(layer):
            continue
        try:
            item = Aligned(index, _offsets(layer, graph.between(index), axes))
        except _Unmapped as error:
            item = Aligned(index, None, str(error))
        graph.crops[index] = item.offsets or (0,)
        found.append(item)
    return found


def _wants_offset(layer: Layer) -> bool:
    return (
        layer.type == "Crop"
        and len(layer.bottoms) == 2
        and not layer.fields.message("crop_param").has("offset")
    )


def _offsets(layer: Layer, between: Affine, axes: int) -> tuple[int, ...]:
    """From the Crop's own axis on; along channels and pictures it begins at 0."""
    axis = layer.fields.message("crop_param").integer("axis", 2)
    axis = axis + axes if axis < 0 else axis
    first = 2 if between.first is None else between.first
    places = [-shift for _, shift in between.along(max(axes - first, 1))]
    if any(scale != 1 for scale, _ in between.lines):
        scale = next(scale for scale, _ in between.lines if scale != 1)
        raise _Unmapped(f"one of its bottoms has {scale} times the places of the other")
    for place in places:
        if place.denominator != 1:
            raise _Unmapped(f"its bottoms align at {place}, between two places")
        if place < 0:
            raise _Unmapped(f"its bottoms align at {place}, outside of the first")
    wanted = [0] * max(first - axis, 0) + [int(place) for place in places[max(axis - first, 0) :]]
    return tuple(wanted[:1] if len(set(wanted)) == 1 else wanted)


class _Graph:
    """The layers between values: an in-place layer makes a new one."""

    def __init__(self, layers: Sequence[Layer], axes: int) -> None:
        self.layers, self.axes = layers, axes
        # of Crops that have been worked out, by index
        self.crops: dict[int, tuple[int, ...]] = {}
        self.bottoms: list[list[object]] = []
        self.tops: list[list[object]] = []
        current: dict[str, object] = {}
        for layer in layers:
            self.bottoms.append([current.setdefault(blob, object()) for blob in layer.bottoms])
            self.tops.append([object() for _ in layer.tops])
            current.update(zip(layer.tops, self.tops[-1], strict=True))

    def between(self, index: int) -> Affine:
        """From places of the Crop's first bottom to those of its second. Raises _Unmapped."""
        first, second = self.bottoms[index]
        ways = self._up(index, first, set())
        others = self._up(index, second, set(ways))
        found: dict[Affine, None] = {}
        for value in others:
            for way in ways.get(value, ()):
                found.update((other.after(way.inverse()), None) for other in others[value])
        if not found:
            raise _Unmapped("nothing that both bottoms are made of keeps places")
        if len({one.along(max(len(x.lines) for x in found)) for one in found}) > 1:
            raise _Unmapped("it depends on the way that is taken to its bottoms' common origin")
        return next(iter(found))

    def _up(self, index: int, start: object, ends: set[object]) -> dict[object, list[Affine]]:
        """Each value that `start` is made of -> the maps from there, one for each way that differs.

        Nothing is sought beyond `ends`.
        """
        maps: dict[object, list[Affine]] = {start: [Affine()]}
        for at in range(index - 1, -1, -1):
            for number, top in enumerate(self.tops[at]):
                if top in maps and top not in ends:
                    self._through(at, number, maps[top], maps)
        return maps

    def _through(
        self, at: int, top: int, ways: list[Affine], maps: dict[object, list[Affine]]
    ) -> None:
        try:
            own = self._map(at)
            found = [way.after(own) for way in ways]
        except (KeyError, ValueError, ZeroDivisionError):
            return
        kind, bottoms = self.layers[at].type, self.bottoms[at]
        # a convolution of several bottoms makes a top of each
        numbers = (top,) if kind in WINDOWS else SAME_PLACE[kind] or range(len(bottoms))
        for bottom in (bottoms[number] for number in numbers if number < len(bottoms)):
            there = maps.setdefault(bottom, [])
            there += [way for way in found if way not in there][: MAX_WAYS - len(there)]

    def _map(self, at: int) -> Affine:
        """From places of a layer's bottoms to those of its top. Raises ValueError and its kin."""
        layer = self.layers[at]
        if layer.type in WINDOWS:
            return _window(layer)
        if layer.type == "Crop":
            return _crop(layer, self.crops.get(at), self.axes)
        along = layer.type in ALONG and not _along_no_place(layer)
        if layer.type not in SAME_PLACE or along:
            raise _Unmapped(layer.type)
        return Affine()


def _along_no_place(layer: Layer) -> bool:
    message, old = ALONG[layer.type]
    param = layer.fields.message(message)
    if layer.type == "ArgMax" and not param.has("axis"):
        return False
    return param.integer(old if old and param.has(old) else "axis", 1) in (0, 1)


def _window(layer: Layer) -> Affine:
    param = layer.fields.message(WINDOWS[layer.type])
    if param.boolean("global_pooling"):
        raise _Unmapped("one place is left")
    kernel, stride, pad = (
        _sizes(param, name, default)
        for name, default in (("kernel_size", 0), ("stride", 1), ("pad", 0))
    )
    dilation = param.integers("dilation") or [1]
    number = max(map(len, (kernel, stride, pad, dilation)))
    sizes = (
        values * number if len(values) == 1 else values
        for values in (kernel, stride, pad, dilation)
    )
    lines = []
    for k, s, p, d in zip(*sizes, strict=True):
        if k < 1:
            raise _Unmapped("no kernel")
        lines.append((Fraction(1, s), (p - Fraction((k - 1) * d, 2)) / s))
    own = Affine(tuple(lines), param.integer("axis", 1) + 1)
    return own.inverse() if layer.type == "Deconvolution" else own


def _sizes(param: Message, name: str, default: int) -> list[int]:
    """`kernel_size: 3`, several of them, or `kernel_h` and `kernel_w`."""
    short = name.removesuffix("_size")
    if param.has(f"{short}_h") or param.has(f"{short}_w"):
        return [param.integer(f"{short}_h", default), param.integer(f"{short}_w", default)]
    return param.integers(name) or [default]


def _crop(layer: Layer, offsets: tuple[int, ...] | None, axes: int) -> Affine:
    param = layer.fields.message("crop_param")
    axis = param.integer("axis", 2)
    axis = axis + axes if axis < 0 else axis
    own = offsets if offsets is not None else tuple(param.integers("offset")) or (0,)
    if axis < 2 and len(own) > 1:
        own, axis = own[2 - axis :], 2
    if axis == 3 and own != (0,):
        own, axis = (0, *own), 2
    lines = tuple((Fraction(1), Fraction(-offset)) for offset in own)
    return Affine(lines, None if own == (0,) else 2)


def notes(layers: Sequence[Layer], found: Sequence[Aligned]) -> list[str]:
    """Where stock Caffe crops elsewhere than those forks, in one line; [] where it does not."""
    others = [item for item in found if item.offsets and any(item.offsets)]
    if not others:
        return []
    places = _places(layers, others)
    return [
        f"Crop without an offset begins at 0, as in stock Caffe; the bottoms align at {places}, where "
        "forks of FCN's time crop: --crop aligned"
    ]


def _places(layers: Sequence[Layer], found: Sequence[Aligned]) -> str:
    return "; ".join(
        f"{item.shown} ({layers[item.index].name!r}, line {layers[item.index].line})"
        for item in found
    )


def aligned(
    layers: Sequence[Layer], found: Sequence[Aligned], file: str
) -> tuple[tuple[Layer, ...], list[str]]:
    """The layers with the offsets written, and a note. Raises Unsupported where one is not known."""
    wrong = [
        f"line {layers[item.index].line}: layer {layers[item.index].name!r}: {item.reason}"
        for item in found
        if item.offsets is None
    ]
    if wrong:
        raise Unsupported(
            f"{file}: --crop aligned: {wrong[0]}; write its crop_param {{ offset: ... }}", wrong
        )
    changed = list(layers)
    for item in found:
        if item.offsets and any(item.offsets):
            changed[item.index] = _written(layers[item.index], item.offsets)
    others = [item for item in found if item.offsets and any(item.offsets)]
    said = f"Crop begins where its bottoms align: at {_places(layers, others)}"
    return tuple(changed), [said] if others else []


def _written(layer: Layer, offsets: Sequence[int]) -> Layer:
    line = layer.line
    own = [Field("offset", str(offset), line) for offset in offsets]
    param = Message([*layer.fields.message("crop_param").fields, *own], line)
    others = [item for item in layer.fields.fields if item.name != "crop_param"]
    return replace(layer, fields=Message([*others, Field("crop_param", param, line)], line))
