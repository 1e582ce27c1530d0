"""`report`: an artifact as one page to look at, and as pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from commands.classify import (
    TOP,
    ask_caffe,
    ask_torch,
    average,
    open_classifier,
    prepared,
)  # fmt: skip
from commands.run import emit
from loader.errors import DecantError, UsageError
from loader.progress import Progress, for_terminal

if TYPE_CHECKING:
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
    progress = for_terminal()
    if engine not in ("none", "caffe"):
        raise UsageError(f"--engine {engine!r}: none or caffe")
    if png is not None:
        try:
            png.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--png {png}: give a folder ({error.strerror})") from None
    page, pictures = write(model, picture, engine, catalog, progress, mean, labels)
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
    catalog: Path | None,
    progress: Progress,
    mean: str | None = None,
    labels: Path | None = None,
) -> tuple[Path, list[Any]]:
    """Make the page, then give it its name; (its path, its pictures)."""
    from loader.loading import folder_of
    from loader.report import looking

    folder = folder_of(model)
    seen = _seen(model, picture, engine, catalog, progress, mean, labels)
    with progress.task("drawing the report"):
        made = looking.make(folder, seen)
    part = folder.parent / f".{folder.name}.{os.getpid()}.html"
    try:
        part.write_text(made.html, encoding="utf-8")
        os.replace(part, folder / PAGE)
    finally:
        part.unlink(missing_ok=True)
    return folder / PAGE, made.pictures


def _seen(
    model: str,
    picture: Path | None,
    engine: str,
    catalog: Path | None,
    progress: Progress,
    mean: str | None,
    labels: Path | None,
) -> Seen | None:
    """What the net makes of the picture; the bundled one where none is named."""
    from loader.recipe import centre, read_picture
    from loader.report.looking import Seen

    asked = picture is not None
    picture = picture or _bundled(model, catalog)
    if picture is None:
        if engine == "caffe":
            raise UsageError("--engine caffe: real Caffe needs a picture to look at: --picture")
        return None
    try:
        found = open_classifier(model, mean, labels, catalog, progress)
    except DecantError:
        if asked:
            raise
        return None
    batch, counts = prepared(found.recipe, [picture], False)
    whole = read_picture(picture, found.recipe)
    crop = found.recipe.crop
    if crop:
        top, left = centre(whole.shape[1:], crop)
        whole = whole[:, top : top + crop, left : left + crop]
    ours = average(ask_torch(found, batch, "cpu"), counts)[0]
    best = np.argsort(-ours, kind="stable")[:TOP]
    caffe = None
    if engine == "caffe":
        theirs = average(ask_caffe(found, batch, catalog, progress), counts)[0]
        caffe = [float(theirs[n]) for n in best]
    names = [found.name(int(n)) for n in best]
    return Seen(picture.name, whole, batch, names, [float(ours[n]) for n in best], caffe)


def _bundled(model: str, catalog: Path | None) -> Path | None:
    """The first validation picture of a catalog model that brings its own."""
    from loader import artifact
    from loader.catalog import load_catalog
    from loader.loading import folder_of

    models = load_catalog(catalog)
    entry = models.models.get(artifact.read_manifest(folder_of(model))["model"] or "")
    folder = models.local(entry.validation) if entry and entry.validation else None
    return next(iter(sorted(folder.rglob("*.png"))), None) if folder else None
