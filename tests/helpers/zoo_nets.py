"""Modules of the zoo with random weights."""

from __future__ import annotations

import torch
from torch import nn

from decant.loader import zoo


def random(module: str, seed: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    net = zoo.build(module, {})
    for parameter in net.parameters():
        scale = (2 / parameter[0].numel()) ** 0.5 if parameter.dim() > 1 else 0.1
        nn.init.normal_(parameter, std=scale)
    return net
