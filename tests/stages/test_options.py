"""Options that are refused where they are made."""

from __future__ import annotations

import pytest

from decant import Options, errors


@pytest.mark.parametrize(
    ("option", "words"), [("engine", "auto, caffe, reader"), ("device", "cpu, cuda")]
)
def test_a_word_that_an_option_does_not_take_is_refused(option: str, words: str) -> None:
    with pytest.raises(errors.UsageError, match=f"--{option} 'docker': one of {words}"):
        Options(**{option: "docker"})


@pytest.mark.parametrize("option", ["ignored_layers", "plugins"])
def test_one_text_is_not_taken_for_a_list_of_letters(option: str) -> None:
    with pytest.raises(errors.UsageError, match=f"{option} 'conv1': give a list"):
        Options(**{option: "conv1"})


@pytest.mark.parametrize("shape", ["1,1,28,28", 5, (1.5, 1), (-1, 3), None])
def test_a_shape_that_is_none_is_refused_with_its_blob(shape: object) -> None:
    with pytest.raises(errors.UsageError, match="--input data"):
        Options(shapes={"data": shape})


@pytest.mark.parametrize("shape", [(1, 3, 224, 224), [2, 1], (), (0, 3)])
def test_a_shape_of_sizes_is_taken(shape: object) -> None:
    assert Options(shapes={"data": shape}).shapes == {"data": shape}
