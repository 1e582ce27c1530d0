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
