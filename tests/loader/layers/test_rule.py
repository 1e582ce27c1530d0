"""What rules share: shapes that are equal up to legacy axes, and short decimals."""

from __future__ import annotations

import numpy as np
import pytest

from decant.loader.layers.rule import same_shape, short

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow


def test_shapes_are_equal_up_to_leading_ones_of_a_legacy_blob() -> None:
    assert same_shape((1, 1, 4, 9), (4, 9))
    assert same_shape((1, 1, 1, 4), (4,))
    assert not same_shape((4, 9), (9, 4))
    assert not same_shape((1, 4), (4,))
    assert not same_shape((2, 1, 4, 9), (4, 9))
    assert not same_shape((6, 6), (4, 9))


def test_what_is_printed_is_always_the_same_float32() -> None:
    random = np.random.default_rng(0)
    bits = random.integers(0, 1 << 32, 20_000, np.uint32)
    with np.errstate(all="ignore"):
        values = bits.view(np.float32)
        for value in values[np.isfinite(values)].astype(float):
            for near in (value, value * (1 + 1e-12)):
                assert np.float32(short(near)) == np.float32(near)


def test_short_decimals_are_never_changed() -> None:
    random = np.random.default_rng(1)
    for digits, power in zip(
        random.integers(1, 10**6, 5000), random.integers(-40, 30, 5000), strict=True
    ):
        value = float(f"{digits}e{power}")
        assert short(value) == value
