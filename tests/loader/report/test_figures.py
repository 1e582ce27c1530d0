"""The report's pictures."""

from __future__ import annotations

import pytest

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow


def test_numbers_that_are_none_and_odd_names_can_be_drawn() -> None:
    import numpy as np

    from decant.loader.report import figures

    array = np.full((2, 3, 3), np.nan, np.float32)
    array[0, 0] = [1, np.inf, 2]
    assert "7 values" not in figures.histogram("x", array, array).alt
    assert "16 values" in figures.histogram("x", array, array).alt
    for found in (
        figures.activations("x" * 400, array, array),
        figures.bars(["a $\\frac{$ b"], [1.0], None),
    ):
        assert found.png[:4] == b"\x89PNG" and len(found.name) < 120
    assert figures.slug("a/b") != figures.slug("a:b")
