"""A small LeNet with ReLUs, for lenet_digits (models/lenet_digits)."""

from __future__ import annotations

import torch
from torch import nn


class LeNet(nn.Module):
    """N x 1 x 16 x 16 (grey levels / 256) -> N x num_classes logits; the softmax is left out."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.ip1 = nn.Linear(32 * 4 * 4, 64)
        self.relu3 = nn.ReLU()
        self.ip2 = nn.Linear(64, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool1(self.relu1(self.conv1(x)))  # N x 16 x 8 x 8
        x = self.pool2(self.relu2(self.conv2(x)))  # N x 32 x 4 x 4
        x = self.relu3(self.ip1(x.flatten(1)))
        return self.ip2(x)

    def caffe_layers(self) -> dict[str, str | None]:
        """Caffe's layer name -> the module whose output is that layer's top; None: left out."""
        names: dict[str, str | None] = {name: name for name, _ in self.named_children()}
        return {**names, "prob": None}
