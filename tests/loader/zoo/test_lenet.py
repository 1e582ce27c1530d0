"""LeNet: its parameters counted by hand, and Caffe's own answer in the dump that the model brings."""

from __future__ import annotations

import torch

from decant.loader.zoo.lenet import LeNet


@torch.no_grad()
def test_parameters_and_shapes_by_hand() -> None:
    """16 x 9 + 16, 32 x 16 x 9 + 32, 512 x 64 + 64, 64 x 10 + 10."""
    net = LeNet().eval()
    assert sum(p.numel() for p in net.parameters()) == 160 + 4640 + 32832 + 650
    assert net(torch.zeros(2, 1, 16, 16)).shape == (2, 10)
    assert LeNet(3)(torch.zeros(1, 1, 16, 16)).shape == (1, 3)


def test_every_layer_of_caffes_but_the_softmax_is_a_module() -> None:
    layers = LeNet().caffe_layers()
    assert layers.pop("prob") is None and all(name == path for name, path in layers.items())
