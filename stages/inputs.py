"""What a stage works on: a model of the catalog, files at hand, or both."""

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
from decant.loader.definition.reading import STOCK, Reading
from decant.loader.errors import BadInput, UsageError
from decant.loader.progress import Progress
from decant.stages.options import DEFAULTS, Options

if TYPE_CHECKING:
    from decant.loader.catalog.models import Model

BUNDLED = "lenet_digits"
Place = str | os.PathLike[str]


@dataclass(frozen=True)
class Source:
    """A net as its owner names it: a model of the catalog, its two files, or one of them.

    `model` with files: these instead of downloads. Without `prototxt` the definition is the one that
    the caffemodel holds. `name`: what the artifact is called; the model's name or the caffemodel's
    unless given. Nothing at all is the bundled model.
    """

    model: str | None = None
    prototxt: Place | None = None
    caffemodel: Place | None = None
    name: str | None = None


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


def resolve(source: str | Source = BUNDLED, options: Options = DEFAULTS) -> Inputs:
    """Find or fetch the files; a text is a model of the catalog.

    Raises BadInput, UsageError, CatalogError or FetchError.
    """
    source = Source(source) if isinstance(source, str) else source
    if not isinstance(source, Source):
        raise UsageError(
            f"{source!r}: give a model's name, or Source(prototxt=..., caffemodel=...)"
        )
    prototxt, caffemodel = _file(source.prototxt), _file(source.caffemodel)
    if prototxt is not None and caffemodel is not None:
        refuse_exchanged(prototxt, caffemodel)
    definition = prototxt or caffemodel
    if source.model is not None or definition is None:
        return _from_catalog(source, prototxt, caffemodel, options)
    name = valid_name(source.name or _stem(caffemodel or definition))
    if prototxt is None:
        definition = _inside(definition, options.progress)
    return Inputs(name, None, definition, caffemodel, reading=options.reading.over())


def _file(place: Place | None) -> Path | None:
    """Raises BadInput where no file is."""
    path = None if place is None else Path(place)
    if path is not None and not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise BadInput(f"{path}: {what}; give the path of a file")
    return path


def _from_catalog(
    source: Source, prototxt: Path | None, caffemodel: Path | None, options: Options
) -> Inputs:
    from decant.loader.catalog.fetch import resolve as fetch
    from decant.loader.catalog.models import load_catalog

    model = source.model or BUNDLED
    models = load_catalog(options.catalog)
    entry = models.model(model)
    reading = options.reading.over(entry.reading.frozen() if entry.reading else STOCK)
    files = fetch(entry, models, options.progress, prototxt=prototxt, caffemodel=caffemodel)
    for note in files.notes:
        options.progress.note(note)
    reference = models.local(entry.reference_dump) if entry.reference_dump else None
    own = valid_name(source.name or model)
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
    path = folder / f"{_stem(caffemodel)}.prototxt"
    os.replace(file.name, path)
    progress.note(f"{caffemodel.name}: no --prototxt: the definition inside it is taken ({path})")
    return path


def _stem(path: Path) -> str:
    """`net.caffemodel` and `net.caffemodel.h5` are both called net."""
    return path.name.removesuffix(".h5").rsplit(".", 1)[0]


def valid_name(name: str) -> str:
    """A name becomes a folder: one plain path component. Raises UsageError for any other."""
    if name in ("", ".", "..") or any(letter in name for letter in "/\\\0") or name.startswith("-"):
        raise UsageError(f"--name {name!r}: use letters, digits, '.', '_' and '-'")
    return name
