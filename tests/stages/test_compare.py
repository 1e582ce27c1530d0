"""What a difference is said to be."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from decant.loader.compare import Compared, Row
from decant.loader.errors import BadInput, ParityError, UsageError
from decant.stages.compare import compare, refuse_difference


def found(*rows: Row) -> Compared:
    return Compared(list(rows), [], 1e-5)


GOOD = Row("a", "ReLU", 0, error=1e-7)


def test_agreement_is_not_refused_nor_what_is_explained() -> None:
    refuse_difference(found(GOOD, Row("t", "Threshold", 0, error=1.0, explained="a near tie")))


def test_the_first_that_differs_is_named_and_all_are_in_the_details() -> None:
    rows = GOOD, Row("b", "LRN", 0, error=2e-3, isolated=1e-7), Row("c", "ReLU", 0, reason="shapes")
    with pytest.raises(ParityError) as caught:
        refuse_difference(found(*rows))
    assert "layer 'b' is the first of 2 that differ: error 2.0e-03" in caught.value.message
    assert "the error came with its input" in caught.value.message
    assert caught.value.details == ["layer 'b': error 2.0e-03", "layer 'c': shapes"]
    with pytest.raises(ParityError) as caught:
        refuse_difference(found(Row("b", "LRN", 0, error=2e-3, isolated=2e-3)))
    assert "came with its input" not in caught.value.message


@pytest.mark.parametrize("bound", [math.nan, math.inf, -1.0])
def test_a_bound_that_is_none(bound: float, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a part of the largest value"):
        compare(tmp_path, tmp_path, bound=bound)
    with pytest.raises(BadInput, match="no such file"):
        compare(tmp_path / "none", tmp_path / "none")
