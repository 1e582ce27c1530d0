"""Local response normalisation as Caffe computes it, quick on the CPU."""

from __future__ import annotations

import torch
from torch import nn


class LRN(nn.Module):
    """x * (k + alpha / size * sum of x^2 over `size` neighbouring channels) ** -beta.

    The same function as nn.LocalResponseNorm (Caffe divides alpha by the size, too), built from
    shifted adds: pooling over channels costs a quarter to a half of these nets' whole forward.
    In place on fresh temporaries only: it can be traced, exported and differentiated.
    """

    def __init__(self, size: int, alpha: float, beta: float, k: float = 1.0) -> None:
        super().__init__()
        if size < 1 or size % 2 == 0:
            raise ValueError(f"LRN over {size} channels: an odd number is needed")
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        half, channels = self.size // 2, x.size(1)
        # alpha before the square: half precision would overflow after it
        square = (x * (self.alpha / self.size)).mul_(x)
        # N x (C + size - 1) x H x W: zeros stand for the channels beyond the edges
        padded = nn.functional.pad(square, (0, 0, 0, 0, half, half))
        total = padded.narrow(1, 0, channels)
        if self.size > 1:
            total = total + padded.narrow(1, 1, channels)
        for shift in range(2, self.size):
            total = total.add_(padded.narrow(1, shift, channels))
        total = total.add_(self.k)
        if self.beta != 0.75:
            return total.pow(-self.beta).mul_(x)
        # s ** -0.75 by roots: a power costs as much as the rest together. pow(0.5) is the square root,
        # but keeps its input for the gradient, not its output, which can then be worked on in place
        root = total.rsqrt_()
        return root.pow(0.5).mul_(root).mul_(x)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class LRNWithinChannel(nn.Module):
    """x * (1 + alpha * mean of x^2 over size x size places) ** -beta; padding counts in the mean."""

    def __init__(self, size: int, alpha: float, beta: float) -> None:
        super().__init__()
        self.size, self.alpha, self.beta = size, alpha, beta

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        square = nn.functional.avg_pool2d(x.square(), self.size, 1, self.size // 2)
        return x * (1 + self.alpha * square) ** -self.beta
