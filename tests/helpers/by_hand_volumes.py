"""C3D's and P3D's layers over length, height and width as numpy loops, one to one with their C++."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

LOWEST = -float(np.finfo(np.float32).max)
Three = tuple[int, int, int]


def conv3d(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, stride: Three, pad: Three,
    dilation: Three = (1, 1, 1), group: int = 1,
) -> np.ndarray:  # fmt: skip
    """vol2col.cpp, and one product of matrices for each group."""
    kernel = weight.shape[2:]
    sizes = [
        int((n + 2 * p - (d * (k - 1) + 1)) / s) + 1  # towards zero, as in C++
        for n, k, s, p, d in zip(x.shape[2:], kernel, stride, pad, dilation, strict=True)
    ]
    out = np.zeros((len(x), len(weight), *sizes))
    inner, outer = x.shape[1] // group, len(weight) // group
    for at in product(*map(range, sizes)):
        for tap in product(*map(range, kernel)):
            place = [
                a * s - p + t * d
                for a, s, p, t, d in zip(at, stride, pad, tap, dilation, strict=True)
            ]
            if any(not 0 <= i < n for i, n in zip(place, x.shape[2:], strict=True)):
                continue
            for g in range(group):
                part = x[(slice(None), slice(g * inner, (g + 1) * inner), *place)]
                rows = slice(g * outer, (g + 1) * outer)
                out[(slice(None), rows, *at)] += part @ weight[(rows, slice(None), *tap)].T
    return out if bias is None else out + bias.reshape(1, -1, 1, 1, 1)


def deconv3d(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, stride: Three, pad: Three
) -> np.ndarray:
    """A product of matrices, then col2vol.cpp."""
    kernel = weight.shape[2:]
    sizes = [
        (n - 1) * s - 2 * p + k for n, k, s, p in zip(x.shape[2:], kernel, stride, pad, strict=True)
    ]
    out = np.zeros((len(x), weight.shape[1], *sizes))
    for at in product(*map(range, x.shape[2:])):
        for tap in product(*map(range, kernel)):
            place = [a * s - p + t for a, s, p, t in zip(at, stride, pad, tap, strict=True)]
            if all(0 <= i < n for i, n in zip(place, sizes, strict=True)):
                out[(slice(None), slice(None), *place)] += (
                    x[(slice(None), slice(None), *at)] @ weight[(slice(None), slice(None), *tap)]
                )
    return out if bias is None else out + bias.reshape(1, -1, 1, 1, 1)


def pool3d(
    x: np.ndarray, pool: str, kernel: Three, stride: Three, pad: Three, clip: bool
) -> tuple[np.ndarray, np.ndarray]:
    """pool3d_layer.cpp (clip False), pooling3d_layer.cpp (clip True); the second is the mask."""
    sizes = []
    for n, k, s, p in zip(x.shape[2:], kernel, stride, pad, strict=True):
        size = math.ceil((n + 2 * p - k) / s) + 1
        if clip and any(pad) and (size - 1) * s >= n + p:
            size -= 1
        sizes.append(size)
    out = np.full((*x.shape[:2], *sizes), LOWEST if pool == "MAX" else 0.0)
    mask = np.full(out.shape, -1.0)
    for n, c in product(range(x.shape[0]), range(x.shape[1])):
        for at in product(*map(range, sizes)):
            start = [a * s - p for a, s, p in zip(at, stride, pad, strict=True)]
            end = [
                min(b + k, size + (p if pool == "AVE" else 0))
                for b, k, size, p in zip(start, kernel, x.shape[2:], pad, strict=True)
            ]
            divisor = math.prod(e - b for b, e in zip(start, end, strict=True))
            inside = [
                range(max(b, 0), min(e, size))
                for b, e, size in zip(start, end, x.shape[2:], strict=True)
            ]
            for place in product(*inside):
                value = x[(n, c, *place)]
                if pool == "AVE":
                    out[(n, c, *at)] += value
                elif value > out[(n, c, *at)]:
                    out[(n, c, *at)] = value
                    mask[(n, c, *at)] = (place[0] * x.shape[3] + place[1]) * x.shape[4] + place[2]
            if pool == "AVE":
                with np.errstate(divide="ignore", invalid="ignore"):
                    out[(n, c, *at)] = out[(n, c, *at)] / np.float64(divisor)
    return out, mask
