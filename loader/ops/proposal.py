"""Faster R-CNN's proposals, as PVANet's Caffe has them in C++."""

from __future__ import annotations

import torch
from torch import nn

from loader.ops.detection import overlaps


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
    """The best boxes of one picture, R x 5, and their scores."""
    count, (rows, columns) = len(anchors), scores.shape[2:]
    height, width, scale_y, scale_x = (float(v) for v in info.flatten()[[0, 1, 2, -1]])
    y = torch.arange(rows, device=scores.device, dtype=scores.dtype) * stride
    x = torch.arange(columns, device=scores.device, dtype=scores.dtype) * stride
    shift = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1)
    boxes = (torch.cat((shift, shift), -1)[:, :, None] + anchors.to(scores)).reshape(-1, 4)
    moves = offsets.reshape(count, 4, rows, columns).permute(2, 3, 0, 1).reshape(-1, 4)
    values = scores.reshape(2, count, rows, columns)[1].permute(1, 2, 0).flatten()
    size = boxes[:, 2:] - boxes[:, :2] + 1
    middle = moves[:, :2] * size + boxes[:, :2] + 0.5 * size
    half = 0.5 * moves[:, 2:].exp() * size
    edge = boxes.new_tensor([width - 1, height - 1] * 2)
    boxes = torch.cat((middle - half, middle + half), 1).minimum(edge).clamp(min=0)
    limit = boxes.new_tensor([smallest * scale_x, smallest * scale_y])
    values = values * ((boxes[:, 2:] - boxes[:, :2] + 1) >= limit).all(1)
    order = values.argsort(descending=True, stable=True)[:before]
    boxes, values = boxes[order], values[order]
    kept: list[int] = []
    worst = torch.zeros_like(values)
    for place in range(len(boxes)):
        if len(kept) == after:
            break
        if float(worst[place]) <= threshold:
            kept.append(place)
            worst = torch.maximum(worst, overlaps(boxes[place], boxes, 1.0))
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
