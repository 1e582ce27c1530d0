"""Caffe's mean-variance normalisation."""

from __future__ import annotations

import torch
from torch import nn


class MVN(nn.Module):
    """(x - mean) / (deviation + eps), for each channel of each picture or over all channels."""

    def __init__(
        self, normalize_variance: bool = True, across_channels: bool = False, eps: float = 1e-9
    ) -> None:
        super().__init__()
        self.normalize_variance, self.eps = normalize_variance, eps
        self.axes = (1, 2, 3) if across_channels else (2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x - x.mean(self.axes, keepdim=True)
        if not self.normalize_variance:
            return x
        deviation = x.square().mean(self.axes, keepdim=True).sqrt() + self.eps
        # changes nothing here; ONNX's optimiser takes a sum with so little for the deviation alone
        return x / deviation.clamp(min=self.eps)
