"""Caffe's Scale and Bias: along some axes, whichever they are."""

from __future__ import annotations

import torch
from torch import nn


class Scale(nn.Module):
    """x * weight (+ bias): both have the shape of some axes of x; `after` axes follow them."""

    def __init__(self, shape: tuple[int, ...], after: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape))
        self.bias = nn.Parameter(torch.zeros(shape)) if bias else None
        self.broadcast = shape + (1,) * after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x * self.weight.reshape(self.broadcast)
        return x if self.bias is None else x + self.bias.reshape(self.broadcast)


class Bias(nn.Module):
    """x + bias, which has the shape of some axes of x; `after` axes follow them."""

    def __init__(self, shape: tuple[int, ...], after: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(shape))
        self.broadcast = shape + (1,) * after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.bias.reshape(self.broadcast)
