"""What a prototxt, caffemodel, dump or artifact holds."""

from __future__ import annotations

from pathlib import Path

from decant.loader import listing
from decant.loader.artifact.bundle import folder_of
from decant.loader.catalog.fetch import fetch
from decant.loader.catalog.models import load_catalog
from decant.loader.listing import Listing
from decant.stages.inputs import Place
from decant.stages.options import DEFAULTS, Options


def inspect(file: Place, options: Options = DEFAULTS) -> Listing:
    """Layers in order, with shapes, parameters, multiply-adds and memory.

    `file`: a file or folder; else an artifact of that name; else a model of the catalog, whose
    definition is fetched. Raises BadInput for what is none of them.
    """
    return listing.read(_place(Path(file), options), options.shapes, options.reading)


def _place(file: Path, options: Options) -> Path:
    if file.exists() or len(file.parts) != 1 or file.suffix:
        return file
    if folder_of(file).is_dir():
        return folder_of(file)
    models = load_catalog(options.catalog)
    entry = models.models.get(file.name)
    return fetch(entry, entry.prototxt, "prototxt", models, options.progress) if entry else file
