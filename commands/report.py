"""`report`: an artifact as one page to look at, and as pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from commands.answers import average, from_torch
from commands.classify import TOP, caffe_beside, open_classifier, prepared
from commands.origins import bundled_pictures, parity_dump
from commands.run import emit
from loader.errors import BadInput, DecantError, UsageError
from loader.progress import Progress, for_terminal

if TYPE_CHECKING:
    from torch import nn

    from commands.classify import Classifier
    from dumper.dumpfile import Dump
    from loader.catalog import Catalog
    from loader.report.looking import Seen

PAGE = "report.html"


def report(
    *,
    model: str,
    picture: Path | None,
    png: Path | None,
    engine: str,
    mean: str | None,
    labels: Path | None,
    catalog: Path | None,
    as_json: bool,
) -> None:
    """Write report.html into the artifact's folder, and with `png` its pictures as files."""
    from loader.catalog import load_catalog

    progress = for_terminal()
    if engine not in ("none", "caffe"):
        raise UsageError(f"--engine {engine!r}: none or caffe")
    if png is not None:
        try:
            png.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--png {png}: give a folder ({error.strerror})") from None
    page, pictures = write(model, picture, engine, load_catalog(catalog), progress, mean, labels)
    files = []
    for item in pictures if png is not None else []:
        assert png is not None
        path = png / f"{item.name}.png"
        try:
            path.write_bytes(item.png)
        except OSError as error:
            raise UsageError(f"--png: {path} cannot be written ({error.strerror})") from None
        files.append(str(path))
    if as_json:
        emit({"ok": True, "report": str(page), "pictures": files})
    else:
        print(page)
        for file in files:
            print(file)


def write(
    model: str,
    picture: Path | None,
    engine: str,
    models: Catalog,
    progress: Progress,
    mean: str | None = None,
    labels: Path | None = None,
) -> tuple[Path, list[Any]]:
    """Make the page, then give it its name; (its path, its pictures)."""
    from loader import artifact
    from loader.loading import load
    from loader.report import looking

    folder = artifact.folder_of(model)
    manifest = artifact.read_manifest(folder)
    net, _ = load(folder.resolve())
    seen = None
    chosen = picture or _bundled(manifest, models)
    if chosen is not None:
        try:
            found = open_classifier(model, mean, labels, models, progress)
            seen = _seen(found, net, chosen, engine, progress)
        except DecantError:
            # what was not asked for need not be there
            if picture or engine == "caffe":
                raise
    elif engine == "caffe":
        raise UsageError("--engine caffe: real Caffe needs a picture to look at: --picture")
    with progress.task("drawing the report"):
        made = looking.make(folder, net, seen, _dump(folder, manifest, models, progress))
    part = folder.parent / f".{folder.name}.{os.getpid()}.html"
    try:
        part.write_text(made.html, encoding="utf-8")
        os.replace(part, folder / PAGE)
    finally:
        part.unlink(missing_ok=True)
    return folder / PAGE, made.pictures


def _seen(
    found: Classifier, net: nn.Module, picture: Path, engine: str, progress: Progress
) -> Seen:
    """What the net makes of the picture."""
    from loader.recipe import centre, read_picture
    from loader.report.looking import Seen

    batch, counts = prepared(found.recipe, [picture], False)
    whole = read_picture(picture, found.recipe)
    crop = found.recipe.crop
    if crop:
        top, left = centre(whole.shape[1:], crop)
        whole = whole[:, top : top + crop, left : left + crop]
    ours = average(from_torch(net, found.manifest, batch, "cpu"), counts)[0]
    best = np.argsort(-ours, kind="stable")[:TOP]
    caffe = None
    if engine == "caffe":
        theirs = average(caffe_beside(found, batch, progress), counts)[0]
        caffe = [float(theirs[n]) for n in best]
    names = [found.name(int(n)) for n in best]
    return Seen(picture.name, whole, batch, names, [float(ours[n]) for n in best], caffe)


def _bundled(manifest: dict[str, Any], models: Catalog) -> Path | None:
    """The first picture of a catalog model that brings its own."""
    folder = bundled_pictures(manifest, models)
    return next(iter(sorted(folder.rglob("*.png"))), None) if folder else None


def _dump(
    folder: Path, manifest: dict[str, Any], models: Catalog, progress: Progress
) -> Dump | None:
    """A page can do without Caffe's activations."""
    try:
        return parity_dump(folder, manifest, models)
    except BadInput as error:
        progress.note(f"without Caffe's activations: {error.message}")
        return None
