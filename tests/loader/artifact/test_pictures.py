"""What an artifact records of pictures, and a damaged mean image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from decant.loader.artifact.bundle import MEAN_IMAGE
from decant.loader.artifact.pictures import class_names, recorded_recipe
from decant.loader.catalog.models import load_catalog
from decant.loader.errors import IntegrityError
from decant.loader.progress import SILENT
from tests.helpers.artifacts import manifest

RECIPE = {
    "channel_order": "BGR",
    "mean": [1.0, 2.0, 3.0],
    "scale": 0.5,
    "resize": [8, 9],
    "crop": 6,
}


def test_the_recipe_is_the_recorded_one(tmp_path: Path) -> None:
    assert recorded_recipe(manifest(), tmp_path) is None
    found = recorded_recipe(manifest(preprocessing=RECIPE), tmp_path)
    assert found is not None
    assert (found.channel_order, found.mean, found.scale) == ("BGR", (1.0, 2.0, 3.0), 0.5)
    assert (found.resize, found.crop, found.mean_image) == ((8, 9), 6, None)


def test_a_mean_image_lies_beside_it_and_is_told_when_damaged(tmp_path: Path) -> None:
    of = manifest(preprocessing={**RECIPE, "mean_image": MEAN_IMAGE})
    image = np.arange(3 * 8 * 9, dtype=np.float32).reshape(3, 8, 9)
    np.save(tmp_path / MEAN_IMAGE, image)
    found = recorded_recipe(of, tmp_path)
    assert found is not None and np.array_equal(found.mean_image, image)
    (tmp_path / MEAN_IMAGE).write_bytes(b"\x93NUMPY")
    with pytest.raises(IntegrityError, match=r"damaged .* convert it again"):
        recorded_recipe(of, tmp_path)


def test_class_names_that_are_written_out() -> None:
    models = load_catalog()
    assert class_names(manifest(labels={"names": ["a", "b"]}), models, SILENT) == ["a", "b"]
    assert class_names(manifest(), models, SILENT) == []
