"""U-Net's crop."""

from __future__ import annotations

import torch


@torch.fx.wrap
def middle_of(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The middle of x in the axes from the third on, of the size of `like`."""
    for axis in range(2, x.dim()):
        size = like.size(axis)
        x = x.narrow(axis, (x.size(axis) - size) // 2, size)
    return x
