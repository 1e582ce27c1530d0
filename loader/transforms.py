"""A picture, RGB 0..1, as the net wants it: a differentiable module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


class Transform(nn.Module):
    """N x 3 x H x W (RGB, 0..1; one channel: N x 1 x H x W) -> the net's input, same shape.

    (255 x, channels in the net's order, - mean) * scale, as Caffe's data_transformer.cpp: mean first.
    The mean follows the input's device and dtype.
    """

    mean: torch.Tensor

    def __init__(self, channel_order: str, mean: tuple[float, ...], scale: float) -> None:
        super().__init__()
        self.bgr, self.scale = channel_order == "BGR", scale
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.bgr:
            x = x.flip(-3)
        return (x * 255 - self.mean.to(x)) * self.scale


def build_transform(preprocessing: Mapping[str, Any] | None) -> nn.Module:
    """From the manifest's `preprocessing`; nn.Identity where it is unknown."""
    if preprocessing is None:
        return nn.Identity()
    return Transform(
        str(preprocessing["channel_order"]),
        tuple(float(value) for value in preprocessing["mean"]),
        float(preprocessing["scale"]),
    )
