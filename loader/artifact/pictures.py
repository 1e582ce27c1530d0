"""What an artifact says of pictures: how they are prepared, and what its classes are called."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from decant.loader.artifact.manifest import Manifest
from decant.loader.errors import IntegrityError
from decant.loader.pictures import MEAN_IMAGE, labels
from decant.loader.pictures.recipe import Recipe

if TYPE_CHECKING:
    from decant.loader.catalog.models import Catalog
    from decant.loader.progress import Progress


def recorded_recipe(manifest: Manifest, folder: Path) -> Recipe | None:
    """The artifact's recipe; None where it is not known.

    Raises IntegrityError where its mean image cannot be read.
    """
    found = manifest.preprocessing
    if found is None:
        return None
    return Recipe(
        found.channel_order,
        found.mean,
        found.scale,
        found.resize,
        found.crop,
        _mean_image(folder / MEAN_IMAGE) if found.mean_image else None,
    )


def _mean_image(path: Path) -> np.ndarray:
    try:
        found: np.ndarray = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise IntegrityError(f"{path}: damaged ({error}); convert it again") from None
    return found


def class_names(manifest: Manifest, models: Catalog, progress: Progress) -> list[str]:
    """What the manifest names, or the catalog's file, fetched; [] where there is none."""
    from decant.loader.catalog.fetch import fetch

    if manifest.labels and manifest.labels.names:
        return list(manifest.labels.names)
    entry = models.models.get(manifest.model or "")
    if entry is None or entry.labels is None or entry.labels.source is None:
        return []
    return labels.read(fetch(entry, entry.labels.source, "labels", models, progress))
