"""What an artifact was made of, where it is still at hand: Caffe's two files, the dump, pictures."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from decant.loader.artifact import bundle
from decant.loader.artifact.records import Build
from decant.loader.errors import BadInput, UsageError
from decant.loader.progress import Progress
from decant.stages.inputs import sha256
from decant.stages.load import read_dump

if TYPE_CHECKING:
    from decant.dumper.dumpfile import Dump
    from decant.loader.artifact.manifest import Manifest
    from decant.loader.catalog.models import Catalog, Model


@dataclass(frozen=True)
class CaffeFiles:
    """`caffemodel` None: a net without parameters."""

    prototxt: Path
    caffemodel: Path | None


def caffe_files(
    folder: Path, manifest: Manifest, models: Catalog, progress: Progress
) -> CaffeFiles:
    """Where `convert` had them, else the catalog's, fetched.

    Raises UsageError where neither place has the very files that the artifact was made of.
    """
    from decant.loader.catalog.fetch import resolve

    recorded = _recorded(folder)
    if recorded is not None and _are(recorded, manifest):
        return recorded
    entry = entry_of(manifest, models)
    # other weights are not fetched first, to be refused
    if entry is not None and entry.caffemodel.sha256 in (None, _digests(manifest)[1]):
        files = resolve(entry, models, progress)
        fetched = CaffeFiles(files.prototxt, files.caffemodel)
        if _are(fetched, manifest):
            return fetched
    where = "where they were is not recorded"
    if recorded is not None:
        then = [str(path) for path in (recorded.prototxt, recorded.caffemodel) if path]
        where = f"{' and '.join(then)}: not there any more, or changed since"
    raise UsageError(
        f"{folder.name}: real Caffe needs the files that it was made of: {where}; convert it again"
    )


def _recorded(folder: Path) -> CaffeFiles | None:
    build = bundle.read_build(folder) or Build()
    # what came out of the caffemodel lies in the artifact itself
    own = folder / bundle.PROTOTXT
    prototxt = str(own) if own.is_file() else build.prototxt
    if prototxt is None:
        return None
    return CaffeFiles(Path(prototxt), Path(build.caffemodel) if build.caffemodel else None)


def parity_dump(folder: Path, manifest: Manifest, models: Catalog) -> Dump | None:
    """Caffe's activations of this very net: the dump that build.json names, or the catalog's.

    Raises BadInput for a dump that cannot be read, where there is no other.
    """
    entry = entry_of(manifest, models)
    places = [(bundle.read_build(folder) or Build()).parity_dump]
    if entry is not None and entry.reference_dump:
        places.append(str(models.local(entry.reference_dump)))
    damaged = None
    for place in places:
        if not place or not os.path.exists(place):
            continue
        try:
            dump = read_dump(Path(place))
        except BadInput as error:
            damaged = error
            continue
        if dump.has_activations and _is_of(dump, manifest):
            return dump
    if damaged is not None:
        raise damaged
    return None


def bundled_pictures(manifest: Manifest, models: Catalog) -> Path | None:
    """The folder of labelled pictures that a catalog model brings along."""
    entry = entry_of(manifest, models)
    return models.local(entry.validation) if entry and entry.validation else None


def entry_of(manifest: Manifest, models: Catalog) -> Model | None:
    """The catalog's entry for the artifact, if it was made of one."""
    return models.models.get(manifest.model or "")


def _are(files: CaffeFiles, manifest: Manifest) -> bool:
    places = [path for path in (files.prototxt, files.caffemodel) if path is not None]
    if not all(map(os.path.isfile, places)):
        return False
    text = files.prototxt.read_bytes().decode(errors="replace")
    weights = sha256(files.caffemodel) if files.caffemodel else ""
    return (hashlib.sha256(text.encode()).hexdigest(), weights) == _digests(manifest)


def _is_of(dump: Dump, manifest: Manifest) -> bool:
    text = hashlib.sha256(dump.prototxt.encode()).hexdigest()
    return (text, dump.caffemodel_sha256) == _digests(manifest)


def _digests(manifest: Manifest) -> tuple[str, str]:
    """Of the definition's text and of the weights' file."""
    return manifest.caffe.prototxt_sha256, manifest.caffe.caffemodel_sha256 or ""
