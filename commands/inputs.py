"""What a command works on: a model of the catalog, files at hand, or both."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from loader.errors import BadInput, UsageError
from loader.progress import Progress

if TYPE_CHECKING:
    from loader.catalog import Model

BUNDLED = "lenet_digits"


@dataclass(frozen=True)
class Inputs:
    """The two files of a net; `model` is None for a net that is in no catalog.

    `reference`: a dump made by real Caffe that the catalog brings along.
    """

    name: str
    model: Model | None
    prototxt: Path
    caffemodel: Path | None
    reference: Path | None = None

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
) -> Inputs:
    """Find or fetch the files; no MODEL and no file means the bundled model."""
    for file in (prototxt, caffemodel):
        if file is not None and not file.is_file():
            raise BadInput(f"{file}: no such file; give the path of an existing one")
    if model is None and prototxt is not None:
        return Inputs(valid_name(name or _stem(prototxt, caffemodel)), None, prototxt, caffemodel)
    if model is None and caffemodel is not None:
        raise UsageError(
            "--caffemodel needs --prototxt (or a MODEL of the catalog): weights alone say neither "
            "the order of the layers nor how they are connected"
        )
    return _from_catalog(model or BUNDLED, prototxt, caffemodel, name, catalog, progress)


def _from_catalog(
    model: str,
    prototxt: Path | None,
    caffemodel: Path | None,
    name: str | None,
    catalog: Path | None,
    progress: Progress,
) -> Inputs:
    from loader.catalog import load_catalog
    from loader.fetch import resolve as fetch

    models = load_catalog(catalog)
    entry = models.model(model)
    files = fetch(entry, models, progress, prototxt=prototxt, caffemodel=caffemodel)
    for note in files.notes:
        progress.note(note)
    reference = models.local(entry.reference_dump) if entry.reference_dump else None
    return Inputs(valid_name(name or model), entry, files.prototxt, files.caffemodel, reference)


def _stem(prototxt: Path, caffemodel: Path | None) -> str:
    """`net.caffemodel` and `net.caffemodel.h5` are both called net."""
    return (caffemodel or prototxt).name.removesuffix(".h5").rsplit(".", 1)[0]


def valid_name(name: str) -> str:
    """A name becomes a folder: one plain path component. Raises UsageError for any other."""
    if name in ("", ".", "..") or any(letter in name for letter in "/\\\0") or name.startswith("-"):
        raise UsageError(f"--name {name!r}: use letters, digits, '.', '_' and '-'")
    return name
