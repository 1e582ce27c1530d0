"""The forks' layers as numpy loops, transcribed from their published definitions, one to one."""

from __future__ import annotations

import math

import numpy as np


def normalize(x: np.ndarray, scale: np.ndarray, across: bool, eps: float = 1e-10) -> np.ndarray:
    out = np.empty_like(x, np.float64)
    for n in range(len(x)):
        norm = np.sqrt((x[n].astype(np.float64) ** 2).sum(None if across else 0) + eps)
        for c in range(x.shape[1]):
            out[n, c] = x[n, c] / norm * scale[c if len(scale) > 1 else 0]
    return out


def shuffle(x: np.ndarray, group: int) -> np.ndarray:
    out = np.empty_like(x)
    columns = x.shape[1] // group
    for i in range(group):
        for j in range(columns):
            out[:, j * group + i] = x[:, i * columns + j]
    return out


def reorg(x: np.ndarray, stride: int) -> np.ndarray:
    batch, c, h, w = x.shape
    flat, out = x.reshape(-1), np.empty(x.size, x.dtype)
    out_c = c // (stride * stride)
    for b in range(batch):
        for k in range(c):
            for j in range(h):
                for i in range(w):
                    inner = i + w * (j + h * (k + c * b))
                    c2, offset = k % out_c, k // out_c
                    w2, h2 = i * stride + offset % stride, j * stride + offset // stride
                    out[inner] = flat[w2 + w * stride * (h2 + h * stride * (c2 + out_c * b))]
    return out.reshape(batch, c * stride * stride, h // stride, w // stride)


def nearest(x: np.ndarray, scale: int) -> np.ndarray:
    n, c, h, w = x.shape
    out = np.empty((n, c, h * scale, w * scale), x.dtype)
    for i in range(h * scale):
        for j in range(w * scale):
            out[:, :, i, j] = x[:, :, i // scale, j // scale]
    return out


def unpool(x: np.ndarray, mask: np.ndarray, height: int, width: int) -> np.ndarray:
    out = np.zeros((*x.shape[:2], height * width), x.dtype)
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            for value, index in zip(x[n, c].reshape(-1), mask[n, c].reshape(-1), strict=True):
                out[n, c, int(index)] = value
    return out.reshape(*x.shape[:2], height, width)


def interp(x: np.ndarray, height: int, width: int) -> np.ndarray:
    n, c, h, w = x.shape
    out = np.empty((n, c, height, width))
    for i in range(height):
        y = i * (h - 1) / (height - 1) if height > 1 else 0.0
        top, down = int(y), 1 if int(y) < h - 1 else 0
        for j in range(width):
            z = j * (w - 1) / (width - 1) if width > 1 else 0.0
            left, right = int(z), 1 if int(z) < w - 1 else 0
            a, b = y - top, z - left
            out[:, :, i, j] = (1 - a) * (
                (1 - b) * x[:, :, top, left] + b * x[:, :, top, left + right]
            ) + a * ((1 - b) * x[:, :, top + down, left] + b * x[:, :, top + down, left + right])
    return out


def resize(x: np.ndarray, height: int, width: int) -> np.ndarray:
    n, c, h, w = x.shape
    out = np.zeros((n, c, height, width))
    for i in range(height):
        y = i * (h / height)
        for j in range(width):
            z = j * (w / width)
            top, left = math.floor(y), math.floor(z)
            a, b = y - top, z - left
            out[:, :, i, j] += abs(1 - a) * abs(1 - b) * x[:, :, top, left]
            if left + 1 < w:
                out[:, :, i, j] += abs(1 - a) * abs(b) * x[:, :, top, left + 1]
            if top + 1 < h:
                out[:, :, i, j] += abs(a) * abs(1 - b) * x[:, :, top + 1, left]
            if left + 1 < w and top + 1 < h:
                out[:, :, i, j] += abs(a) * abs(b) * x[:, :, top + 1, left + 1]
    return out


def bn(x: np.ndarray, blobs: list[np.ndarray], eps: float) -> np.ndarray:
    slope, bias, mean, variance = (blob.reshape(1, -1, 1, 1) for blob in blobs)
    return (x - mean) / np.sqrt(variance + eps) * slope + bias


def grn(x: np.ndarray, bias: float) -> np.ndarray:
    out = np.empty(x.shape)
    for n in range(x.shape[0]):
        for i in range(x.shape[2]):
            for j in range(x.shape[3]):
                norm = math.sqrt(sum(float(v) ** 2 for v in x[n, :, i, j]) + bias)
                out[n, :, i, j] = x[n, :, i, j] / norm
    return out


def prior_box(
    rows: int, columns: int, image: tuple[int, int], boxes: list[tuple[float, float]],
    step: tuple[float, float], offset: float | list[tuple[float, float]], clip: bool,
    variance: list[float],
) -> np.ndarray:  # fmt: skip
    """prior_box_layer.cpp of SSD; several offsets (down, right) as OpenCV has them."""
    height, width = image
    offsets = offset if isinstance(offset, list) else [(offset, offset)]
    values = []
    for h in range(rows):
        for w in range(columns):
            for wide, high in boxes:
                for down, right in offsets:
                    x, y = (w + right) * step[1], (h + down) * step[0]
                    values += [(x - wide / 2) / width, (y - high / 2) / height]
                    values += [(x + wide / 2) / width, (y + high / 2) / height]
    if clip:
        values = [min(max(value, 0.0), 1.0) for value in values]
    variances = (variance * 4)[:4] * (len(values) // 4)
    return np.array([[values, variances]])


def ssd_boxes(
    smallest: list[int], largest: list[int], ratios: list[float], flip: bool
) -> list[tuple[float, float]]:
    all_ratios = [1.0]
    for ratio in ratios:
        if all(abs(ratio - other) >= 1e-6 for other in all_ratios):
            all_ratios.append(ratio)
            if flip:
                all_ratios.append(1.0 / ratio)
    found: list[tuple[float, float]] = []
    for number, size in enumerate(smallest):
        found.append((size, size))
        if largest:
            between = math.sqrt(size * largest[number])
            found.append((between, between))
        for ratio in all_ratios:
            if abs(ratio - 1.0) >= 1e-6:
                found.append((size * math.sqrt(ratio), size / math.sqrt(ratio)))
    return found


def overlap(a: np.ndarray, b: np.ndarray, pixel: float) -> float:
    if b[0] > a[2] or b[2] < a[0] or b[1] > a[3] or b[3] < a[1]:
        return 0.0
    width = min(a[2], b[2]) - max(a[0], b[0]) + pixel
    height = min(a[3], b[3]) - max(a[1], b[1]) + pixel
    if width <= 0 or height <= 0:
        return 0.0
    inner, areas = width * height, 0.0
    for box in (a, b):
        if box[2] >= box[0] and box[3] >= box[1]:
            areas += (box[2] - box[0] + pixel) * (box[3] - box[1] + pixel)
    return float(inner / (areas - inner))


def decode(offset: np.ndarray, prior: np.ndarray, variance: np.ndarray, code: str) -> np.ndarray:
    width, height = prior[2] - prior[0], prior[3] - prior[1]
    v = variance * offset
    if code == "CORNER":
        return prior + v
    if code == "CORNER_SIZE":
        return prior + v * np.array([width, height, width, height])
    x, y = v[0] * width + (prior[0] + prior[2]) / 2, v[1] * height + (prior[1] + prior[3]) / 2
    wide, high = math.exp(v[2]) * width, math.exp(v[3]) * height
    return np.array([x - wide / 2, y - high / 2, x + wide / 2, y + high / 2])


def detection_output(
    offsets: np.ndarray, scores: np.ndarray, priors: np.ndarray, *, classes: int, code: str,
    share: bool, background: int, encoded: bool, threshold: float, eta: float, top_k: int, keep: int,
    confidence: float, clip: bool = False,
) -> np.ndarray:  # fmt: skip
    number = priors.shape[2] // 4
    kinds = 1 if share else classes
    rows: list[list[float]] = []
    for n in range(len(offsets)):
        loc, conf = offsets[n].reshape(number, kinds, 4), scores[n].reshape(number, classes)
        picked: dict[int, list[int]] = {}
        boxes: dict[int, list[np.ndarray]] = {}
        for label in range(classes):
            if label == background:
                continue
            boxes[label] = []
            for p in range(number):
                variance = np.ones(4) if encoded else priors[0, 1, 4 * p : 4 * p + 4]
                kind = 0 if share else label
                box = decode(loc[p, kind], priors[0, 0, 4 * p : 4 * p + 4], variance, code)
                boxes[label].append(np.clip(box, 0, 1) if clip else box)
            order = sorted(
                (p for p in range(number) if conf[p, label] > confidence),
                key=lambda p: -conf[p, label],
            )
            order = order[:top_k] if top_k > -1 else order
            limit, kept = threshold, []
            for p in order:
                if all(overlap(boxes[label][p], boxes[label][q], 0.0) <= limit for q in kept):
                    kept.append(p)
                    if eta < 1 and limit > 0.5:
                        limit *= eta
            picked[label] = kept
        pairs = [(conf[p, label], label, p) for label, kept in picked.items() for p in kept]
        if keep > -1 and len(pairs) > keep:
            pairs = sorted(pairs, key=lambda pair: -pair[0])[:keep]
        for label in sorted(picked):
            for score, kind, p in pairs:
                if kind == label:
                    rows.append([n, label, score, *boxes[label][p]])
    if not rows:
        rows = [[n, -1, -1, -1, -1, -1, -1] for n in range(len(offsets))]
    return np.array(rows)[None, None]


def c_round(value: float) -> int:
    return math.floor(value + 0.5) if value >= 0 else math.ceil(value - 0.5)


def roi_pool(x: np.ndarray, rois: np.ndarray, height: int, width: int, scale: float) -> np.ndarray:
    out = np.zeros((len(rois), x.shape[1], height, width))
    for r, roi in enumerate(rois):
        x1, y1, x2, y2 = (c_round(value * scale) for value in roi[1:])
        high, wide = max(y2 - y1 + 1, 1) / height, max(x2 - x1 + 1, 1) / width
        for c in range(x.shape[1]):
            for i in range(height):
                for j in range(width):
                    top, bottom = (
                        min(max(v + y1, 0), x.shape[2])
                        for v in (math.floor(i * high), math.ceil((i + 1) * high))
                    )
                    left, right = (
                        min(max(v + x1, 0), x.shape[3])
                        for v in (math.floor(j * wide), math.ceil((j + 1) * wide))
                    )
                    if bottom > top and right > left:
                        out[r, c, i, j] = x[int(roi[0]), c, top:bottom, left:right].max()
    return out


def psroi_pool(
    x: np.ndarray, rois: np.ndarray, outputs: int, group: int, scale: float
) -> np.ndarray:
    out = np.zeros((len(rois), outputs, group, group))
    for r, roi in enumerate(rois):
        x1, y1 = c_round(roi[1]) * scale, c_round(roi[2]) * scale
        x2, y2 = (c_round(roi[3]) + 1) * scale, (c_round(roi[4]) + 1) * scale
        wide, high = max(x2 - x1, 0.1) / group, max(y2 - y1, 0.1) / group
        for c in range(outputs):
            for i in range(group):
                for j in range(group):
                    top, bottom = (
                        min(max(v, 0), x.shape[2])
                        for v in (math.floor(i * high + y1), math.ceil((i + 1) * high + y1))
                    )
                    left, right = (
                        min(max(v, 0), x.shape[3])
                        for v in (math.floor(j * wide + x1), math.ceil((j + 1) * wide + x1))
                    )
                    channel = (c * group + i) * group + j
                    if bottom > top and right > left:
                        out[r, c, i, j] = x[int(roi[0]), channel, top:bottom, left:right].mean()
    return out


def point(x: np.ndarray, y: float, z: float) -> np.ndarray:
    height, width = x.shape[1:]
    if y < -1 or y > height or z < -1 or z > width:
        return np.zeros(len(x))
    y, z = max(y, 0.0), max(z, 0.0)
    top, left = int(y), int(z)
    if top >= height - 1:
        top = bottom = height - 1
        y = float(top)
    else:
        bottom = top + 1
    if left >= width - 1:
        left = right = width - 1
        z = float(left)
    else:
        right = left + 1
    a, b = y - top, z - left
    return (
        (1 - a) * (1 - b) * x[:, top, left] + (1 - a) * b * x[:, top, right]
        + a * (1 - b) * x[:, bottom, left] + a * b * x[:, bottom, right]
    )  # fmt: skip


def roi_align(
    x: np.ndarray, rois: np.ndarray, height: int, width: int, scale: float, samples: int
) -> np.ndarray:
    out = np.zeros((len(rois), x.shape[1], height, width))
    for r, roi in enumerate(rois):
        x1, y1, x2, y2 = (float(value) * scale for value in roi[1:])
        high, wide = max(y2 - y1, 1.0) / height, max(x2 - x1, 1.0) / width
        down = samples if samples > 0 else math.ceil(high)
        across = samples if samples > 0 else math.ceil(wide)
        for i in range(height):
            for j in range(width):
                total = np.zeros(x.shape[1])
                for a in range(down):
                    for b in range(across):
                        y = y1 + i * high + (a + 0.5) * high / down
                        z = x1 + j * wide + (b + 0.5) * wide / across
                        total += point(x[int(roi[0])], y, z)
                out[r, :, i, j] = total / (down * across)
    return out


def proposal(
    scores: np.ndarray, offsets: np.ndarray, info: np.ndarray, *, base: int, stride: int,
    ratios: list[float], scales: list[float], before: int, after: int, threshold: float, smallest: float,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    anchors = []
    for ratio in ratios:
        wide = int(math.sqrt(base * base / ratio) + 0.5)
        high = int(wide * ratio + 0.5)
        for scale in scales:
            x, y, middle = 0.5 * (wide * scale - 1), 0.5 * (high * scale - 1), 0.5 * (base - 1)
            anchors.append((middle - x, middle - y, middle + x, middle + y))
    rows, columns = scores.shape[2:]
    height, width, scale_y, scale_x = info[0], info[1], info[2], info[-1]
    found = []
    for h in range(rows):
        for w in range(columns):
            for k, anchor in enumerate(anchors):
                box = [
                    anchor[0] + w * stride,
                    anchor[1] + h * stride,
                    anchor[2] + w * stride,
                    anchor[3] + h * stride,
                ]
                dx, dy, dw, dh = (float(offsets[0, k * 4 + n, h, w]) for n in range(4))
                wide, high = box[2] - box[0] + 1, box[3] - box[1] + 1
                x, y = dx * wide + box[0] + 0.5 * wide, dy * high + box[1] + 0.5 * high
                wide, high = math.exp(dw) * wide, math.exp(dh) * high
                box = [x - 0.5 * wide, y - 0.5 * high, x + 0.5 * wide, y + 0.5 * high]
                edge = [width - 1, height - 1] * 2
                box = [max(0.0, min(value, limit)) for value, limit in zip(box, edge, strict=True)]
                good = (
                    box[2] - box[0] + 1 >= smallest * scale_x
                    and box[3] - box[1] + 1 >= smallest * scale_y
                )
                found.append((*box, good * float(scores[0, len(anchors) + k, h, w])))
    found.sort(key=lambda item: -item[4])
    found = found[:before]
    kept: list[tuple[float, ...]] = []
    for item in found:
        if len(kept) == after:
            break
        if all(
            overlap(np.array(item[:4]), np.array(other[:4]), 1.0) <= threshold for other in kept
        ):
            kept.append(item)
    return np.array([[0, *item[:4]] for item in kept]), np.array([item[4] for item in kept])


def forks_lstm(x: np.ndarray, blobs: list[np.ndarray], batch: int | None = None) -> np.ndarray:
    """lstm_layer.cu of caffe-lstm and of CTPN, without a second bottom: gates i, f, o, g."""
    weight_x, weight_h, bias = (blob.astype(np.float64) for blob in blobs)
    hidden = weight_h.shape[1]
    steps = len(x) // batch if batch else x.shape[0]
    sequences = batch or x.shape[1]
    x = x.reshape(steps, sequences, -1)
    out = np.zeros((steps, sequences, hidden))
    for n in range(sequences):
        h, c = np.zeros(hidden), np.zeros(hidden)
        for t in range(steps):
            gates = weight_x @ x[t, n] + bias + (weight_h @ h if t > 0 else 0)
            i, f, o = (1 / (1 + np.exp(-gates[k * hidden : (k + 1) * hidden])) for k in range(3))
            c = (f * c if t > 0 else 0) + i * np.tanh(gates[3 * hidden :])
            h = o * np.tanh(c)
            out[t, n] = h
    return out.reshape(-1, hidden) if batch else out


def merge_crop(a: np.ndarray, b: np.ndarray, add: bool = False) -> np.ndarray:
    """mergecrop_layer.cu."""
    channels = a.shape[1]
    out = np.zeros((a.shape[0], channels * (1 if add else 2), *a.shape[2:]))
    top, left = (b.shape[2] - a.shape[2]) // 2, (b.shape[3] - a.shape[3]) // 2
    for n in range(a.shape[0]):
        for c in range(channels):
            for h in range(a.shape[2]):
                for w in range(a.shape[3]):
                    value = b[n, c, h + top, w + left]
                    out[n, c, h, w] = a[n, c, h, w] + (value if add else 0)
                    if not add:
                        out[n, channels + c, h, w] = value
    return out


def pad(
    x: np.ndarray, left: int, right: int, up: int, down: int, kind: str, value: float = 0
) -> np.ndarray:
    """pad_layer.cpp."""
    height, width = x.shape[2:]
    out = np.zeros((*x.shape[:2], height + up + down, width + left + right))
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            h, w = i - up, j - left
            inside = 0 <= h < height and 0 <= w < width
            if kind == "REPLICATE":
                h, w = min(max(h, 0), height - 1), min(max(w, 0), width - 1)
            if kind == "REFLECT":
                h, w = abs(h), abs(w)
                h, w = min(h, 2 * height - 2 - h), min(w, 2 * width - 2 - w)
            out[:, :, i, j] = x[:, :, h, w] if inside or kind != "CONSTANT" else value
    return out


def pixel_shuffle(x: np.ndarray, factor: int) -> np.ndarray:
    """pixelshuffle_layer.cpp."""
    n, c, height, width = x.shape
    out = np.zeros((n, c // factor**2, height * factor, width * factor))
    for p in range(out.shape[1]):
        for y in range(factor):
            for z in range(factor):
                q = p * factor * factor + y * factor + z
                for i in range(height):
                    for j in range(width):
                        out[:, p, i * factor + y, j * factor + z] = x[:, q, i, j]
    return out


def bilinear(x: np.ndarray, height: int, width: int, corners: bool) -> np.ndarray:
    """bilinear_interpolate_layer.cpp."""
    n, c, rows, columns = x.shape
    out = np.zeros((n, c, height, width))
    for i in range(height):
        y = i * (rows - 1) / (height - 1) if corners else rows / height * (i + 0.5) - 0.5
        y = max(min(y, rows - 1), 0)
        top = min(math.floor(y), rows - 2)
        for j in range(width):
            z = j * (columns - 1) / (width - 1) if corners else columns / width * (j + 0.5) - 0.5
            z = max(min(z, columns - 1), 0)
            left = min(math.floor(z), columns - 2)
            between = (left + 1 - z) * x[..., left] + (z - left) * x[..., left + 1]
            out[:, :, i, j] = (top + 1 - y) * between[:, :, top] + (y - top) * between[
                :, :, top + 1
            ]
    return out
