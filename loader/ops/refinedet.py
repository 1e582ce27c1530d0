"""RefineDet's detections: SSD's, from priors that a first stage has moved and weeded out."""

from __future__ import annotations

import torch
from torch import nn

from decant.loader.ops.detection import decode_boxes, rows_of


@torch.fx.wrap
def only_objects(
    scores: torch.Tensor, anchor_scores: torch.Tensor, classes: int, least: float
) -> torch.Tensor:
    """scores N x PC; a prior whose objectness (the second of two) is below is class 0 for sure."""
    nothing = anchor_scores.reshape(len(scores), -1, 2)[..., 1:] < least
    sure = torch.eye(classes, device=scores.device, dtype=scores.dtype)[0]
    return torch.where(nothing, sure, scores.reshape(len(scores), -1, classes)).flatten(1)


@torch.fx.wrap
def refined_boxes(
    offsets: torch.Tensor,
    anchor_offsets: torch.Tensor | None,
    priors: torch.Tensor,
    variance: torch.Tensor,
    code: str,
) -> torch.Tensor:
    """offsets N x 4P, decoded from priors P x 4 that are decoded themselves -> N x P x 1 x 4."""
    boxes = []
    for number, moves in enumerate(offsets.reshape(len(offsets), -1, 1, 4)):
        anchors = priors
        if anchor_offsets is not None:
            first = anchor_offsets[number].reshape(1, -1, 1, 4)
            anchors = decode_boxes(first, priors, variance, code).reshape(-1, 4)
        boxes.append(decode_boxes(moves[None], anchors, variance, code))
    return torch.cat(boxes)


class RefinedDetectionOutput(nn.Module):
    """offsets N x 4P, scores N x PC, priors 1 x 2 x 4P, objectness N x 2P, [first offsets N x 4P].

    1 x 1 x K x 7 as of DetectionOutput; priors whose objectness is below `objectness` are background.
    """

    def __init__(
        self,
        classes: int,
        code: str,
        threshold: float,
        objectness: float,
        background: int = 0,
        variance_encoded: bool = False,
        confidence: float = float("-inf"),
        eta: float = 1.0,
        top_k: int = -1,
        keep: int = -1,
    ) -> None:
        super().__init__()
        self.classes, self.code, self.background = classes, code, background
        self.objectness, self.variance_encoded = objectness, variance_encoded
        self.limits = (confidence, threshold, eta, top_k, keep)

    def forward(
        self,
        offsets: torch.Tensor,
        scores: torch.Tensor,
        priors: torch.Tensor,
        anchor_scores: torch.Tensor,
        anchor_offsets: torch.Tensor | None = None,
    ) -> torch.Tensor:
        corners, variance = priors[0, 0].reshape(-1, 4), priors[0, 1].reshape(-1, 4)
        if self.variance_encoded:
            variance = torch.ones_like(variance)
        boxes = refined_boxes(offsets, anchor_offsets, corners, variance, self.code)
        scores = only_objects(scores.flatten(1), anchor_scores, self.classes, self.objectness)
        return rows_of(boxes, scores, self.classes, self.background, self.limits)
