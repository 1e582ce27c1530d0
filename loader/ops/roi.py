"""Pooling over regions: Fast R-CNN's, R-FCN's, Mask R-CNN's. Regions are R x 5: picture, corners."""

from __future__ import annotations

import torch
from torch import nn


@torch.fx.wrap
def rounded(x: torch.Tensor) -> torch.Tensor:
    """C's round(): halves go away from zero."""
    return torch.where(x < 0, (x - 0.5).ceil(), (x + 0.5).floor())


@torch.fx.wrap
def bins(start: float, size: float, count: int, limit: int) -> list[tuple[int, int]]:
    """Where each of `count` parts of a side begins and ends, cut to the map."""
    import math

    found = []
    for number in range(count):
        low, high = math.floor(number * size + start), math.ceil((number + 1) * size + start)
        found.append((min(max(low, 0), limit), min(max(high, 0), limit)))
    return found


@torch.fx.wrap
def roi_pool(
    x: torch.Tensor, rois: torch.Tensor, height: int, width: int, scale: float
) -> torch.Tensor:
    """The largest value of each part of each region; 0 for an empty part."""
    out = x.new_zeros(len(rois), x.size(1), height, width)
    scaled = rounded(rois[:, 1:] * scale).to(torch.int64).tolist()
    for number, (x1, y1, x2, y2) in enumerate(scaled):
        picture = x[int(rois[number, 0])]
        high, wide = max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1)
        rows = bins(0.0, high / height, height, 1 << 30)
        columns = bins(0.0, wide / width, width, 1 << 30)
        for i, (top, bottom) in enumerate(rows):
            top, bottom = (min(max(at + y1, 0), x.size(2)) for at in (top, bottom))
            for j, (left, right) in enumerate(columns):
                left, right = (min(max(at + x1, 0), x.size(3)) for at in (left, right))
                if bottom > top and right > left:
                    out[number, :, i, j] = picture[:, top:bottom, left:right].amax((1, 2))
    return out


@torch.fx.wrap
def psroi_pool(
    x: torch.Tensor, rois: torch.Tensor, outputs: int, group: int, scale: float
) -> torch.Tensor:
    """The mean of each part of each region, every part from channels of its own."""
    out = x.new_zeros(len(rois), outputs, group, group)
    corners = rounded(rois[:, 1:])
    for number, (x1, y1, x2, y2) in enumerate(corners.tolist()):
        maps = x[int(rois[number, 0])].reshape(outputs, group, group, x.size(2), x.size(3))
        x1, y1, x2, y2 = x1 * scale, y1 * scale, (x2 + 1) * scale, (y2 + 1) * scale
        rows = bins(y1, max(y2 - y1, 0.1) / group, group, x.size(2))
        columns = bins(x1, max(x2 - x1, 0.1) / group, group, x.size(3))
        for i, (top, bottom) in enumerate(rows):
            for j, (left, right) in enumerate(columns):
                if bottom > top and right > left:
                    part = maps[:, i, j, top:bottom, left:right]
                    out[number, :, i, j] = part.mean((1, 2))
    return out


@torch.fx.wrap
def roi_align(
    x: torch.Tensor, rois: torch.Tensor, height: int, width: int, scale: float, samples: int
) -> torch.Tensor:
    """The mean of samples x samples points of each part, each interpolated between four places.

    `samples` below 1: as many as places fall into a part.
    """
    import math

    out = []
    for roi in rois:
        x1, y1, x2, y2 = (value * scale for value in roi[1:].tolist())
        high, wide = max(y2 - y1, 1.0) / height, max(x2 - x1, 1.0) / width
        down = samples if samples > 0 else math.ceil(high)
        across = samples if samples > 0 else math.ceil(wide)
        ys = y1 + (torch.arange(height * down, device=x.device) + 0.5) * (high / down)
        xs = x1 + (torch.arange(width * across, device=x.device) + 0.5) * (wide / across)
        rows, columns = between(ys, x.size(2)).to(x), between(xs, x.size(3)).to(x)
        points = rows @ x[int(roi[0])] @ columns.T
        out.append(nn.functional.avg_pool2d(points, (down, across)))
    return torch.stack(out) if out else x.new_zeros(0, x.size(1), height, width)


@torch.fx.wrap
def between(at: torch.Tensor, size: int) -> torch.Tensor:
    """Weights of `size` places for points between them; none for points beyond the edge by a place."""
    inside = (at >= -1) & (at <= size)
    at = at.clamp(0, size - 1)
    low = at.floor().long()
    high = (low + 1).clamp(max=size - 1)
    part = (at - low)[:, None]
    eye = torch.eye(size, device=at.device, dtype=at.dtype)
    return ((1 - part) * eye[low] + part * eye[high]) * inside[:, None]


class ROIPooling(nn.Module):
    """N x C x H x W and R x 5 -> R x C x height x width."""

    def __init__(self, height: int, width: int, scale: float) -> None:
        super().__init__()
        self.height, self.width, self.scale = height, width, scale

    def forward(self, x: torch.Tensor, rois: torch.Tensor) -> torch.Tensor:
        return roi_pool(x, rois.flatten(1), self.height, self.width, self.scale)


class PSROIPooling(nn.Module):
    """N x (outputs group^2) x H x W and R x 5 -> R x outputs x group x group."""

    def __init__(self, outputs: int, group: int, scale: float) -> None:
        super().__init__()
        self.outputs, self.group, self.scale = outputs, group, scale

    def forward(self, x: torch.Tensor, rois: torch.Tensor) -> torch.Tensor:
        return psroi_pool(x, rois.flatten(1), self.outputs, self.group, self.scale)


class ROIAlign(nn.Module):
    """N x C x H x W and R x 5 -> R x C x height x width."""

    def __init__(self, height: int, width: int, scale: float, samples: int = -1) -> None:
        super().__init__()
        self.height, self.width, self.scale, self.samples = height, width, scale, samples

    def forward(self, x: torch.Tensor, rois: torch.Tensor) -> torch.Tensor:
        return roi_align(x, rois.flatten(1), self.height, self.width, self.scale, self.samples)
