"""SSD's detections: boxes decoded, and for each class those that no better one overlaps."""

from __future__ import annotations

import torch
from torch import nn


@torch.fx.wrap
def decode_boxes(
    offsets: torch.Tensor, priors: torch.Tensor, variance: torch.Tensor, code: str
) -> torch.Tensor:
    """offsets N x P x L x 4, priors and variance P x 4 -> corners N x P x L x 4 (bbox_util.cpp)."""
    priors = priors[:, None]
    size = priors[..., 2:] - priors[..., :2]
    moved = offsets * variance[:, None]
    if code == "CORNER":
        return priors + moved
    if code == "CORNER_SIZE":
        return priors + moved * torch.cat((size, size), -1)
    middle = (priors[..., :2] + priors[..., 2:]) / 2 + moved[..., :2] * size
    half = moved[..., 2:].exp() * size / 2
    return torch.cat((middle - half, middle + half), -1)


@torch.fx.wrap
def overlaps(box: torch.Tensor, boxes: torch.Tensor, pixel: float = 0.0) -> torch.Tensor:
    """Intersection over union of one box with many; `pixel` is what a side of zero length counts.

    A box whose corners are the wrong way round has no area, and nothing overlaps it.
    """
    low, high = torch.maximum(box[:2], boxes[:, :2]), torch.minimum(box[2:], boxes[:, 2:])
    inner = (high - low + pixel).clamp(min=0).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2] + pixel).clamp(min=0).prod(1)
    union = (box[2:] - box[:2] + pixel).clamp(min=0).prod() + areas - inner
    return torch.where(inner > 0, inner / union, torch.zeros_like(inner))


@torch.fx.wrap
def suppress(boxes: torch.Tensor, threshold: float, eta: float = 1.0) -> list[int]:
    """Places of the boxes (best first) that overlap no kept one by more than the threshold."""
    kept: list[int] = []
    worst = torch.zeros(len(boxes), device=boxes.device, dtype=boxes.dtype)
    for place in range(len(boxes)):
        if worst[place].item() > threshold:
            continue
        kept.append(place)
        worst = torch.maximum(worst, overlaps(boxes[place], boxes))
        if eta < 1 and threshold > 0.5:
            threshold *= eta
    return kept


@torch.fx.wrap
def detections(
    boxes: torch.Tensor,
    scores: torch.Tensor,
    background: int,
    confidence: float,
    threshold: float,
    eta: float,
    top_k: int,
    keep: int,
) -> list[torch.Tensor]:
    """boxes P x L x 4, scores P x C of one picture -> rows (class, score, corners)."""
    found: list[tuple[float, int, int]] = []
    for label in range(scores.size(1)):
        if label == background:
            continue
        order = scores[:, label].argsort(descending=True, stable=True)
        order = order[scores[order, label] > confidence]
        order = order if top_k < 0 else order[:top_k]
        corners = boxes[order, label if boxes.size(1) > 1 else 0]
        found += [
            (scores[order[at], label].item(), label, int(order[at]))
            for at in suppress(corners, threshold, eta)
        ]
    if 0 <= keep < len(found):
        found = sorted(found, key=lambda item: -item[0])[:keep]
    rows = []
    for score, label, place in sorted(found, key=lambda item: item[1]):
        corners = boxes[place, label if boxes.size(1) > 1 else 0]
        rows.append(torch.cat((corners.new_tensor([label, score]), corners)))
    return rows


class DetectionOutput(nn.Module):
    """offsets N x 4PL, scores N x PC, priors 1 x 2 x 4P -> 1 x 1 x K x 7.

    Rows are (picture, class, score, x1, y1, x2, y2); (picture, -1 ...) where nothing is found at all.
    `clip`: boxes are cut to the picture before they suppress each other.
    """

    def __init__(
        self,
        classes: int,
        code: str,
        threshold: float,
        background: int = 0,
        share_location: bool = True,
        variance_encoded: bool = False,
        confidence: float = float("-inf"),
        eta: float = 1.0,
        top_k: int = -1,
        keep: int = -1,
        clip: bool = False,
    ) -> None:
        super().__init__()
        self.classes, self.code, self.background = classes, code, background
        self.share_location, self.variance_encoded = share_location, variance_encoded
        self.clip = clip
        self.limits = (confidence, threshold, eta, top_k, keep)

    def forward(
        self, offsets: torch.Tensor, scores: torch.Tensor, priors: torch.Tensor
    ) -> torch.Tensor:
        corners, variance = priors[0, 0].reshape(-1, 4), priors[0, 1].reshape(-1, 4)
        if self.variance_encoded:
            variance = torch.ones_like(variance)
        kinds = 1 if self.share_location else self.classes
        offsets = offsets.reshape(offsets.size(0), -1, kinds, 4)
        boxes = decode_boxes(offsets, corners, variance, self.code)
        boxes = boxes.clamp(0, 1) if self.clip else boxes
        return rows_of(boxes, scores.flatten(1), self.classes, self.background, self.limits)


@torch.fx.wrap
def rows_of(
    boxes: torch.Tensor,
    scores: torch.Tensor,
    classes: int,
    background: int,
    limits: tuple[float, float, float, int, int],
) -> torch.Tensor:
    """All pictures' detections, 1 x 1 x K x 7."""
    rows = []
    for number, (places, values) in enumerate(zip(boxes, scores, strict=True)):
        for row in detections(places, values.reshape(-1, classes), background, *limits):
            rows.append(torch.cat((row.new_tensor([number]), row)))
    if not rows:
        nothing = boxes.new_full((len(boxes), 7), -1)
        nothing[:, 0] = torch.arange(len(boxes), device=boxes.device)
        rows = list(nothing)
    return torch.stack(rows)[None, None]
