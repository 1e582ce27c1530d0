"""Values that no training makes: those of Caffe's `constant` and `bilinear` fillers (filler.hpp).

Caffe runs a layer that the weights lack with what its fillers made. Where these are exact, and
somebody wrote them down, that is what the definition means: an upsampling Deconvolution is often
published without its weights. A random filler, and a weight whose filler nobody wrote (then it is
constant 0), are missing weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from decant.loader.definition.graph import Layer
from decant.loader.definition.prototxt import Message, number
from decant.loader.layers import type_of
from decant.loader.layers.rule import Shape

EXACT = ("constant", "bilinear")
RANDOM = ("gaussian", "msra", "positive_unitball", "uniform", "xavier")


def fillers(layer: Layer) -> list[Message]:
    """The layer's fillers, if all of them are exact and the first is written down; else none.

    Of a bias the default counts too. LSTM and RNN are nets of their own, and have none here.
    """
    of = type_of(layer)
    found = _all(layer)
    written = bool(found) and layer.fields.message(of.message).has(of.fillers[0])
    return found if written and all(kind(filler) in EXACT for filler in found) else []


def _all(layer: Layer) -> list[Message]:
    of = type_of(layer)
    return [layer.fields.message(of.message).message(name) for name in of.fillers]


def kind(filler: Message) -> str:
    """constant, bilinear, gaussian, ..."""
    return filler.text("type", "constant")


def values(layer: Layer, shapes: Sequence[Shape]) -> list[np.ndarray]:
    """What Caffe fills the layer's blobs with: float32 in these shapes; [] where it is not exact."""
    found = fillers(layer)
    if not 0 < len(shapes) <= len(found):
        return []
    pairs = list(zip(found, shapes, strict=False))
    return [_fill(*pair) for pair in pairs] if all(_accepted(*pair) for pair in pairs) else []


def at_random(layer: Layer) -> str:
    """The first of the layer's fillers that is random, in words; "" where none is."""
    kinds = list(map(kind, _all(layer)))
    return next((word for word in kinds if word in RANDOM), "")


def describe(layer: Layer, blobs: int) -> str:
    """For a person: `bilinear weights, constant 0`."""
    texts = [
        f"constant {filler.text('value', '0')}" if kind(filler) == "constant" else kind(filler)
        for filler in fillers(layer)[:blobs]
    ]
    return ", ".join(texts)


def _accepted(filler: Message, shape: Shape) -> bool:
    """Whether Caffe fills such a blob at all: it aborts on sparse ones, and on other planes.

    And with a value that is one: an infinity is not a weight.
    """
    if filler.integer("sparse", -1) != -1:
        return False
    if kind(filler) == "bilinear":
        return len(shape) == 4 and shape[2] == shape[3]
    return abs(number(filler.text("value", "0"))) <= float(np.finfo(np.float32).max)


def _fill(filler: Message, shape: Shape) -> np.ndarray:
    if kind(filler) == "bilinear":
        return bilinear(shape)
    return np.full(shape, number(filler.text("value", "0")), np.float32)


def bilinear(shape: Shape) -> np.ndarray:
    """BilinearFiller: each k x k plane is (1 - |x/f - c|) (1 - |y/f - c|), f = ceil(k/2).

    c = (k-1) / 2f is worked out in double and kept as a float; all else is float, rounded at each step.
    (Older Caffes had c = (2f - 1 - f%2) / 2f: the same for kernels of 2n - n%2, which upsampling takes.)
    """
    size, half = shape[3], -(-shape[3] // 2)
    center = np.float32((size - 1) / (2 * half))
    line = np.float32(1) - np.abs(np.arange(size, dtype=np.float32) / np.float32(half) - center)
    return np.ascontiguousarray(np.broadcast_to(line * line[:, None], shape))


def differs_by_version(layer: Layer, shapes: Sequence[Shape]) -> bool:
    """Whether an older Caffe made another bilinear kernel of this size."""
    planes = [
        shape[3]
        for filler, shape in zip(fillers(layer), shapes, strict=False)
        if kind(filler) == "bilinear"
    ]
    # where 2f - 1 - f%2 is not k - 1
    return any(size % 4 in (2, 3) for size in planes)
