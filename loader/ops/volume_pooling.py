"""Pooling over length, height and width where torch's differs: wide strides, large pads, the mask."""

from __future__ import annotations

import torch
from torch import nn


@torch.fx.wrap
def volume_windows(
    x: torch.Tensor,
    kernel: tuple[int, int, int],
    stride: tuple[int, int, int],
    pad: tuple[int, int, int],
    clip: bool,
) -> list[int]:
    """How many windows each axis has: rounded up; with `clip`, none begins behind the padding."""
    found = []
    for axis in range(3):
        size, step = x.size(axis + 2), stride[axis]
        count = (size + 2 * pad[axis] - kernel[axis] + step - 1) // step + 1
        if clip and max(pad) > 0 and (count - 1) * step >= size + pad[axis]:
            count -= 1
        found.append(count)
    return found


@torch.fx.wrap
def padded_volume(
    x: torch.Tensor,
    kernel: tuple[int, int, int],
    stride: tuple[int, int, int],
    pad: tuple[int, int, int],
    clip: bool,
    value: float,
) -> torch.Tensor:
    """The volume with `value` around it, up to the end of the last windows."""
    pads: list[int] = []
    for axis, count in enumerate(volume_windows(x, kernel, stride, pad, clip)):
        behind = (count - 1) * stride[axis] + kernel[axis] - pad[axis] - x.size(axis + 2)
        pads = [pad[axis], behind, *pads]
    return nn.functional.pad(x, pads, value=value)


@torch.fx.wrap
def max_volume(
    x: torch.Tensor,
    kernel: tuple[int, int, int],
    stride: tuple[int, int, int],
    pad: tuple[int, int, int],
    clip: bool,
) -> torch.Tensor:
    """The maxima; the smallest float for a window without a place of the volume."""
    spread = padded_volume(x, kernel, stride, pad, clip, torch.finfo(x.dtype).min)
    return nn.functional.max_pool3d(spread, kernel, stride)


@torch.fx.wrap
def max_volume_mask(
    x: torch.Tensor,
    kernel: tuple[int, int, int],
    stride: tuple[int, int, int],
    pad: tuple[int, int, int],
) -> tuple[torch.Tensor, torch.Tensor]:
    """The maxima, and where they were: flat indices as floats, -1 for a window without a place."""
    spread = padded_volume(x, kernel, stride, pad, True, torch.finfo(x.dtype).min)
    values, index = nn.functional.max_pool3d(spread, kernel, stride, return_indices=True)
    rows, column = index // spread.size(4), index % spread.size(4) - pad[2]
    deep, row = rows // spread.size(3) - pad[0], rows % spread.size(3) - pad[1]
    inside = (deep >= 0) & (deep < x.size(2)) & (row >= 0) & (row < x.size(3))
    inside = inside & (column >= 0) & (column < x.size(4))
    flat = (deep * x.size(3) + row) * x.size(4) + column
    return values, torch.where(inside, flat, -1).to(x.dtype)


@torch.fx.wrap
def average_volume(
    x: torch.Tensor,
    kernel: tuple[int, int, int],
    stride: tuple[int, int, int],
    pad: tuple[int, int, int],
    clip: bool,
) -> torch.Tensor:
    """The divisor counts padding up to size + pad, and nothing beyond."""
    share = x.new_ones(())
    for axis, count in enumerate(volume_windows(x, kernel, stride, pad, clip)):
        start = torch.arange(count, device=x.device) * stride[axis] - pad[axis]
        end = (start + kernel[axis]).clamp(max=x.size(axis + 2) + pad[axis])
        shape = [-1 if other == axis else 1 for other in range(3)]
        share = share * (kernel[axis] / (end - start).to(x.dtype)).reshape(shape)
    spread = padded_volume(x, kernel, stride, pad, clip, 0.0)
    return nn.functional.avg_pool3d(spread, kernel, stride) * share


class VolumePool(nn.Module):
    """What these pools have in common; `clip` as stock Caffe's Pooling does, C3D's does not."""

    def __init__(
        self,
        kernel: tuple[int, int, int],
        stride: tuple[int, int, int],
        pad: tuple[int, int, int],
        clip: bool = True,
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.pad, self.clip = kernel, stride, pad, clip


class VolumeMaxPool(VolumePool):
    """Max pooling with any stride and pad."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return max_volume(x, self.kernel, self.stride, self.pad, self.clip)


class VolumeAvgPool(VolumePool):
    """Average pooling with any stride and pad."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return average_volume(x, self.kernel, self.stride, self.pad, self.clip)


class VolumeMaxPoolMask(VolumePool):
    """Max pooling with any stride and pad, and where the maxima were."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return max_volume_mask(x, self.kernel, self.stride, self.pad)
