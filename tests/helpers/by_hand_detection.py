"""Proposals and detections of the forks as numpy loops, transcribed from their published definitions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from tests.helpers.by_hand import decode, overlap

Rows = tuple[np.ndarray, np.ndarray]


def region_proposals(
    scores: np.ndarray, offsets: np.ndarray, info: np.ndarray, *, stride: int = 16,
    ratios: Sequence[float] = (0.5, 1, 2), scales: Sequence[float] = (8, 16, 32),
    before: int = 6000, after: int = 300, threshold: float = 0.7, smallest: float = 16,
) -> Rows:  # fmt: skip
    """py-faster-rcnn: generate_anchors.py, bbox_transform.py, proposal_layer.py, nms_kernel.cu."""
    anchors = []
    for ratio in ratios:
        wide = float(np.round(np.sqrt(256 / ratio)))
        high = float(np.round(wide * ratio))
        x1, x2 = 7.5 - 0.5 * (wide - 1), 7.5 + 0.5 * (wide - 1)
        y1, y2 = 7.5 - 0.5 * (high - 1), 7.5 + 0.5 * (high - 1)
        for scale in scales:
            ws, hs = (x2 - x1 + 1) * scale, (y2 - y1 + 1) * scale
            x, y = x1 + 0.5 * (x2 - x1), y1 + 0.5 * (y2 - y1)
            half_w, half_h = 0.5 * (ws - 1), 0.5 * (hs - 1)
            anchors.append((x - half_w, y - half_h, x + half_w, y + half_h))
    found = []
    for h in range(scores.shape[2]):
        for w in range(scores.shape[3]):
            for a, anchor in enumerate(anchors):
                box = [anchor[n] + (w, h)[n % 2] * stride for n in range(4)]
                dx, dy, dw, dh = (float(offsets[0, 4 * a + n, h, w]) for n in range(4))
                wide, high = box[2] - box[0] + 1.0, box[3] - box[1] + 1.0
                x, y = dx * wide + (box[0] + 0.5 * wide), dy * high + (box[1] + 0.5 * high)
                wide, high = math.exp(dw) * wide, math.exp(dh) * high
                box = [x - 0.5 * wide, y - 0.5 * high, x + 0.5 * wide, y + 0.5 * high]
                box = [max(min(box[n], info[1 - n % 2] - 1), 0) for n in range(4)]
                least = smallest * info[2]
                if box[2] - box[0] + 1 >= least and box[3] - box[1] + 1 >= least:
                    found.append((*box, float(scores[0, len(anchors) + a, h, w])))
    order = np.argsort([item[4] for item in found], kind="stable")[::-1]
    order = order[:before] if before > 0 else order
    kept: list[tuple[float, ...]] = []
    for item in (found[at] for at in order):
        if all(overlap(np.array(item), np.array(other), 1.0) <= threshold for other in kept):
            kept.append(item)
    kept = kept[:after] if after > 0 else kept
    boxes = np.array([(0, *item[:4]) for item in kept]).reshape(-1, 5)
    return boxes, np.array([item[4] for item in kept]).reshape(-1, 1)


def text_proposals(scores: np.ndarray, offsets: np.ndarray, info: np.ndarray, stride: int) -> Rows:
    """CTPN: anchor.py and text_proposal_layer.py, whose divisions are those of Python 2."""
    boxes, values = [], []
    for h in range(scores.shape[2]):
        for w in range(scores.shape[3]):
            for a, size in enumerate((11, 16, 23, 33, 48, 68, 97, 139, 198, 283)):
                anchor = np.zeros(4, np.int32)
                anchor[:] = [7.5 - 16 // 2, 7.5 - size // 2, 7.5 + 16 // 2, 7.5 + size // 2]
                anchor += np.array([w, h, w, h], np.int32) * stride
                high = anchor[3] - anchor[1] + 1.0
                stretched = math.exp(offsets[0, 2 * a + 1, h, w]) * high
                top = offsets[0, 2 * a, h, w] * high + (anchor[1] + anchor[3]) / 2 - stretched / 2
                box = [anchor[0], top, anchor[2], top + stretched]
                boxes.append([max(min(box[n], info[1 - n % 2] - 1), 0) for n in range(4)])
                values.append([scores[0, 10 + a, h, w]])
    return np.array(boxes), np.array(values)


def refined_detections(
    x: Mapping[str, np.ndarray], *, classes: int, code: str, objectness: float, confidence: float,
    threshold: float, top_k: int, keep: int, encoded: bool = False,
) -> np.ndarray:  # fmt: skip
    """RefineDet: OSGetConfidenceScores, CasRegDecodeBBoxesAll and ApplyNMSFast."""
    priors, number = x["priors"][0], x["priors"].shape[2] // 4
    rows: list[list[float]] = []
    for n in range(len(x["offsets"])):
        boxes, scores = [], []
        for p in range(number):
            part = slice(4 * p, 4 * p + 4)
            variance = np.ones(4) if encoded else priors[1, part]
            prior = priors[0, part]
            if "first" in x:
                prior = decode(x["first"][n, part], prior, variance, code)
            boxes.append(decode(x["offsets"][n, part], prior, variance, code))
            own = list(x["scores"][n, classes * p : classes * (p + 1)])
            seen = x["objectness"][n, 2 * p + 1] >= objectness
            scores.append(own if seen else [float(c == 0) for c in range(classes)])
        pairs = []
        for label in range(1, classes):
            places = [p for p in range(number) if scores[p][label] > confidence]
            places.sort(key=lambda p, label=label: -scores[p][label])
            kept: list[int] = []
            for p in places[:top_k]:
                if all(overlap(boxes[p], boxes[q], 0.0) <= threshold for q in kept):
                    kept.append(p)
            pairs += [(scores[p][label], label, p) for p in kept]
        if len(pairs) > keep:
            pairs = sorted(pairs, key=lambda pair: -pair[0])[:keep]
        for label in range(1, classes):
            rows += [[n, kind, score, *boxes[p]] for score, kind, p in pairs if kind == label]
    return np.array(rows)[None, None]


def sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


def _yolo_rows(found: list[tuple[float, ...]], threshold: float) -> np.ndarray:
    """`found`: x, y, w, h, class, score."""
    found = sorted(found, key=lambda item: -item[5])
    kept: list[tuple[float, ...]] = []
    for item in found:
        apart = True
        for other in kept:
            w = min(item[0] + item[2] / 2, other[0] + other[2] / 2) - max(
                item[0] - item[2] / 2, other[0] - other[2] / 2
            )
            h = min(item[1] + item[3] / 2, other[1] + other[3] / 2) - max(
                item[1] - item[3] / 2, other[1] - other[3] / 2
            )
            inner = 0.0 if w < 0 or h < 0 else w * h
            apart &= inner / (item[2] * item[3] + other[2] * other[3] - inner) < threshold
        if apart:
            kept.append(item)
    rows = [
        [0, label + 1, score, x - w / 2, y - h / 2, x + w / 2, y + h / 2]
        for x, y, w, h, label, score in kept
    ]
    return np.array(rows)[None, None]


def yolov3(
    maps: Sequence[np.ndarray], *, classes: int, boxes: int, biases: Sequence[float],
    mask: Sequence[int], units: Sequence[int], confidence: float, threshold: float,
) -> np.ndarray:  # fmt: skip
    """MobileNet-YOLO: yolov3_detection_output_layer.cpp."""
    found: list[tuple[float, ...]] = []
    group = len(mask) // len(maps)
    for t, each in enumerate(maps):
        side = each.shape[3]
        for b in range(len(each)):
            for s in range(side * side):
                y, x = s // side, s % side
                for n in range(boxes):
                    v = each[b, n * (classes + 5) : (n + 1) * (classes + 5), y, x]
                    bias = mask[n + t * group]
                    box = (
                        (x + sigmoid(v[0])) / side, (y + sigmoid(v[1])) / side,
                        math.exp(v[2]) * biases[2 * bias] / (side * units[t]),
                        math.exp(v[3]) * biases[2 * bias + 1] / (side * units[t]),
                    )  # fmt: skip
                    for c in range(classes):
                        score = sigmoid(v[5 + c]) * sigmoid(v[4])
                        if score > confidence:
                            found.append((*box, c, score))
    return _yolo_rows(found, threshold)


def yolov2(
    maps: Sequence[np.ndarray], *, classes: int, boxes: int, biases: Sequence[float],
    confidence: float, threshold: float,
) -> np.ndarray:  # fmt: skip
    """MobileNet-YOLO: yolo_detection_output_layer.cpp."""
    found: list[tuple[float, ...]] = []
    for each in maps:
        side = each.shape[3]
        for b in range(len(each)):
            for y in range(side):
                for x in range(side):
                    for n in range(boxes):
                        v = each[b, n * (classes + 5) : (n + 1) * (classes + 5), y, x]
                        likely = np.exp(v[5:] - v[5:].max())
                        likely /= likely.sum()
                        score = sigmoid(v[4]) * likely.max()
                        if score >= confidence:
                            box = (
                                (x + sigmoid(v[0])) / side, (y + sigmoid(v[1])) / side,
                                math.exp(v[2]) * biases[2 * n] / side,
                                math.exp(v[3]) * biases[2 * n + 1] / side,
                            )  # fmt: skip
                            found.append((*box, int(likely.argmax()), score))
    return _yolo_rows(found, threshold)


def region(x: np.ndarray, boxes: int, classes: int, coords: int) -> np.ndarray:
    """region_layer.cpp of training_toolbox_caffe and of caffe_yolo."""
    out = x.copy()
    size = coords + 1 + classes
    for n in range(len(x)):
        for box in range(boxes):
            for h in range(x.shape[2]):
                for w in range(x.shape[3]):
                    v = out[n, box * size : (box + 1) * size, h, w]
                    for at in (0, 1, coords):
                        v[at] = sigmoid(v[at])
                    v[coords + 1 :] = np.exp(v[coords + 1 :] - v[coords + 1 :].max())
                    v[coords + 1 :] /= v[coords + 1 :].sum()
    return out
