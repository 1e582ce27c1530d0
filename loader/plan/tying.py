"""Which tensors of the module Caffe shares by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from decant.loader.definition.graph import Net, owners
from decant.loader.layers.rule import Shape
from decant.loader.plan.steps import Step
from decant.loader.plan.wiring import Wired

# (layer, number of the blob) by their places in the net
Place = tuple[int, int]


def tied(
    net: Net,
    wired: Sequence[Wired],
    blobs: Sequence[Sequence[np.ndarray]],
    steps: Sequence[Step],
) -> list[tuple[str, str]]:
    """(key, owner's key) of parameters that Caffe shares by name; not where their shapes differ."""
    shared = owners(net)
    return _shared(wired, blobs, steps, shared) + _made_of_shared(wired, blobs, steps, shared)


def _shared(
    wired: Sequence[Wired],
    blobs: Sequence[Sequence[np.ndarray]],
    steps: Sequence[Step],
    shared: Mapping[Place, Place],
) -> list[tuple[str, str]]:
    by_name = {step.layer: step for step in steps}
    keys: dict[Place, tuple[str, Shape, Shape]] = {}
    found = []
    for item in wired:
        step = by_name.get(item.name)
        if step is None:
            continue
        for name, array in step.written.tensors.items():
            for number, blob in enumerate(blobs[item.index]):
                if blob.size == 0 or not np.may_share_memory(array, blob):
                    continue
                place = (item.index, number)
                owner = shared.get(place)
                # a transposed InnerProduct holds the same blob in another order
                if owner in keys and keys[owner][1:] == (array.shape, array.strides):
                    found.append((step.key(name), keys[owner][0]))
                keys.setdefault(place, (step.key(name), array.shape, array.strides))
                break
    return found


def _made_of_shared(
    wired: Sequence[Wired],
    blobs: Sequence[Sequence[np.ndarray]],
    steps: Sequence[Step],
    shared: Mapping[Place, Place],
) -> list[tuple[str, str]]:
    """Of tensors that are not blobs, but made of shared ones alone: BatchNorm's statistics."""
    index = {item.name: item.index for item in wired}
    of = {index[name]: step for step in steps for name in (step.layer, *step.fused)}
    found = []
    for step in steps:
        own = [index[name] for name in (step.layer, *step.fused)]
        places = {(at, number): blob for at in own for number, blob in enumerate(blobs[at])}
        ends = {place: shared.get(place, (-1, -1)) for place in places}
        others = {of.get(at) for at, _ in ends.values()}
        other = others.pop() if len(others) == 1 else None
        if other is None or any(place[1] != end[1] for place, end in ends.items()):
            continue
        alike = step.written.module == other.written.module and step.calls == other.calls
        for name, array in step.written.tensors.items():
            made = not any(np.may_share_memory(array, blob) for blob in places.values())
            if alike and made and name in other.written.tensors:
                found.append((step.key(name), other.key(name)))
    return found
