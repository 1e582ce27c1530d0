"""VGG-16 and VGG-19 (Simonyan and Zisserman, 2014), and VGG-Face, which is VGG-16 with 2622 classes.

Stages of 3 x 3 convolutions with 64, 128, 256, 512, 512 channels, each followed by pooling; logits
come out, the softmax is left out. Submodules have Caffe's layer names.
"""

from __future__ import annotations

import torch
from torch import nn

CHANNELS = (64, 128, 256, 512, 512)


class VGG(nn.Module):
    """N x 3 x 224 x 224 (BGR, mean subtracted) -> N x num_classes logits."""

    def __init__(self, convolutions: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        self.features: list[str] = []
        before = 3
        for stage, (count, channels) in enumerate(zip(convolutions, CHANNELS, strict=True), 1):
            for number in range(1, count + 1):
                self._append(f"conv{stage}_{number}", nn.Conv2d(before, channels, 3, padding=1))
                self._append(f"relu{stage}_{number}", nn.ReLU())
                before = channels
            self._append(f"pool{stage}", nn.MaxPool2d(2, 2, ceil_mode=True))
        self.fc6 = nn.Linear(512 * 7 * 7, 4096)
        self.relu6 = nn.ReLU()
        self.drop6 = nn.Dropout(0.5)
        self.fc7 = nn.Linear(4096, 4096)
        self.relu7 = nn.ReLU()
        self.drop7 = nn.Dropout(0.5)
        self.fc8 = nn.Linear(4096, num_classes)

    def _append(self, name: str, module: nn.Module) -> None:
        self.add_module(name, module)
        self.features.append(name)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for name in self.features:
            x = getattr(self, name)(x)
        # N x 512 x 7 x 7
        x = self.drop6(self.relu6(self.fc6(x.flatten(1))))
        x = self.drop7(self.relu7(self.fc7(x)))
        return self.fc8(x)

    def caffe_layers(self) -> dict[str, str | None]:
        """Caffe's layer name -> the module whose output is that layer's top; None: left out."""
        names: dict[str, str | None] = {name: name for name, _ in self.named_children()}
        return {**names, "prob": None}


class VGG16(VGG):
    """13 convolutions, 3 fully connected layers."""

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__((2, 2, 3, 3, 3), num_classes)


class VGG19(VGG):
    """16 convolutions, 3 fully connected layers."""

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__((2, 2, 4, 4, 4), num_classes)
