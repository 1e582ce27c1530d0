"""How many pictures a net takes at once: any number, or those that its definition depends on.

The first axis of what a recurrent layer reads is time, whose length Caffe settles when it builds the
net (recurrent_layer.cpp: "input number of timesteps changed"): a net depends on it too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from decant.loader.errors import NoClassifier
from decant.loader.layers import type_of

if TYPE_CHECKING:
    from decant.loader.definition.graph import Net
    from decant.loader.layers.rule import Rule
    from decant.loader.plan.outline import BlobShapes, Outline

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]


def batch_of(shapes: Mapping[str, Shape | None]) -> int | None:
    """The first axis of four counts pictures; None where no input has four."""
    return next((shape[0] for shape in shapes.values() if shape and len(shape) == 4), None)


def with_batch(shapes: Shapes, batch: int, other: int) -> dict[str, Shape]:
    """The shapes with `other` pictures in place of `batch`, in every input that counts so many."""
    return {
        name: (other, *shape[1:]) if _counts(shape, batch) else shape
        for name, shape in shapes.items()
    }


def _counts(shape: Shape, batch: int) -> bool:
    return len(shape) == 4 or shape[:1] == (batch,)


def input_shapes(
    net: Net,
    given: Shapes,
    plugins: Mapping[str, Rule] | None = None,
    blobs: BlobShapes | None = None,
) -> dict[str, Shape | None]:
    """Each input's shape: `given`, else as declared, None where neither says one.

    Of inputs that are not given, the batch is that of the given ones, else one picture; or the
    declared one, if the net depends on that or picks rows out of it.
    """
    declared: dict[str, Shape | None] = {
        name: given.get(name) or shape for name, shape in net.inputs.items()
    }
    batch = batch_of(net.inputs)
    rest = {name: shape for name, shape in net.inputs.items() if shape and name not in given}
    if batch is None or not rest:
        return declared
    least = batch if any(type_of(layer).picks_rows for layer in net.layers) else 1
    wanted = {**declared, **with_batch(rest, batch, _stated(net, given, batch) or least)}
    one, other = _known(declared), _known(wanted)
    whole = len(one) == len(declared)
    if one != other and whole and changes(net, one, other, plugins, blobs):
        return declared
    return wanted


def _stated(net: Net, given: Shapes, batch: int) -> int | None:
    """How many pictures those inputs are given that count them."""
    for name, shape in given.items():
        if _counts(net.inputs.get(name) or shape, batch):
            return shape[0]
    return None


def _known(shapes: Mapping[str, Shape | None]) -> dict[str, Shape]:
    return {name: shape for name, shape in shapes.items() if shape and min(shape) > 0}


def fixed_batch(
    net: Net,
    shapes: Shapes,
    plugins: Mapping[str, Rule] | None = None,
    blobs: BlobShapes | None = None,
) -> int | None:
    """The batch of `shapes`, if the net takes no other; None if it takes any number of pictures.

    A Reshape may name it, a Slice may cut it, a blob of the net's own may have it: another batch is
    tried on the definition, and on the shapes of the weights where `blobs` has them.
    """
    batch = batch_of(shapes)
    if batch is None or min(map(min, shapes.values()), default=0) < 1:
        return None
    other = with_batch(shapes, batch, 1 if batch > 1 else 2)
    return batch if changes(net, shapes, other, plugins, blobs) else None


def changes(
    net: Net,
    shapes: Shapes,
    other: Shapes,
    plugins: Mapping[str, Rule] | None = None,
    blobs: BlobShapes | None = None,
) -> bool:
    """Whether the net refuses more of the `other` shapes, or makes something else of them."""
    from decant.loader.plan.outline import outline

    found, tried = (outline(net, one, plugins, blobs) for one in (shapes, other))
    return not same_but_for(net, found, tried, plugins) or _steps(net, found) != _steps(net, tried)


def same_but_for(
    net: Net, found: Outline, tried: Outline, plugins: Mapping[str, Rule] | None = None
) -> bool:
    """Whether the net of another input, `tried`, is that of `found`, the sizes of its tops aside."""
    makers = {"Reshape", *(plugins or {})}
    if len(tried.refused) > len(found.refused) or _reshaped(net, found, tried, makers):
        return False
    # as many rows as pictures in a weight
    return found.blobs == tried.blobs


def _steps(net: Net, found: Outline) -> list[int | None]:
    """How many time steps each recurrent layer takes: as many as it gives."""
    return [
        tops[0][0] if tops and tops[0] else None
        for layer, tops in zip(net.layers, found.tops.values(), strict=True)
        if type_of(layer).recurrent
    ]


def other_steps(net: Net, shapes: Shapes, plugins: Mapping[str, Rule] | None = None) -> bool:
    """Whether at these shapes time is not as long as the definition says."""
    from decant.loader.plan.outline import outline

    declared = {name: net.inputs[name] or shape for name, shape in shapes.items()}
    if not any(type_of(layer).recurrent for layer in net.layers):
        return False
    found, tried = (outline(net, one, plugins) for one in (declared, shapes))
    return _steps(net, found) != _steps(net, tried)


def _reshaped(net: Net, found: Outline, tried: Outline, makers: set[str]) -> bool:
    """Whether a layer of these types makes as many rows of another batch: they hold something else."""
    from decant.loader.plan.rules import python_type

    for layer, one, other in zip(net.layers, found.tops.values(), tried.tops.values(), strict=True):
        if {layer.type, python_type(layer)} & makers and one and other and one[0] and other[0]:
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
