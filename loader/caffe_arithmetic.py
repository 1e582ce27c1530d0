"""Where Caffe's own float32 arithmetic is further from the formula than rounding explains.

Parity holds a layer's values against these before it refuses them; the formula stays what a module
computes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from loader.prototxt import Message

# half of what lies between 1 and its neighbours, in float32 and in float64
SINGLE, DOUBLE = 2.0**-24, 2.0**-53


def near_one(kind: str, fields: Message, largest_input: float) -> float:
    """How far off a value may be by itself: it is a sum with about 1, or a difference from it.

    elu_layer.cpp: alpha (e^x - 1); in double sigmoid_layer.cpp: 0.5 tanh(0.5 x) + 0.5, bnll_layer.cpp:
    log(1 + e^x), swish_layer.cpp: x times such a sigmoid. torch is exact near 0. 0 for other types.
    """
    found = {
        "ELU": 2 * SINGLE * abs(float(fields.message("elu_param").text("alpha", "1"))),
        "Sigmoid": 2 * DOUBLE,
        "BNLL": 2 * DOUBLE,
        "Swish": 2 * DOUBLE * largest_input,
    }
    return found.get(kind, 0.0)


def drifting(
    kind: str, fields: Message, bottom: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(what Caffe may make of a layer that keeps a running sum, what the formula makes of it)."""
    if kind == "LRN":
        yield from _lrn(fields, bottom)
    if kind == "Pooling":
        yield from _means(fields, bottom)


def _means(fields: Message, bottom: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of a whole plane, pooling_layer.cpp adds one value after the other: half a million drift by 2e-5.

    torch does so for windows, not for means.
    """
    param = fields.message("pooling_param")
    if param.boolean("global_pooling") and param.text("pool") in ("AVE", "1"):
        values = bottom.reshape(*bottom.shape[:2], -1)
        total = np.cumsum(values, 2, np.float32)[..., -1]
        shape = (*bottom.shape[:2], *[1] * (bottom.ndim - 2))
        exact = values.mean(2, dtype=np.float64)
        yield (total / np.float32(values.shape[2])).reshape(shape), exact.reshape(shape)


def _lrn(fields: Message, bottom: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Across channels (lrn_layer.cpp, CrossChannelForward_cpu), a window adds what enters and takes away
    what leaves it, so that large values leave their rounding behind: 9e-3 of the largest value for
    inputs to 100,000. First with fused multiply-add, as OpenBLAS has it where the processor does; then
    without. The formula in float64.
    """
    param = fields.message("lrn_param")
    if param.text("norm_region") in ("WITHIN_CHANNEL", "1"):
        return
    size = param.integer("local_size", 5)
    alpha, beta, k = (
        np.float32(param.text(name, default))
        for name, default in (("alpha", "1"), ("beta", "0.75"), ("k", "1"))
    )
    wide = bottom.astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(_padded(wide * wide, size), size, 1)
    exact = wide * (k + alpha / np.float64(size) * windows.sum(-1)) ** -np.float64(beta)
    for fused in (True, False):
        sums = np.stack(list(_running_sums(bottom, size, alpha / np.float32(size), k, fused)), 1)
        yield bottom * sums**-beta, exact


def _padded(squares: np.ndarray, size: int) -> np.ndarray:
    before = (size - 1) // 2
    return np.pad(squares, ((0, 0), (before, size - 1 - before), (0, 0), (0, 0)))


def _running_sums(
    x: np.ndarray, size: int, alpha: np.float32, k: np.float32, fused: bool
) -> Iterator[np.ndarray]:
    """k + alpha * (sum of squares over the window) of each channel, one after the other."""
    squares = _padded(x * x, size)
    total = np.full_like(x[:, 0], k)
    for channel in range(size):
        total = _plus(total, alpha, squares[:, channel], fused)
    yield total
    for channel in range(1, x.shape[1]):
        total = _plus(total, alpha, squares[:, channel + size - 1], fused)
        total = _plus(total, -alpha, squares[:, channel - 1], fused)
        yield total


def _plus(total: np.ndarray, factor: np.float32, values: np.ndarray, fused: bool) -> np.ndarray:
    """total + factor * values, rounded once or twice."""
    if not fused:
        twice: np.ndarray = total + factor * values
        return twice
    exact: np.ndarray = np.float64(factor) * values.astype(np.float64) + total
    return exact.astype(np.float32)
