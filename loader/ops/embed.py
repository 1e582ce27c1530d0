"""Caffe's Embed with its bias."""

from __future__ import annotations

import torch
from torch import nn


class Embed(nn.Module):
    """Rows of `weight` by index (a float, as in Caffe), plus a bias."""

    def __init__(self, rows: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(rows, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, index: torch.Tensor) -> torch.Tensor:
        return nn.functional.embedding(index.long(), self.weight) + self.bias
