"""How far an array is from the one that it should be: the numbers that parity and compare go by."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Distance:
    """Of the finite values. `error` is max|a - b| / max|b|; where b is all zero, 0 or infinite.

    `reason`: why no number could allow it (another shape, NaN or infinity on one side only); the
    numbers are NaN for another shape.
    """

    max_abs: float = math.nan
    error: float = math.nan
    relative_l2: float = math.nan
    cosine: float = math.nan
    reason: str = ""


def distance(mine: np.ndarray, reference: np.ndarray) -> Distance:
    """Both of one shape and any float type; computed in float64."""
    if mine.shape != reference.shape:
        return Distance(reason=f"shapes {mine.shape} and {reference.shape}")
    a, b, reason = _finite(mine, reference)
    max_abs, error = _largest(a, b)
    a, b = _scaled(a, b)
    relative_l2 = _part(float(np.linalg.norm(a - b)), float(np.linalg.norm(b)))
    return Distance(max_abs, error, relative_l2, _cosine(a, b), reason)


def error_of(mine: np.ndarray, reference: np.ndarray) -> float:
    """`Distance.error` alone, which costs less; NaN for another shape."""
    if mine.shape != reference.shape:
        return math.nan
    a, b, _ = _finite(mine, reference)
    return _largest(a, b)[1]


def cosine(mine: np.ndarray, reference: np.ndarray) -> float:
    """`Distance.cosine` alone: 1 for two that are all zero, 0 where one is."""
    a, b, _ = _finite(mine, reference)
    return _cosine(*_scaled(a, b))


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    lengths = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
    return float(a @ b) / lengths if lengths else float(not a.any() and not b.any())


def _scaled(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Largest value 1: float64 may hold values whose squares it cannot."""
    largest = max(float(np.abs(a).max(initial=0)), float(np.abs(b).max(initial=0)))
    return (a / largest, b / largest) if largest else (a, b)


def _finite(mine: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    """Flat, in float64, without what is not finite, as an infinity in max|b| would allow everything;
    and where the two do not agree in that, the reason.
    """
    a, b = (array.reshape(-1).astype(np.float64) for array in (mine, reference))
    finite = np.isfinite(a) & np.isfinite(b)
    if finite.all():
        return a, b, ""
    return a[finite], b[finite], _strange(a, b)


def _largest(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """max|a - b|, and as a part of max|b|."""
    with np.errstate(over="ignore"):
        max_abs = float(np.abs(a - b).max(initial=0))
    return max_abs, _part(max_abs, float(np.abs(b).max(initial=0)))


def _strange(a: np.ndarray, b: np.ndarray) -> str:
    if not np.array_equal(np.isnan(a), np.isnan(b)):
        return "NaN on one side only"
    if not all(np.array_equal(where(a), where(b)) for where in (np.isposinf, np.isneginf)):
        return "infinite on one side only"
    return ""


def _part(value: float, whole: float) -> float:
    return value / whole if whole else (math.inf if value else 0.0)
