"""What can be said of a definition without its weights: shapes of tops and of parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from decant.loader.definition.graph import Net
from decant.loader.layers.rule import Rule, Shape, Site
from decant.loader.plan.wiring import wire
from decant.loader.plan.writer import Writer

# of the weights: the shapes of a layer's first blobs, by its name
BlobShapes = Mapping[str, Sequence[Shape]]


@dataclass
class Outline:
    """What can be said of a definition alone: by unique layer name, in order.

    `tops`: shapes, None where a layer before could not be worked out. `blobs`: parameter shapes.
    `refused`: as `plan` would say it; `unsupported`: what of it no other weights would change.
    """

    tops: dict[str, list[Shape | None]]
    blobs: dict[str, list[Shape]]
    refused: list[str]
    unsupported: list[str]


class _BlobRecorder(Site):
    """A site without weights: takes down which blobs its rule asks for. They hold no memory."""

    def filed(self, *otherwise: Shape) -> list[np.ndarray]:
        if not self.blobs:
            self.blobs = [_weightless(shape) for shape in otherwise]
        return self.blobs

    def blob(self, number: int, *shape: int) -> np.ndarray:
        if number == len(self.blobs):
            self.blobs.append(_weightless(shape))
        return super().blob(number, *shape)

    def expect(self, *, bottoms: int | None = None, tops: int | None = None, blobs: int) -> None:
        super().expect(bottoms=bottoms, tops=tops, blobs=len(self.blobs))


def _weightless(shape: Shape) -> np.ndarray:
    """An array of ones of this shape that holds a single number."""
    return np.broadcast_to(np.float32(1), shape)


def outline(
    net: Net,
    shapes: Mapping[str, Shape],
    plugins: Mapping[str, Rule] | None = None,
    blobs: BlobShapes | None = None,
) -> Outline:
    """Shapes of all tops and parameters, as far as the definition goes, and `blobs` of the weights.

    Worked out once for each question; not to be changed. Raises UsageError only.
    """
    known = [[tuple(shape) for shape in (blobs or {}).get(x.name, ())] for x in net.layers]
    question = (
        "outline",
        tuple((name, tuple(shapes.get(name) or ())) for name in net.inputs),
        tuple(map(tuple, known)),
        tuple(sorted((plugins or {}).items())),
    )
    return net.once(question, lambda: _outline(net, shapes, plugins, known))


def _outline(
    net: Net,
    shapes: Mapping[str, Shape],
    plugins: Mapping[str, Rule] | None,
    known: Sequence[Sequence[Shape]],
) -> Outline:
    arrays = [[_weightless(shape) for shape in blobs] for blobs in known]
    wired, _, ends = wire(net, shapes)
    writer = Writer(net, arrays, plugins or {}, wired, set(ends.values()), _BlobRecorder)
    for item in wired:
        writer.step(item)
    tops: dict[str, list[Shape | None]] = {
        item.name: [None if value in writer.unknown else value.shape for value in item.outputs]
        for item in wired
    }
    taken = {
        name: [tuple(blob.shape) for blob in site.blobs] for name, site in writer.sites.items()
    }
    return Outline(tops, taken, writer.wrong + writer.misfits, writer.wrong)
