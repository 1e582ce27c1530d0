"""AlexNet and CaffeNet: sizes of the published nets, without their weights; and the order they differ in."""

from __future__ import annotations

import torch
from torch import nn

from decant.loader.zoo.alexnet import AlexNet, CaffeNet


class Children(torch.fx.Tracer):
    """Goes into no module."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True


def order(net: nn.Module) -> list[str]:
    """In which modules are called."""
    return [str(node.target) for node in Children().trace(net).nodes if node.op == "call_module"]


def test_the_published_number_of_parameters_and_classes() -> None:
    """60,965,224: the two groups of conv2, conv4 and conv5 are in it."""
    with torch.device("meta"):
        net = AlexNet()
    assert sum(p.numel() for p in net.parameters()) == 60_965_224
    assert net.fc8.out_features == 1000


def test_one_pools_before_it_normalises_and_the_other_after() -> None:
    with torch.device("meta"):
        ours, caffes = order(AlexNet()), order(CaffeNet())
    assert ours[2:4] == ["norm1", "pool1"] and caffes[2:4] == ["pool1", "norm1"]
    assert sorted(ours) == sorted(caffes)
