"""A picture, RGB 0..1, as the net wants it: a differentiable module."""

from __future__ import annotations

import torch
from torch import nn

from decant.loader.pictures.recipe import Recipe, centre


class Transform(nn.Module):
    """N x 3 x H x W (RGB, 0..1; one channel: N x 1 x H x W) -> the net's input, same shape.

    (255 x, channels in the net's order, - mean) * scale, as Caffe's data_transformer.cpp: mean first.
    `mean` has a value for each channel, or is C x H x W: the centre of a mean image. It follows the
    input's device and dtype.
    """

    mean: torch.Tensor

    def __init__(
        self, channel_order: str, mean: tuple[float, ...] | torch.Tensor, scale: float
    ) -> None:
        super().__init__()
        self.bgr, self.scale = channel_order == "BGR", scale
        if not isinstance(mean, torch.Tensor):
            mean = torch.tensor(mean).view(-1, 1, 1)
        self.register_buffer("mean", mean, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.bgr:
            x = x.flip(-3)
        return (x * 255 - self.mean.to(x)) * self.scale


def build_transform(recipe: Recipe | None) -> nn.Module:
    """nn.Identity where the recipe is unknown."""
    if recipe is None:
        return nn.Identity()
    mean: tuple[float, ...] | torch.Tensor = recipe.mean
    if recipe.mean_image is not None:
        image = recipe.mean_image
        if recipe.crop:
            top, left = centre(image.shape[1:], recipe.crop)
            image = image[:, top : top + recipe.crop, left : left + recipe.crop]
        mean = torch.from_numpy(image.copy())
    return Transform(recipe.channel_order, mean, recipe.scale)
