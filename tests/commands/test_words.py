"""Shapes as words of the command line."""

from __future__ import annotations

import pytest

from decant.commands.words import parse_shapes
from decant.loader.errors import UsageError


def test_each_word_is_a_blob_and_its_shape() -> None:
    found = parse_shapes(["data=1,3,224,224", "rois=7,5", "x=2"])
    assert found == {"data": (1, 3, 224, 224), "rois": (7, 5), "x": (2,)}
    assert parse_shapes([]) == {}


@pytest.mark.parametrize("word", ["data", "=1,2", "data=", "data=1,x", "data=0,3", "data=-1", ""])
def test_what_is_no_shape(word: str) -> None:
    with pytest.raises(UsageError, match="expected BLOB=1,3,224,224"):
        parse_shapes([word])
