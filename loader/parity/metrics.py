"""How far an array is from the one that it should be: the numbers that parity and compare go by."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

# values at a time: the numbers are computed in float64, and no copy of a large array is made for it
BLOCK = 1 << 20


@dataclass(frozen=True)
class Distance:
    """Of the finite values. `error` is max|a - b| / max|b|; where b is all zero, 0 or infinite.

    `largest` is max|b|. `reason`: why no number could allow it (another shape, NaN or infinity on one
    side only); the numbers are NaN for another shape.
    """

    max_abs: float = math.nan
    error: float = math.nan
    relative_l2: float = math.nan
    cosine: float = math.nan
    reason: str = ""
    largest: float = math.nan


def distance(mine: np.ndarray, reference: np.ndarray) -> Distance:
    """Both of one shape and any float type; computed in float64."""
    if mine.shape != reference.shape:
        return Distance(reason=f"shapes {mine.shape} and {reference.shape}")
    scale = _scale(mine, reference)
    max_abs = largest = aa = bb = ab = apart = 0.0
    reason = ""
    for a, b, strange in _blocks(mine, reference):
        reason = reason or strange
        largest = max(largest, _most(b))
        with np.errstate(over="ignore"):
            off = a - b
        max_abs = max(max_abs, _most(off))
        if scale != 1:
            a, b = a / scale, b / scale
            off = a - b
        aa, bb, ab = aa + float(a @ a), bb + float(b @ b), ab + float(a @ b)
        apart += float(off @ off)
    lengths = math.sqrt(aa) * math.sqrt(bb)
    return Distance(
        max_abs,
        _part(max_abs, largest),
        _part(math.sqrt(apart), math.sqrt(bb)),
        ab / lengths if lengths else float(not aa and not bb),
        reason,
        largest,
    )


def error_of(mine: np.ndarray, reference: np.ndarray) -> float:
    """`Distance.error` alone, which costs less; NaN for another shape."""
    if mine.shape != reference.shape:
        return math.nan
    max_abs = largest = 0.0
    for a, b, _ in _blocks(mine, reference):
        with np.errstate(over="ignore"):
            max_abs = max(max_abs, _most(a - b))
        largest = max(largest, _most(b))
    return _part(max_abs, largest)


def cosine(mine: np.ndarray, reference: np.ndarray) -> float:
    """`Distance.cosine` alone: 1 for two that are all zero, 0 where one is."""
    return distance(mine, reference).cosine


def _scale(mine: np.ndarray, reference: np.ndarray) -> float:
    """What to divide by, so that float64 can hold the squares: it holds those of all float32."""
    if mine.dtype == reference.dtype == np.float32:
        return 1.0
    return max((max(_most(a), _most(b)) for a, b, _ in _blocks(mine, reference)), default=0) or 1.0


def _blocks(
    mine: np.ndarray, reference: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, str]]:
    """Flat, in float64, without what is not finite, as an infinity in max|b| would allow everything;
    and where the two do not agree in that, the reason.
    """
    one, other = mine.reshape(-1), reference.reshape(-1)
    for start in range(0, one.size, BLOCK):
        a, b = (x[start : start + BLOCK] for x in (one, other))
        finite = np.isfinite(a) & np.isfinite(b)
        reason = ""
        if not finite.all():
            a, b, reason = a[finite], b[finite], _strange(a, b)
        yield a.astype(np.float64), b.astype(np.float64), reason


def _most(values: np.ndarray) -> float:
    """The largest |x|, without an array of them."""
    return max(float(values.max(initial=0)), -float(values.min(initial=0)))


def _strange(a: np.ndarray, b: np.ndarray) -> str:
    if not np.array_equal(np.isnan(a), np.isnan(b)):
        return "NaN on one side only"
    if not all(np.array_equal(where(a), where(b)) for where in (np.isposinf, np.isneginf)):
        return "infinite on one side only"
    return ""


def _part(value: float, whole: float) -> float:
    return value / whole if whole else (math.inf if value else 0.0)
