"""Darknet's reorg, as its Caffe forks compute it."""

from __future__ import annotations

import torch
from torch import nn


class Reorg(nn.Module):
    """stride x stride places become channels.

    Darknet reads the input as if it had C / stride^2 channels of stride times the width and height:
    the result is a mixture of places, not pixel_unshuffle, and nets were trained on it.
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, c, h, w = x.shape
        s = self.stride
        x = x.reshape(n, c // (s * s), h, s, w, s)
        x = x.permute(0, 3, 5, 1, 2, 4)
        return x.reshape(n, c * s * s, h // s, w // s)
