"""What a command works on: a model of the catalog, files at hand, or both."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from decant.loader.definition.not_a_net import refuse_exchanged
from decant.loader.definition.reading import NOTHING_ASKED, STOCK, Asked, Reading
from decant.loader.errors import BadInput, UsageError
from decant.loader.progress import Progress

if TYPE_CHECKING:
    from decant.loader.catalog.models import Model

BUNDLED = "lenet_digits"


@dataclass(frozen=True)
class Inputs:
    """The two files of a net; `model` is None for a net that is in no catalog.

    `reference`: a dump made by real Caffe that the catalog brings along. `reading`: how the definition
    is read.
    """

    name: str
    model: Model | None
    prototxt: Path
    caffemodel: Path | None
    reference: Path | None = None
    reading: Reading = STOCK

    @cached_property
    def prototxt_sha256(self) -> str:
        """Of the file's bytes."""
        return sha256(self.prototxt)

    @cached_property
    def caffemodel_digest(self) -> Digest:
        """Of the file's bytes, computed beside whatever else is done until somebody asks for it."""
        return Digest(self.caffemodel)


class Digest:
    """A file's sha256, computed in a thread of its own; "" for no file."""

    def __init__(self, path: Path | None) -> None:
        self._text = ""
        self._error: OSError | None = None
        # a daemon: Ctrl-C does not wait for it
        self._thread = Thread(target=self._run, args=(path,), daemon=True)
        self._thread.start()

    def _run(self, path: Path | None) -> None:
        try:
            self._text = sha256(path) if path else ""
        except OSError as error:
            self._error = error

    def __call__(self) -> str:
        """The hex digest, waited for. Raises BadInput if the file could not be read."""
        self._thread.join()
        if self._error is not None:
            raise BadInput(
                f"{self._error.filename}: cannot be read ({self._error.strerror}); give another file"
            )
        return self._text


def sha256(path: Path) -> str:
    """Hex digest of a file, in constant memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def resolve(
    model: str | None,
    prototxt: Path | None,
    caffemodel: Path | None,
    name: str | None,
    catalog: Path | None,
    progress: Progress,
    asked: Asked = NOTHING_ASKED,
) -> Inputs:
    """Find or fetch the files; no MODEL and no file means the bundled model."""
    for file in (prototxt, caffemodel):
        if file is not None and not file.is_file():
            what = "a folder" if file.is_dir() else "no such file"
            raise BadInput(f"{file}: {what}; give the path of a file")
    if prototxt is not None and caffemodel is not None:
        refuse_exchanged(prototxt, caffemodel)
    if model is None and prototxt is not None:
        own = valid_name(name or _stem(prototxt, caffemodel))
        return Inputs(own, None, prototxt, caffemodel, reading=asked.over())
    if model is None and caffemodel is not None:
        own = valid_name(name or _stem(caffemodel, None))
        return Inputs(own, None, _inside(caffemodel, progress), caffemodel, reading=asked.over())
    return _from_catalog(model or BUNDLED, prototxt, caffemodel, name, catalog, progress, asked)


def _from_catalog(
    model: str,
    prototxt: Path | None,
    caffemodel: Path | None,
    name: str | None,
    catalog: Path | None,
    progress: Progress,
    asked: Asked,
) -> Inputs:
    from decant.loader.catalog.fetch import resolve as fetch
    from decant.loader.catalog.models import load_catalog

    models = load_catalog(catalog)
    entry = models.model(model)
    reading = asked.over(entry.reading.frozen() if entry.reading else STOCK)
    files = fetch(entry, models, progress, prototxt=prototxt, caffemodel=caffemodel)
    for note in files.notes:
        progress.note(note)
    reference = models.local(entry.reference_dump) if entry.reference_dump else None
    own = valid_name(name or model)
    return Inputs(own, entry, files.prototxt, files.caffemodel, reference, reading)


def _inside(caffemodel: Path, progress: Progress) -> Path:
    """The definition that the caffemodel itself holds, as a file of the cache."""
    from decant.loader.catalog.cache import cache_folder
    from decant.loader.definition.from_weights import definition_of

    text = definition_of(caffemodel).encode()
    folder = cache_folder() / "definitions" / hashlib.sha256(text).hexdigest()[:32]
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix="new-", delete=False) as file:
        file.write(text)
    path = folder / f"{_stem(caffemodel, None)}.prototxt"
    os.replace(file.name, path)
    progress.note(f"{caffemodel.name}: no --prototxt: the definition inside it is taken ({path})")
    return path


def _stem(prototxt: Path, caffemodel: Path | None) -> str:
    """`net.caffemodel` and `net.caffemodel.h5` are both called net."""
    return (caffemodel or prototxt).name.removesuffix(".h5").rsplit(".", 1)[0]


def valid_name(name: str) -> str:
    """A name becomes a folder: one plain path component. Raises UsageError for any other."""
    if name in ("", ".", "..") or any(letter in name for letter in "/\\\0") or name.startswith("-"):
        raise UsageError(f"--name {name!r}: use letters, digits, '.', '_' and '-'")
    return name
