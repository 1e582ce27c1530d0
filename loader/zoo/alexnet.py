"""AlexNet (Krizhevsky et al., 2012) and BVLC's CaffeNet, which differ in one order.

AlexNet normalises before it pools, CaffeNet pools before it normalises. Both have the two groups of
the original's two GPUs in conv2, conv4 and conv5. Logits come out; the softmax is left out.
"""

from __future__ import annotations

import torch
from torch import nn

from decant.loader.ops.lrn import LRN


class AlexNet(nn.Module):
    """N x 3 x 227 x 227 (BGR, mean subtracted) -> N x num_classes logits."""

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, 11, 4)
        self.relu1 = nn.ReLU()
        self.norm1 = LRN(5, alpha=1e-4, beta=0.75)
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2 = nn.Conv2d(96, 256, 5, padding=2, groups=2)
        self.relu2 = nn.ReLU()
        self.norm2 = LRN(5, alpha=1e-4, beta=0.75)
        self.pool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.relu3 = nn.ReLU()
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1, groups=2)
        self.relu4 = nn.ReLU()
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1, groups=2)
        self.relu5 = nn.ReLU()
        self.pool5 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.fc6 = nn.Linear(256 * 6 * 6, 4096)
        self.relu6 = nn.ReLU()
        self.drop6 = nn.Dropout(0.5)
        self.fc7 = nn.Linear(4096, 4096)
        self.relu7 = nn.ReLU()
        self.drop7 = nn.Dropout(0.5)
        self.fc8 = nn.Linear(4096, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool1(self.norm1(self.relu1(self.conv1(x))))  # N x 96 x 27 x 27
        x = self.pool2(self.norm2(self.relu2(self.conv2(x))))  # N x 256 x 13 x 13
        return self.classify(x)

    def classify(self, x: torch.Tensor) -> torch.Tensor:
        """N x 256 x 13 x 13 -> logits: where the two nets are the same again."""
        x = self.relu3(self.conv3(x))
        x = self.relu4(self.conv4(x))
        x = self.pool5(self.relu5(self.conv5(x)))  # N x 256 x 6 x 6
        x = self.drop6(self.relu6(self.fc6(x.flatten(1))))
        x = self.drop7(self.relu7(self.fc7(x)))
        return self.fc8(x)

    def caffe_layers(self) -> dict[str, str | None]:
        """Caffe's layer name -> the module whose output is that layer's top; None: left out."""
        names: dict[str, str | None] = {name: name for name, _ in self.named_children()}
        return {**names, "prob": None}


class CaffeNet(AlexNet):
    """N x 3 x 227 x 227 (BGR, mean subtracted) -> N x num_classes logits."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm1(self.pool1(self.relu1(self.conv1(x))))  # N x 96 x 27 x 27
        x = self.norm2(self.pool2(self.relu2(self.conv2(x))))  # N x 256 x 13 x 13
        return self.classify(x)
