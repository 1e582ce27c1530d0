"""Random weights for any definition: the rules say which shapes they want, and get them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from decant.loader.definition.graph import Net, owners
from decant.loader.layers.rule import Site
from decant.loader.plan import writer
from decant.loader.plan.batch import input_shapes
from decant.loader.plan.planning import plan
from tests.helpers import encode_caffemodel as encode

Blobs = list[list[np.ndarray]]


def random_blobs(
    net: Net, shapes: Mapping[str, tuple[int, ...]] | None = None, seed: int = 0
) -> Blobs:
    """Blobs for every layer of `net`: He's scale, biases too, variances positive; none is zero."""
    random = np.random.default_rng(seed)
    made: dict[int, list[np.ndarray]] = {}
    lines = {id(layer): index for index, layer in enumerate(net.layers)}

    def values(shape: tuple[int, ...], kind: str, number: int) -> np.ndarray:
        fan_in = max(1, int(np.prod(shape[1:])))
        found = random.standard_normal(shape, np.float32)
        if kind == "BatchNorm" or (kind == "Scale" and number == 0):
            return np.abs(found) * np.float32(0.2) + np.float32(0.9)
        return found * np.float32(np.sqrt(2.0 / fan_in) if number == 0 else 0.1)

    class Giving(Site):
        """A site whose blobs come into being when they are asked for."""

        def __init__(self, layer: Any, bottoms: Any, blobs: Any) -> None:
            own = made.setdefault(lines[id(layer)], [])
            if layer.type == "BatchNorm" and not own:
                channels = tuple(bottoms[0])[1]
                own += [
                    values((n,), "BatchNorm", at) for at, n in enumerate((channels, channels, 1))
                ]
            super().__init__(layer, bottoms, own)
            self.own = own

        def blob(self, number: int, *shape: int) -> np.ndarray:
            if number == len(self.own):
                self.own.append(values(tuple(shape), self.layer.type, number))
                self.blobs = self.own
            return super().blob(number, *shape)

        def expect(
            self, *, bottoms: int | None = None, tops: int | None = None, blobs: int
        ) -> None:
            super().expect(bottoms=bottoms, tops=tops, blobs=len(self.blobs))

    with patch.object(writer, "Site", Giving):
        plan(net, [[] for _ in net.layers], shapes or shapes_of(net))
    found = [made.get(index, []) for index in range(len(net.layers))]
    for (layer, number), (owner, other) in owners(net).items():
        found[layer][number] = found[owner][other]
    return found


def shapes_of(net: Net) -> dict[str, tuple[int, ...]]:
    """The inputs' declared shapes, one picture."""
    return {name: shape or () for name, shape in input_shapes(net, {}).items()}


def write_caffemodel(path: Path, net: Net, blobs: Blobs) -> None:
    """A caffemodel with these blobs."""
    layers = [
        (layer.name, layer.type, own) for layer, own in zip(net.layers, blobs, strict=True) if own
    ]
    path.write_bytes(encode.net("current", layers))
