"""Distances: by hand, at the ends of what floats hold, and for NaN and infinity."""

from __future__ import annotations

import math

import numpy as np
import pytest

from decant.loader.parity.metrics import cosine, distance, error_of


def test_by_hand() -> None:
    found = distance(np.array([3.0, 5.0]), np.array([3.0, 4.0]))
    assert (found.max_abs, found.error) == (1, 0.25)
    assert found.relative_l2 == pytest.approx(0.2)
    assert found.cosine == pytest.approx(29 / (5 * math.sqrt(34)))
    assert error_of(np.array([3.0, 5.0]), np.array([3.0, 4.0])) == 0.25


@pytest.mark.parametrize("scale", [1e-300, 1e-25, 1.0, 1e20, 1e300])
def test_any_size_of_values(scale: float) -> None:
    """float32 holds neither 1e-25 squared nor 1e20 squared, float64 not the ends."""
    kind = np.float32 if 1e-30 < scale < 1e30 else np.float64
    array = np.random.default_rng(0).standard_normal(100).astype(kind) * kind(scale)
    found = distance(array, array)
    assert (found.error, found.relative_l2) == (0, 0)
    assert found.cosine == pytest.approx(1)
    assert cosine(array.clip(min=0), array.clip(min=0)) == pytest.approx(1)
    assert distance(-array, array).error == pytest.approx(2)


def test_opposite_ends_are_infinitely_apart() -> None:
    end = np.array([np.finfo(np.float64).max])
    assert distance(-end, end).error == math.inf


@pytest.mark.parametrize(
    ("mine", "reference", "reason"),
    [
        ([1, np.nan], [1, 2], "NaN on one side only"),
        ([1, np.inf], [1, 2], "infinite on one side only"),
        ([1, np.inf], [1, -np.inf], "infinite on one side only"),
        ([1, 2, 3], [1, 2], "shapes (3,) and (2,)"),
        ([1, np.inf, np.nan], [1, np.inf, np.nan], ""),
    ],
)
def test_what_no_number_could_allow(mine: list[float], reference: list[float], reason: str) -> None:
    assert distance(np.array(mine), np.array(reference)).reason == reason


def test_all_zero() -> None:
    zero, one = np.zeros(3), np.ones(3)
    assert (distance(zero, zero).error, distance(zero, zero).cosine) == (0, 1)
    assert (distance(one, zero).error, distance(one, zero).cosine) == (math.inf, 0)
