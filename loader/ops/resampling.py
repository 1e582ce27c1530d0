"""Larger and smaller pictures, as forks of Caffe make them."""

from __future__ import annotations

import torch
from torch import nn


@torch.fx.wrap
def unpool(x: torch.Tensor, mask: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Every value to the place that its mask names, zeros elsewhere."""
    flat = x.new_zeros(x.size(0), x.size(1), height * width)
    return flat.scatter(2, mask.flatten(2).long(), x.flatten(2)).unflatten(2, (height, width))


@torch.fx.wrap
def steps(size: int, out: int, like: torch.Tensor) -> torch.Tensor:
    """Weights out x size: from the upper left corner on; what would lie beyond the edge is missing."""
    at = torch.arange(out, device=like.device, dtype=like.dtype) * (size / out)
    low = at.floor().long().clamp(max=size - 1)
    part = (at - low)[:, None]
    eye = torch.eye(size + 1, device=like.device, dtype=like.dtype)[:, :size]
    return (1 - part).abs() * eye[low] + part.abs() * eye[low + 1]


class Unpool(nn.Module):
    """SegNet's Upsample: x and the mask of a pooling, N x C x H x W -> N x C x height x width."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return unpool(x, mask, self.height, self.width)


class Resize(nn.Module):
    """Bilinear between places counted from the upper left corner: neither of torch's conventions."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, columns = steps(x.size(2), self.height, x), steps(x.size(3), self.width, x)
        return rows @ x @ columns.transpose(0, 1)
