"""Every layer of stock Caffe alone, on values that float32 makes much of; in one container."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from decant.loader.artifact.conversion import conversion_of
from decant.loader.parity import measuring
from tests.helpers.caffe_answers import ask, unpack
from tests.helpers.nets import NETS, Shape, SmallNet

pytestmark = pytest.mark.container

Values = Callable[[np.random.Generator, Shape], np.ndarray]
VALUES: dict[str, Values] = {
    "around 10,000": lambda random, shape: 1e4 + random.standard_normal(shape),
    "of 1e-6": lambda random, shape: random.standard_normal(shape) * 1e-6,
    "to 1e15": lambda random, shape: random.standard_normal(shape) * 1e15,
    "constant": lambda random, shape: np.broadcast_to(
        random.standard_normal((*shape[:2], *[1] * (len(shape) - 2))) * 3, shape
    ),
}
BOUND = 1e-6
# docs/parity.md: what Caffe itself computes as far from float64, or farther
CAFFES_OWN = {"ELU", "MVN", "BatchNorm batch statistics", "LRN"}


def small() -> list[SmallNet]:
    """Nets of one layer that computes with its input's values."""
    return [
        replace(net, name=f"{net.name} {words}", probe=dict.fromkeys(net.inputs, values))
        for net in NETS
        if len(net.covers.split()) == 1 and not net.probe and not net.weights and not net.blobs
        if net.text.count("layer {") == 1 + len(net.inputs) and net.covers != "Filter"
        for words, values in VALUES.items()
    ]


def test_a_layer_alone_is_as_near_as_float32_allows(image: str, tmp_path: Path) -> None:
    nets = small()
    assert len({net.covers for net in nets}) >= 30
    dumps = unpack(ask(nets), tmp_path)
    wrong = []
    for net in nets:
        dump = dumps[net.name]
        converted = conversion_of(dump, None, "net")
        for top in measuring.measure(dump, converted.build(), converted.caffe_map()).layers:
            if top.isolated <= BOUND:
                continue
            kind = net.covers
            if net.name.startswith("bn_batch_statistics"):
                kind += " batch statistics"
            own = kind in CAFFES_OWN and top.torch_float64 <= 2 * top.caffe_float64
            if not own:
                wrong.append(
                    (net.name, top.isolated, top.caffe_float64, top.torch_float64, top.reason)
                )
    assert wrong == []
