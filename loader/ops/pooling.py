"""Caffe's pooling where torch's differs: windows beyond the picture, large pads, the mask."""

from __future__ import annotations

import torch
from torch import nn


def windows(size: int, kernel: int, stride: int, pad: int, padded: bool, up: bool) -> int:
    """How many windows an axis has: rounded up, and clipped where either axis is padded."""
    over = size + 2 * pad - kernel
    count = ((over + stride - 1) // stride if up else over // stride) + 1
    return count - 1 if padded and (count - 1) * stride >= size + pad else count


def padded(
    x: torch.Tensor,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    pad: tuple[int, int],
    up: bool,
    value: float,
) -> tuple[torch.Tensor, int, int]:
    """The picture with `value` around it, up to the end of the last windows; their rows and columns."""
    (kh, kw), (sh, sw), (ph, pw) = kernel, stride, pad
    rows = windows(x.size(2), kh, sh, ph, ph > 0 or pw > 0, up)
    columns = windows(x.size(3), kw, sw, pw, ph > 0 or pw > 0, up)
    bottom = (rows - 1) * sh + kh - ph - x.size(2)
    right = (columns - 1) * sw + kw - pw - x.size(3)
    return nn.functional.pad(x, (pw, right, ph, bottom), value=value), rows, columns


@torch.fx.wrap
def max_pool(
    x: torch.Tensor,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    pad: tuple[int, int],
    up: bool = True,
) -> torch.Tensor:
    """Any stride and pad; a window without a picture is the smallest float, as in Caffe."""
    x, _, _ = padded(x, kernel, stride, pad, up, torch.finfo(x.dtype).min)
    return nn.functional.max_pool2d(x, kernel, stride)


@torch.fx.wrap
def max_pool_mask(
    x: torch.Tensor,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    pad: tuple[int, int],
    up: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the maxima were too: flat indices as floats, -1 for a window without a picture."""
    spread, _, _ = padded(x, kernel, stride, pad, up, torch.finfo(x.dtype).min)
    values, index = nn.functional.max_pool2d(spread, kernel, stride, return_indices=True)
    row, column = index // spread.size(3) - pad[0], index % spread.size(3) - pad[1]
    inside = (row >= 0) & (row < x.size(2)) & (column >= 0) & (column < x.size(3))
    return values, torch.where(inside, row * x.size(3) + column, -1).to(x.dtype)


@torch.fx.wrap
def average_pool(
    x: torch.Tensor,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    pad: tuple[int, int],
    up: bool = True,
) -> torch.Tensor:
    """Any stride and pad; the divisor counts padding up to size + pad, as Caffe's does."""
    (kh, kw), (sh, sw), (ph, pw) = kernel, stride, pad
    spread, rows, columns = padded(x, kernel, stride, pad, up, 0.0)
    top = torch.arange(rows, device=x.device) * sh - ph
    left = torch.arange(columns, device=x.device) * sw - pw
    heights = (top + kh).clamp(max=x.size(2) + ph) - top
    widths = (left + kw).clamp(max=x.size(3) + pw) - left
    # not by divisor_override, which ONNX does not have and torch's exporter leaves out
    share = kh * kw / (heights[:, None] * widths).to(x.dtype)
    return nn.functional.avg_pool2d(spread, kernel, stride) * share


@torch.fx.wrap
def pyramid(x: torch.Tensor, levels: int, maximum: bool) -> torch.Tensor:
    """Level l pools into 2^l x 2^l bins; all levels flattened and concatenated, one is left as it is."""
    parts = []
    for level in range(levels):
        bins = 2**level
        kernel = ((x.size(2) + bins - 1) // bins, (x.size(3) + bins - 1) // bins)
        pad = ((kernel[0] * bins - x.size(2) + 1) // 2, (kernel[1] * bins - x.size(3) + 1) // 2)
        pool = max_pool if maximum else average_pool
        parts.append(pool(x, kernel, kernel, pad))
    return parts[0] if levels == 1 else torch.cat([part.flatten(1) for part in parts], 1)


class WindowPool(nn.Module):
    """What pools of any stride and pad have in common."""

    def __init__(
        self,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        pad: tuple[int, int],
        up: bool = True,
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.pad, self.up = kernel, stride, pad, up


class MaxPool(WindowPool):
    """Max pooling with any stride and pad."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return max_pool(x, self.kernel, self.stride, self.pad, self.up)


class AvgPool(WindowPool):
    """Average pooling with any stride and pad."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return average_pool(x, self.kernel, self.stride, self.pad, self.up)


class MaxPoolMask(nn.Module):
    """Max pooling and where the maxima were: flat indices, as floats."""

    def __init__(
        self,
        kernel: int | tuple[int, int],
        stride: int | tuple[int, int],
        padding: int | tuple[int, int] = 0,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil_mode, return_indices=True)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        values, index = self.pool(x)
        return values, index.to(x.dtype)


class WideMaxPoolMask(WindowPool):
    """Max pooling with any stride and pad, and where the maxima were."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return max_pool_mask(x, self.kernel, self.stride, self.pad, self.up)


class GlobalMaxPoolMask(nn.Module):
    """The largest value of each channel, and its flat index as a float."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        values, index = nn.functional.adaptive_max_pool2d(x, 1, return_indices=True)
        return values, index.to(x.dtype)


class SpatialPyramidPool(nn.Module):
    """SPP: N x C x H x W -> N x (C times all bins)."""

    def __init__(self, levels: int, maximum: bool) -> None:
        super().__init__()
        self.levels, self.maximum = levels, maximum

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return pyramid(x, self.levels, self.maximum)
