"""YOLO's outputs, as the Caffe forks of MobileNet-YOLO and of Darknet have them."""

from __future__ import annotations

import torch
from torch import nn


@torch.fx.wrap
def yolo_cells(
    x: torch.Tensor, anchors: list[tuple[float, float]], unit: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """x N x B(5 + C) x H x W, B anchors of which `unit` make a place.

    Boxes N x H x W x B x 4 (middle and size, as parts of the picture), objectness N x H x W x B,
    and what speaks for each class, N x H x W x B x C.
    """
    n, _, rows, columns = x.shape
    values = x.reshape(n, len(anchors), -1, rows, columns).permute(0, 3, 4, 1, 2)
    places = torch.tensor([columns, rows], device=x.device, dtype=x.dtype)
    y = torch.arange(rows, device=x.device, dtype=x.dtype)
    own = torch.arange(columns, device=x.device, dtype=x.dtype)
    corner = torch.stack(torch.meshgrid(y, own, indexing="ij")[::-1], -1)[:, :, None]
    middle = (values[..., :2].sigmoid() + corner) / places
    base = torch.tensor(anchors, device=x.device, dtype=x.dtype)
    size = values[..., 2:4].exp() * base / (places * unit)
    return torch.cat((middle, size), -1), values[..., 4].sigmoid(), values[..., 5:]


@torch.fx.wrap
def centred_overlaps(box: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Intersection over union of one box (middle, size) with many."""
    low = torch.maximum(box[:2] - box[2:] / 2, boxes[:, :2] - boxes[:, 2:] / 2)
    high = torch.minimum(box[:2] + box[2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2)
    inner = (high - low).clamp(min=0).prod(1)
    return inner / (box[2] * box[3] + boxes[:, 2] * boxes[:, 3] - inner)


@torch.fx.wrap
def yolo_rows(
    boxes: torch.Tensor, scores: torch.Tensor, labels: torch.Tensor, threshold: float, pictures: int
) -> torch.Tensor:
    """1 x 1 x K x 7 rows (0, class from 1 on, score, corners), best first.

    One suppression for all classes and all pictures: the forks take one picture at a time.
    """
    if not len(boxes):
        nothing = boxes.new_full((pictures, 7), -1)
        nothing[:, 0] = torch.arange(pictures, device=boxes.device)
        return nothing[None, None]
    order = scores.argsort(descending=True, stable=True)
    boxes, scores, labels = boxes[order], scores[order], labels[order]
    kept: list[int] = []
    near = torch.zeros(len(boxes), device=boxes.device, dtype=torch.bool)
    for place in range(len(boxes)):
        if not bool(near[place]):
            kept.append(place)
            near |= centred_overlaps(boxes[place], boxes) >= threshold
    boxes, scores, labels = boxes[kept], scores[kept, None], labels[kept, None].to(boxes) + 1
    half = boxes[:, 2:] / 2
    corners = (boxes[:, :2] - half, boxes[:, :2] + half)
    return torch.cat((torch.zeros_like(scores), labels, scores, *corners), 1)[None, None]


@torch.fx.wrap
def yolov3_detections(
    maps: list[torch.Tensor],
    anchors: list[list[tuple[float, float]]],
    units: list[int],
    confidence: float,
    threshold: float,
) -> torch.Tensor:
    """Every class of a box counts whose score is above the confidence."""
    boxes, scores, labels = [], [], []
    for x, sizes, unit in zip(maps, anchors, units, strict=True):
        all_boxes, objectness, classes = yolo_cells(x, sizes, unit)
        values = classes.sigmoid() * objectness[..., None]
        found = (values > confidence).nonzero().unbind(1)
        boxes.append(all_boxes[found[:4]])
        scores.append(values[found])
        labels.append(found[4])
    every = (torch.cat(boxes), torch.cat(scores), torch.cat(labels))
    return yolo_rows(*every, threshold, len(maps[0]))


@torch.fx.wrap
def yolo_detections(
    maps: list[torch.Tensor],
    anchors: list[tuple[float, float]],
    confidence: float,
    threshold: float,
) -> torch.Tensor:
    """The likeliest class of a box counts, if its score reaches the confidence."""
    boxes, scores, labels = [], [], []
    for x in maps:
        all_boxes, objectness, classes = yolo_cells(x, anchors, 1)
        likely, label = classes.softmax(-1).max(-1)
        values = objectness * likely
        found = (values >= confidence).nonzero().unbind(1)
        boxes.append(all_boxes[found])
        scores.append(values[found])
        labels.append(label[found])
    every = (torch.cat(boxes), torch.cat(scores), torch.cat(labels))
    return yolo_rows(*every, threshold, len(maps[0]))


class Yolov3DetectionOutput(nn.Module):
    """Maps N x B(5 + C) x H x W -> 1 x 1 x K x 7: (0, class from 1 on, score, x1, y1, x2, y2).

    `anchors`: the sizes in pixels of each map's boxes; `units`: pixels of a place. All -1 but the
    picture's number where nothing is found. Give one picture: the rows do not tell them apart.
    """

    def __init__(
        self,
        anchors: list[list[tuple[float, float]]],
        units: list[int],
        confidence: float,
        threshold: float,
    ) -> None:
        super().__init__()
        self.anchors, self.units = anchors, units
        self.confidence, self.threshold = confidence, threshold

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        limits = (self.confidence, self.threshold)
        return yolov3_detections(list(maps), self.anchors, self.units, *limits)


class YoloDetectionOutput(nn.Module):
    """Maps N x B(5 + C) x H x W -> 1 x 1 x K x 7: (0, class from 1 on, score, x1, y1, x2, y2).

    YOLOv2: `anchors` in places of the map. All -1 but the picture's number where nothing is found.
    Give one picture: the rows do not tell them apart.
    """

    def __init__(
        self, anchors: list[tuple[float, float]], confidence: float, threshold: float
    ) -> None:
        super().__init__()
        self.anchors, self.confidence, self.threshold = anchors, confidence, threshold

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        return yolo_detections(list(maps), self.anchors, self.confidence, self.threshold)


class Region(nn.Module):
    """N x B(coords + 1 + C) x H x W, activated: sigmoid of x, y and objectness, softmax of classes."""

    def __init__(self, boxes: int, coords: int = 4) -> None:
        super().__init__()
        self.boxes, self.coords = boxes, coords

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        middle, size, seen, classes = x.unflatten(1, (self.boxes, -1)).tensor_split(
            (2, self.coords, self.coords + 1), 2
        )
        parts = (middle.sigmoid(), size, seen.sigmoid(), classes.softmax(2))
        return torch.cat(parts, 2).flatten(1, 2)
