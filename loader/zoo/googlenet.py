"""GoogLeNet (Szegedy et al., Going Deeper with Convolutions, 2014) as BVLC trained it in Caffe.

Pooling rounds up, pool1 comes before norm1 but norm2 before pool2, and what comes out are logits:
the softmax and the two auxiliary heads of the training net are left out.
"""

from __future__ import annotations

import torch
from torch import nn

from decant.loader.ops.lrn import LRN


class Inception(nn.Module):
    """Four branches on one input, concatenated: 1x1, 3x3, 5x5, and pooling with a projection."""

    def __init__(self, channels: int, n1: int, r3: int, n3: int, r5: int, n5: int, p: int) -> None:
        super().__init__()
        self.conv_1x1 = nn.Conv2d(channels, n1, 1)
        self.relu_1x1 = nn.ReLU()
        self.conv_3x3_reduce = nn.Conv2d(channels, r3, 1)
        self.relu_3x3_reduce = nn.ReLU()
        self.conv_3x3 = nn.Conv2d(r3, n3, 3, padding=1)
        self.relu_3x3 = nn.ReLU()
        self.conv_5x5_reduce = nn.Conv2d(channels, r5, 1)
        self.relu_5x5_reduce = nn.ReLU()
        self.conv_5x5 = nn.Conv2d(r5, n5, 5, padding=2)
        self.relu_5x5 = nn.ReLU()
        self.pool = nn.MaxPool2d(3, 1, padding=1, ceil_mode=True)
        self.pool_proj = nn.Conv2d(channels, p, 1)
        self.relu_pool_proj = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branch_1x1 = self.relu_1x1(self.conv_1x1(x))
        branch_3x3 = self.relu_3x3_reduce(self.conv_3x3_reduce(x))
        branch_3x3 = self.relu_3x3(self.conv_3x3(branch_3x3))
        branch_5x5 = self.relu_5x5_reduce(self.conv_5x5_reduce(x))
        branch_5x5 = self.relu_5x5(self.conv_5x5(branch_5x5))
        branch_pool = self.relu_pool_proj(self.pool_proj(self.pool(x)))
        return torch.cat((branch_1x1, branch_3x3, branch_5x5, branch_pool), 1)


class GoogLeNet(nn.Module):
    """N x 3 x 224 x 224 (BGR, mean subtracted) -> N x num_classes logits."""

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.norm1 = LRN(5, alpha=1e-4, beta=0.75)
        self.conv2_reduce = nn.Conv2d(64, 64, 1)
        self.relu2_reduce = nn.ReLU()
        self.conv2 = nn.Conv2d(64, 192, 3, padding=1)
        self.relu2 = nn.ReLU()
        self.norm2 = LRN(5, alpha=1e-4, beta=0.75)
        self.pool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.inception_3a = Inception(192, 64, 96, 128, 16, 32, 32)
        self.inception_3b = Inception(256, 128, 128, 192, 32, 96, 64)
        self.pool3 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.inception_4a = Inception(480, 192, 96, 208, 16, 48, 64)
        self.inception_4b = Inception(512, 160, 112, 224, 24, 64, 64)
        self.inception_4c = Inception(512, 128, 128, 256, 24, 64, 64)
        self.inception_4d = Inception(512, 112, 144, 288, 32, 64, 64)
        self.inception_4e = Inception(528, 256, 160, 320, 32, 128, 128)
        self.pool4 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.inception_5a = Inception(832, 256, 160, 320, 32, 128, 128)
        self.inception_5b = Inception(832, 384, 192, 384, 48, 128, 128)
        self.pool5 = nn.AvgPool2d(7, 1, ceil_mode=True)
        self.dropout = nn.Dropout(0.4)
        self.loss3_classifier = nn.Linear(1024, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm1(self.pool1(self.relu1(self.conv1(x))))  # N x 64 x 56 x 56
        x = self.relu2_reduce(self.conv2_reduce(x))
        x = self.pool2(self.norm2(self.relu2(self.conv2(x))))  # N x 192 x 28 x 28
        x = self.inception_3b(self.inception_3a(x))
        x = self.pool3(x)  # N x 480 x 14 x 14
        x = self.inception_4c(self.inception_4b(self.inception_4a(x)))
        x = self.inception_4e(self.inception_4d(x))
        x = self.pool4(x)  # N x 832 x 7 x 7
        x = self.inception_5b(self.inception_5a(x))
        x = self.dropout(self.pool5(x))  # N x 1024 x 1 x 1
        return self.loss3_classifier(x.flatten(1))

    def caffe_layers(self) -> dict[str, str | None]:
        """Caffe's layer name -> the module whose output is that layer's top; None: left out."""
        names: dict[str, str | None] = {
            "conv1/7x7_s2": "conv1",
            "conv1/relu_7x7": "relu1",
            "pool1/3x3_s2": "pool1",
            "pool1/norm1": "norm1",
            "conv2/3x3_reduce": "conv2_reduce",
            "conv2/relu_3x3_reduce": "relu2_reduce",
            "conv2/3x3": "conv2",
            "conv2/relu_3x3": "relu2",
            "conv2/norm2": "norm2",
            "pool2/3x3_s2": "pool2",
            "pool3/3x3_s2": "pool3",
            "pool4/3x3_s2": "pool4",
            "pool5/7x7_s1": "pool5",
            "pool5/drop_7x7_s1": "dropout",
            "loss3/classifier": "loss3_classifier",
            "prob": None,
        }
        for block in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
            path = f"inception_{block}"
            names[f"{path}/output"] = path
            names[f"{path}/pool"] = f"{path}.pool"
            names[f"{path}/pool_proj"] = f"{path}.pool_proj"
            names[f"{path}/relu_pool_proj"] = f"{path}.relu_pool_proj"
            for part in ("1x1", "3x3_reduce", "3x3", "5x5_reduce", "5x5"):
                names[f"{path}/{part}"] = f"{path}.conv_{part}"
                names[f"{path}/relu_{part}"] = f"{path}.relu_{part}"
        return names
