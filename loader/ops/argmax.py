"""Caffe's ArgMax: several values, indices as floats, and of equal values the larger index."""

from __future__ import annotations

import torch
from torch import nn


class ArgMax(nn.Module):
    """The k largest along `axis`: their indices, or with `values` the values themselves.

    Without an axis it is over all but the first: N x 1 x k indices, or N x 2 x k with the values
    behind them, and `trailing` axes of size 1.
    """

    def __init__(
        self, k: int, axis: int | None = None, trailing: int = 0, values: bool = False
    ) -> None:
        super().__init__()
        self.k, self.axis, self.trailing, self.values = k, axis, trailing, values

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        axis = 1 if self.axis is None else self.axis
        x = x.unsqueeze(-1).flatten(1) if self.axis is None else x
        # in the reversed axis the first of equal values has the larger index
        back = x.flip(axis)
        if self.k == 1:
            order = back.argmax(axis, keepdim=True)
        else:
            order = back.argsort(dim=axis, descending=True, stable=True).narrow(axis, 0, self.k)
        index = x.size(axis) - 1 - order
        value, index = x.gather(axis, index), index.to(x.dtype)
        if self.axis is not None:
            return value if self.values else index
        found = torch.stack((index, value), 1) if self.values else index.unsqueeze(1)
        return found.reshape(found.shape + (1,) * self.trailing)
