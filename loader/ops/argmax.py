"""Caffe's ArgMax: several values, indices as floats, and of equal values the larger index."""

from __future__ import annotations

import torch
from torch import nn


def largest(x: torch.Tensor, k: int, axis: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The k largest values along an axis, and their indices in x's dtype; ties: larger index first."""
    order = x.flip(axis).argsort(dim=axis, descending=True, stable=True).narrow(axis, 0, k)
    index = x.size(axis) - 1 - order
    return x.gather(axis, index), index.to(x.dtype)


class ArgMax(nn.Module):
    """Over all axes but the first: N x 1 x k indices, or N x 2 x k with the values behind them."""

    def __init__(self, k: int, trailing: int, values: bool = False) -> None:
        super().__init__()
        self.k, self.trailing, self.values = k, trailing, values

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value, index = largest(x.flatten(1), self.k, 1)
        found = torch.stack((index, value), 1) if self.values else index.unsqueeze(1)
        return found.reshape(found.shape + (1,) * self.trailing)
