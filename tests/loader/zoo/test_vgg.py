"""VGG: the published numbers of parameters, without the weights."""

from __future__ import annotations

import pytest
import torch

from decant.loader.zoo.vgg import VGG16, VGG19


@pytest.mark.parametrize(
    ("made", "classes", "parameters", "convolutions"),
    [
        (VGG16, 1000, 138_357_544, 13),
        (VGG19, 1000, 143_667_240, 16),
        # VGG-Face: 4096 x 1622 + 1622 more
        (VGG16, 2622, 138_357_544 + 4097 * 1622, 13),
    ],
)
def test_the_published_numbers(
    made: type[VGG16], classes: int, parameters: int, convolutions: int
) -> None:
    with torch.device("meta"):
        net = made(classes)
    assert net.fc8.out_features == classes
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert sum(name.startswith("conv") for name in net.caffe_layers()) == convolutions
    assert net.caffe_layers()["conv5_1"] == "conv5_1" and net.caffe_layers()["prob"] is None
