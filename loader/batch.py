"""How many pictures a net takes at once: any number, or those that its definition counts on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from loader.errors import NoClassifier

if TYPE_CHECKING:
    from loader.graph import Net
    from loader.plan import Outline

Shapes = Mapping[str, tuple[int, ...]]


def batch_of(shapes: Mapping[str, tuple[int, ...] | None]) -> int | None:
    """The first axis of four counts pictures; None where no input has four."""
    return next((shape[0] for shape in shapes.values() if shape and len(shape) == 4), None)


def with_batch(shapes: Shapes, batch: int, other: int) -> dict[str, tuple[int, ...]]:
    """The shapes with `other` pictures in place of `batch`, in every input that counts so many."""
    return {
        name: (other, *shape[1:]) if len(shape) == 4 or shape[:1] == (batch,) else shape
        for name, shape in shapes.items()
    }


def fixed_batch(net: Net, shapes: Shapes) -> int | None:
    """The batch of `shapes`, if the net takes no other; None if it takes any number of pictures.

    A Reshape may name it, a Slice may cut it, a blob of the net's own may have it: another batch is
    tried on the definition.
    """
    from loader.plan import outline

    batch = batch_of(shapes)
    if batch is None or min(map(min, shapes.values()), default=0) < 1:
        return None
    found = outline(net, shapes)
    tried = outline(net, with_batch(shapes, batch, 1 if batch > 1 else 2))
    more = len(tried.refused) > len(found.refused)
    return batch if more or _reshaped(net, found, tried) else None


def _reshaped(net: Net, found: Outline, tried: Outline) -> bool:
    """Whether a Reshape makes as many rows of another batch: they hold something else then."""
    for layer, one, other in zip(net.layers, found.tops.values(), tried.tops.values(), strict=True):
        if layer.type == "Reshape" and one[0] and other[0]:
            a, b = one[0], other[0]
            if a[0] == b[0] and math.prod(a) != math.prod(b):
                return True
    return False


def filled(pictures: np.ndarray, fixed: int | None) -> np.ndarray:
    """Up to a multiple of `fixed` with the last picture, for a net that takes no other number."""
    missing = -len(pictures) % (fixed or 1)
    return np.concatenate([pictures, pictures[-1:].repeat(missing, 0)]) if missing else pictures


def refuse_no_classes(answer: tuple[int, ...], pictures: int) -> None:
    """Raise NoClassifier unless the answer, of this shape, is a row of classes for each picture."""
    classes = answer[1:]
    if not classes or answer[0] != pictures or math.prod(classes) != max(classes):
        shown = " x ".join(map(str, answer)) or "one number"
        raise NoClassifier(f"no classifier of pictures: it answers {pictures} with {shown}")
