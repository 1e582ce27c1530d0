"""An artifact as one page to look at, and as pictures."""

from __future__ import annotations

import os
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from decant.loader.errors import BadInput, DecantError, NoClassifier, UsageError
from decant.loader.progress import Progress
from decant.stages.answers import beside, from_torch
from decant.stages.classify import TOP, caffe_beside, open_classifier, recipe_of
from decant.stages.options import DEFAULTS, Options
from decant.stages.origins import bundled_pictures, parity_dump

if TYPE_CHECKING:
    from torch import nn

    from decant.dumper.dumpfile import Dump
    from decant.engines.engine import Engine
    from decant.loader.artifact.manifest import Manifest
    from decant.loader.catalog.models import Catalog
    from decant.loader.pictures.recipe import Recipe
    from decant.loader.report.looking import ClassifiedPicture
    from decant.stages.classify import Classifier
    from decant.stages.load import Compared

PAGE = "report.html"


def report(
    model: str,
    options: Options = DEFAULTS,
    *,
    picture: Path | None = None,
    png: Path | None = None,
    mean: str | None = None,
    labels: Path | None = None,
) -> tuple[Path, list[Path]]:
    """report.html in the artifact's folder, and with `png` its pictures as files there: their paths.

    `picture`: for the heat map and the classes, in place of one that the model brings along. An engine
    in `options` that runs nets looks at it too.
    """
    from decant.loader.catalog.models import load_catalog

    caffe = beside(options.engine)
    if png is not None:
        try:
            png.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--png {png}: give a folder ({error.strerror})") from None
    page, pictures = write(
        model, picture, caffe, load_catalog(options.catalog), options.progress, mean, labels
    )
    return page, [_saved(item, png) for item in pictures] if png is not None else []


def _saved(item: Any, folder: Path) -> Path:
    path = folder / f"{item.name}.png"
    try:
        path.write_bytes(item.png)
    except OSError as error:
        raise UsageError(f"--png: {path} cannot be written ({error.strerror})") from None
    return path


def write(
    model: str,
    picture: Path | None,
    caffe: Engine | None,
    models: Catalog,
    progress: Progress,
    mean: str | None = None,
    labels: Path | None = None,
    compared: Compared | None = None,
) -> tuple[Path, list[Any]]:
    """Make the page, then give it its name; (its path, its pictures).

    `compared`: the artifact's module and dump, where they are at hand; else they are read.
    """
    from decant.loader.artifact import bundle
    from decant.loader.pictures.recipe import open_picture
    from decant.loader.report import looking

    if picture is not None:
        # a wrong path is told before anything that the net lacks
        open_picture(picture)
    folder = bundle.folder_of(model)
    manifest = bundle.read_manifest(folder)
    net = _module(folder, compared)
    seen = None
    chosen = picture or _bundled(manifest, models)
    if chosen is not None:
        # what was not asked for need not be there
        with nullcontext() if picture or caffe else suppress(DecantError):
            seen = _seen(recipe_of(folder, manifest, mean), chosen)
            try:
                found = open_classifier(model, mean, labels, models, progress)
                _classify(seen, found, net, caffe, progress)
            except NoClassifier as error:
                if caffe:
                    raise
                seen.note = error.message
    elif caffe:
        raise UsageError("--engine caffe: real Caffe needs a picture to look at: --picture")
    with progress.task("drawing the report"):
        dump = compared.caffe if compared else None
        dump = dump or _dump(folder, manifest, models, progress)
        made = looking.make(folder, net, seen, dump)
    part = folder.parent / f".{folder.name}.{os.getpid()}.html"
    try:
        part.write_text(made.html, encoding="utf-8")
        os.replace(part, folder / PAGE)
    finally:
        part.unlink(missing_ok=True)
    return folder / PAGE, made.pictures


def _seen(recipe: Recipe, picture: Path) -> ClassifiedPicture:
    """The picture's centre, to look at and for the net."""
    from decant.loader.pictures.recipe import crops, prepare, read_picture
    from decant.loader.report.looking import ClassifiedPicture

    whole = read_picture(picture, recipe)
    batch = crops(prepare(whole, recipe), recipe.crop)
    return ClassifiedPicture(picture.name, crops(whole, recipe.crop)[0], batch)


def _classify(
    seen: ClassifiedPicture,
    found: Classifier,
    net: nn.Module,
    caffe: Engine | None,
    progress: Progress,
) -> None:
    """Add the best classes; raises NoClassifier where the net answers with something else."""
    ours = from_torch(net, found.manifest, seen.prepared, "cpu")[0]
    best = np.argsort(-ours, kind="stable")[:TOP]
    seen.labels = [found.name(int(n)) for n in best]
    seen.ours = [float(ours[n]) for n in best]
    if caffe:
        theirs = caffe_beside(caffe, found, seen.prepared, progress)[0]
        seen.caffe = [float(theirs[n]) for n in best]


def _module(folder: Path, compared: Compared | None) -> nn.Module:
    """On the CPU, where the report's pictures are drawn."""
    from decant.loader.artifact.loading import load

    if compared is not None and compared.module is not None:
        return compared.module.cpu()
    return load(folder.resolve())[0]


def _bundled(manifest: Manifest, models: Catalog) -> Path | None:
    """The first picture of a catalog model that brings its own."""
    folder = bundled_pictures(manifest, models)
    return next(iter(sorted(folder.rglob("*.png"))), None) if folder else None


def _dump(folder: Path, manifest: Manifest, models: Catalog, progress: Progress) -> Dump | None:
    """A page can do without Caffe's activations."""
    try:
        return parity_dump(folder, manifest, models)
    except BadInput as error:
        progress.note(f"without Caffe's activations: {error.message}")
        return None
