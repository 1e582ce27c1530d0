"""What is asked of a net before it classifies; the digits' right classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from decant.loader.errors import NoClassifier, UsageError
from decant.loader.pictures.recipe import Recipe
from decant.stages.classify import classify, prepared, recipe_of
from tests.helpers.artifacts import manifest, write_lenet

DIGITS = Path(__file__).resolve().parents[2] / "models/lenet_digits/validation"


def of_shape(*shape: int) -> object:
    return manifest(inputs=[{"blob": "data", "shape": list(shape)}])


def test_a_recipe_that_nobody_recorded_needs_a_mean(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="say it with --mean"):
        recipe_of(tmp_path, of_shape(1, 3, 8, 9), None)  # type: ignore[arg-type]
    found = recipe_of(tmp_path, of_shape(1, 3, 8, 9), "1,2,3")  # type: ignore[arg-type]
    assert (found.channel_order, found.mean, found.resize) == ("BGR", (1.0, 2.0, 3.0), (8, 9))
    assert recipe_of(tmp_path, of_shape(1, 1, 8, 9), "0").channel_order == "gray"  # type: ignore[arg-type]
    for shape in ((1, 2, 8, 8), (4, 10)):
        with pytest.raises(NoClassifier, match="takes no picture"):
            recipe_of(tmp_path, of_shape(*shape), "0")  # type: ignore[arg-type]


def test_a_picture_has_one_crop_or_ten() -> None:
    picture = sorted(DIGITS.rglob("*.png"))[0]
    whole = Recipe("gray", (0.0,), 1.0, (16, 16))
    with pytest.raises(UsageError, match="nothing to crop"):
        prepared(whole, [picture], oversample=True)
    batch, counts = prepared(
        Recipe("gray", (0.0,), 1.0, (16, 16), 12), [picture] * 2, oversample=True
    )
    assert batch.shape == (20, 1, 12, 12) and counts == [10, 10]
    assert prepared(whole, [picture], oversample=False)[0].shape == (1, 1, 16, 16)


def test_digits_have_their_own_classes_first(tmp_path: Path) -> None:
    folder = write_lenet(tmp_path / "lenet_digits")
    pictures = [sorted((DIGITS / str(digit)).glob("*.png"))[0] for digit in (1, 4, 7)]
    found = classify(str(folder), pictures)
    assert [answer.top[0].number for answer in found] == [1, 4, 7]
    for answer in found:
        values = [guess.probability for guess in answer.top]
        assert values == sorted(values, reverse=True) and np.sum(values) <= 1 + 1e-6
        assert answer.caffe_best is None


@pytest.mark.parametrize(
    ("pictures", "said"),
    [("one.png", "give a list"), (Path("one.png"), "give a list"), ([], "none is given")],
)
def test_pictures_are_a_list_of_some(pictures: object, said: str) -> None:
    with pytest.raises(UsageError, match=f"pictures.*{said}"):
        classify("lenet_digits", pictures)  # type: ignore[arg-type]
