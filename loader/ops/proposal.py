"""Faster R-CNN's proposals: PVANet's layer in C++, py-faster-rcnn's and CTPN's in Python."""

from __future__ import annotations

import torch
from torch import nn

from decant.loader.ops.detection import overlaps


@torch.fx.wrap
def moved_anchors(
    offsets: torch.Tensor, info: torch.Tensor, anchors: torch.Tensor, stride: int
) -> torch.Tensor:
    """Each place's anchors, moved by offsets 1 x 4A x H x W and cut to the picture: HWA x 4."""
    count, (rows, columns) = len(anchors), offsets.shape[2:]
    y = torch.arange(rows, device=offsets.device, dtype=offsets.dtype) * stride
    x = torch.arange(columns, device=offsets.device, dtype=offsets.dtype) * stride
    shift = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1)
    boxes = (torch.cat((shift, shift), -1)[:, :, None] + anchors.to(offsets)).reshape(-1, 4)
    moves = offsets.reshape(count, 4, rows, columns).permute(2, 3, 0, 1).reshape(-1, 4)
    size = boxes[:, 2:] - boxes[:, :2] + 1
    middle = moves[:, :2] * size + (boxes[:, :2] + 0.5 * size)
    half = 0.5 * (moves[:, 2:].exp() * size)
    height, width = info.flatten()[:2]
    edge = torch.stack([width - 1, height - 1] * 2)
    return torch.cat((middle - half, middle + half), 1).minimum(edge).clamp(min=0)


@torch.fx.wrap
def first_apart(boxes: torch.Tensor, threshold: float, count: int) -> list[int]:
    """Places of the first boxes that overlap no earlier one of them by more; all if count < 1."""
    kept: list[int] = []
    near = torch.zeros(len(boxes), device=boxes.device, dtype=torch.bool)
    for place in range(len(boxes)):
        if 0 < count == len(kept):
            break
        if not bool(near[place]):
            kept.append(place)
            near |= overlaps(boxes[place], boxes, 1.0) > threshold
    return kept


@torch.fx.wrap
def proposals(
    scores: torch.Tensor,
    offsets: torch.Tensor,
    info: torch.Tensor,
    anchors: torch.Tensor,
    stride: int,
    smallest: float,
    before: int,
    after: int,
    threshold: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The best boxes of one picture, R x 5, and their scores; a box that is too small has score 0."""
    boxes = moved_anchors(offsets, info, anchors, stride)
    values = scores.reshape(2, len(anchors), *scores.shape[2:])[1].permute(1, 2, 0).flatten()
    limit = smallest * info.flatten()[[-1, 2]]
    values = values * ((boxes[:, 2:] - boxes[:, :2] + 1) >= limit).all(1)
    order = values.argsort(descending=True, stable=True)[:before]
    boxes, values = boxes[order], values[order]
    kept = first_apart(boxes, threshold, after)
    boxes = boxes[kept]
    return torch.cat((boxes.new_zeros(len(boxes), 1), boxes), 1), values[kept]


class Proposal(nn.Module):
    """scores 1 x 2A x H x W, offsets 1 x 4A x H x W, info (height, width, scale) -> R x 5, R."""

    def __init__(
        self,
        anchors: list[tuple[float, float, float, float]],
        stride: int,
        smallest: float,
        before: int,
        after: int,
        threshold: float,
        with_scores: bool = False,
    ) -> None:
        super().__init__()
        self.anchors, self.with_scores = anchors, with_scores
        self.limits = (stride, smallest, before, after, threshold)

    def forward(
        self, scores: torch.Tensor, offsets: torch.Tensor, info: torch.Tensor
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        anchors = torch.tensor(self.anchors)
        boxes, values = proposals(scores, offsets, info, anchors, *self.limits)
        return (boxes, values) if self.with_scores else boxes


@torch.fx.wrap
def region_proposals(
    scores: torch.Tensor,
    offsets: torch.Tensor,
    info: torch.Tensor,
    anchors: torch.Tensor,
    stride: int,
    min_size: float,
    pre_nms_top_n: int,
    post_nms_top_n: int,
    nms_thresh: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The best boxes of one picture, R x 5, and their scores, R x 1; too small ones are left out."""
    boxes = moved_anchors(offsets, info, anchors, stride)
    values = scores[0, len(anchors) :].permute(1, 2, 0).flatten()
    large = ((boxes[:, 2:] - boxes[:, :2] + 1) >= min_size * info.flatten()[2]).all(1)
    boxes, values = boxes[large], values[large]
    # numpy's argsort()[::-1]: of equal scores the later one comes first
    order = values.argsort(stable=True).flip(0)
    order = order[:pre_nms_top_n] if pre_nms_top_n > 0 else order
    boxes, values = boxes[order], values[order]
    kept = first_apart(boxes, nms_thresh, post_nms_top_n)
    boxes = boxes[kept]
    return torch.cat((boxes.new_zeros(len(boxes), 1), boxes), 1), values[kept][:, None]


class RegionProposal(nn.Module):
    """scores 1 x 2A x H x W, offsets 1 x 4A x H x W, info (height, width, scale) -> R x 5, [R x 1].

    py-faster-rcnn's ProposalLayer; the four settings are RPN_* of its configuration.
    """

    def __init__(
        self,
        anchors: list[tuple[float, float, float, float]],
        stride: int,
        *,
        min_size: float,
        pre_nms_top_n: int,
        post_nms_top_n: int,
        nms_thresh: float,
        with_scores: bool = False,
    ) -> None:
        super().__init__()
        self.anchors, self.stride, self.with_scores = anchors, stride, with_scores
        self.min_size, self.nms_thresh = min_size, nms_thresh
        self.pre_nms_top_n, self.post_nms_top_n = pre_nms_top_n, post_nms_top_n

    def forward(
        self, scores: torch.Tensor, offsets: torch.Tensor, info: torch.Tensor
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        boxes, values = region_proposals(
            scores,
            offsets,
            info,
            torch.tensor(self.anchors),
            self.stride,
            self.min_size,
            self.pre_nms_top_n,
            self.post_nms_top_n,
            self.nms_thresh,
        )
        return (boxes, values) if self.with_scores else boxes


@torch.fx.wrap
def text_boxes(
    offsets: torch.Tensor, info: torch.Tensor, anchors: torch.Tensor, stride: int
) -> torch.Tensor:
    """Each place's anchors, moved by offsets 1 x 2A x H x W and cut to the picture: HWA x 4."""
    y = torch.arange(offsets.size(2), device=offsets.device) * stride
    x = torch.arange(offsets.size(3), device=offsets.device) * stride
    shift = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1] * 2, -1)[:, :, None]
    left, top, right, bottom = (shift + anchors.to(shift.device)).reshape(-1, 4).double().unbind(1)
    moves = offsets.permute(0, 2, 3, 1).reshape(-1, 2)
    # numpy keeps float32 between these steps, and float64 within them
    size = bottom - top + 1
    high = (moves[:, 1].exp() * size).to(offsets.dtype)
    start = (moves[:, 0] * size + (top + bottom) / 2 - high / 2).to(offsets.dtype)
    boxes = torch.stack((left.to(start), start, right.to(start), start + high), 1)
    height, width = info.flatten()[:2]
    return boxes.minimum(torch.stack([width - 1, height - 1] * 2)).clamp(min=0)


class TextProposal(nn.Module):
    """scores 1 x 2A x H x W, offsets 1 x 2A x H x W, info -> boxes HWA x 4, scores HWA x 1.

    CTPN's: anchors of one width, moved and stretched in y alone; nothing is sorted or left out.
    """

    def __init__(self, anchors: list[tuple[int, int, int, int]], stride: int) -> None:
        super().__init__()
        self.anchors, self.stride = anchors, stride

    def forward(
        self, scores: torch.Tensor, offsets: torch.Tensor, info: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        boxes = text_boxes(offsets, info, torch.tensor(self.anchors), self.stride)
        values = scores[:, len(self.anchors) :].permute(0, 2, 3, 1).reshape(-1, 1)
        return boxes, values
