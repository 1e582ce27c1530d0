"""What an artifact was made of, where it is still at hand: Caffe's two files, the dump, pictures."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.inputs import sha256
from commands.stage_two import read_dump
from loader.errors import UsageError
from loader.progress import Progress

if TYPE_CHECKING:
    from dumper.dumpfile import Dump
    from loader.catalog import Catalog, Model


def caffe_files(
    folder: Path, manifest: dict[str, Any], models: Catalog, progress: Progress
) -> tuple[Path, Path]:
    """(prototxt, caffemodel): where `convert` had them, else the catalog's, fetched.

    Raises UsageError where neither place has the very files that the artifact was made of.
    """
    from loader.fetch import resolve

    build = _build(folder)
    places = [[Path(build.get(name) or "") for name in ("prototxt", "caffemodel")]]
    if _are(places[0], manifest):
        return places[0][0], places[0][1]
    entry = _entry(manifest, models)
    if entry is not None:
        files = resolve(entry, models, progress)
        places.append([files.prototxt, files.caffemodel])
        if _are(places[1], manifest):
            return files.prototxt, files.caffemodel
    wanted = " and ".join(str(path) for path in places[-1])
    raise UsageError(
        f"{folder.name}: real Caffe needs the files that it was made of, and {wanted} are not there "
        "any more, or others: convert it again"
    )


def parity_dump(folder: Path, manifest: dict[str, Any], models: Catalog) -> Dump | None:
    """Caffe's activations of this very net: the dump that build.json names, or the catalog's.

    Raises BadInput for a dump that is there and cannot be read.
    """
    entry = _entry(manifest, models)
    places = [_build(folder).get("parity_dump")]
    if entry is not None and entry.reference_dump:
        places.append(models.local(entry.reference_dump))
    for place in places:
        if place and Path(place).exists():
            dump = read_dump(Path(place))
            if dump.has_activations and _is_of(dump, manifest):
                return dump
    return None


def bundled_pictures(manifest: dict[str, Any], models: Catalog) -> Path | None:
    """The folder of labelled pictures that a catalog model brings along."""
    entry = _entry(manifest, models)
    return models.local(entry.validation) if entry and entry.validation else None


def _entry(manifest: dict[str, Any], models: Catalog) -> Model | None:
    return models.models.get(manifest["model"] or "")


def _build(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "build.json").read_text()))


def _are(files: list[Path], manifest: dict[str, Any]) -> bool:
    if not all(path.is_file() for path in files):
        return False
    text = files[0].read_bytes().decode(errors="replace")
    found = (hashlib.sha256(text.encode()).hexdigest(), sha256(files[1]))
    return found == _digests(manifest)


def _is_of(dump: Dump, manifest: dict[str, Any]) -> bool:
    text = hashlib.sha256(dump.prototxt.encode()).hexdigest()
    return (text, dump.caffemodel_sha256) == _digests(manifest)


def _digests(manifest: dict[str, Any]) -> tuple[str, str]:
    """Of the definition's text and of the weights' file."""
    caffe = manifest["caffe"]
    return caffe["prototxt_sha256"], caffe["caffemodel_sha256"] or ""
