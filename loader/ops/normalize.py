"""SSD's Normalize: an L2 norm with learned scales."""

from __future__ import annotations

import torch
from torch import nn


class Normalize(nn.Module):
    """x / sqrt(sum of x^2 + eps) * weight; the sum is over a place's channels, or over all of x."""

    def __init__(self, scales: int, across_spatial: bool, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(scales))
        self.axes, self.eps = (1, 2, 3) if across_spatial else (1,), eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        norm = (x.square().sum(self.axes, keepdim=True) + self.eps).clamp(min=self.eps).sqrt()
        return x / norm * self.weight.reshape(-1, 1, 1)
