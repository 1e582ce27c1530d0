"""The artifact folder: written whole or not at all, and checked again at any time."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from decant.loader.artifact import formats, safetensors_file
from decant.loader.artifact.manifest import Description, Manifest, StoredTensor
from decant.loader.artifact.records import Build, ParityRecord
from decant.loader.errors import ArtifactMissing, IntegrityError, UsageError
from decant.loader.machine import convert_command
from decant.loader.pictures import MEAN_IMAGE

REPRODUCIBLE = ("manifest.json", "model.py", "model.safetensors")
VOLATILE = ("build.json", "parity.json")
SUMS = "SHA256SUMS"
# the definition, where none was given and it came out of the caffemodel
PROTOTXT = "net.prototxt"
OPTIONAL = (MEAN_IMAGE, PROTOTXT)

_Kept = TypeVar("_Kept", Build, ParityRecord)


def write(
    folder: Path,
    *,
    tensors: Mapping[str, np.ndarray],
    source: str,
    manifest: Description,
    build: Mapping[str, Any],
    parity: Mapping[str, Any],
    mean_image: np.ndarray | None = None,
    prototxt: str = "",
) -> None:
    """Write beside, then swap: a failed conversion leaves the old artifact as it was.

    The manifest gets the hashes of the other reproducible files and of every tensor. `mean_image`:
    C x H x W, goes into mean.npy; `prototxt` into net.prototxt.
    """
    refuse_place(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        weights = safetensors_file.write(part / "model.safetensors", tensors)
        (part / "model.py").write_bytes(source.encode())
        files = {
            "model.py": hashlib.sha256(source.encode()).hexdigest(),
            "model.safetensors": weights,
        }
        if mean_image is not None:
            np.save(part / MEAN_IMAGE, mean_image, allow_pickle=False)
            files[MEAN_IMAGE] = file_sha256(part / MEAN_IMAGE)
        if prototxt:
            (part / PROTOTXT).write_bytes(prototxt.encode())
            files[PROTOTXT] = file_sha256(part / PROTOTXT)
        stored = tuple(
            StoredTensor(
                key=key,
                dtype=tensors[key].dtype.name,
                shape=tensors[key].shape,
                sha256=safetensors_file.sha256(tensors[key]),
            )
            for key in sorted(tensors)
        )
        complete = Manifest(**dict(manifest), files=files, tensors=stored)
        _write_json(part / "manifest.json", complete.to_json())
        _write_json(part / "build.json", build)
        _write_json(part / "parity.json", parity)
        (part / SUMS).write_text(_sums(part))
        os.chmod(part, 0o777 & ~_umask())
        swap(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def refuse_place(folder: Path) -> None:
    """Raise UsageError where no artifact can be written.

    An artifact may be replaced; a folder of somebody's files may not.
    """
    there = next(place for place in folder.absolute().parents if os.path.lexists(place))
    if os.path.lexists(folder) and not folder.is_dir():
        there = folder
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"--out: {there} is not a folder that can be written; choose another")
    if folder.exists() and not (folder / "manifest.json").is_file() and any(folder.iterdir()):
        raise UsageError(
            f"{folder} is not an artifact and is not empty: choose another --out or --name"
        )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    path.write_bytes(text.encode() + b"\n")


def _sums(folder: Path) -> str:
    names = sorted([*REPRODUCIBLE, *(name for name in OPTIONAL if (folder / name).exists())])
    return "".join(f"{file_sha256(folder / name)}  {name}\n" for name in names)


def file_sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def swap(part: Path, folder: Path) -> None:
    """The old one steps aside until the new one has its name."""
    if not folder.exists():
        os.rename(part, folder)
        return
    old = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.old."))
    os.rename(folder, old / "artifact")
    try:
        os.rename(part, folder)
    except BaseException:
        os.rename(old / "artifact", folder)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def folder_of(name: str | os.PathLike[str]) -> Path:
    """A name is looked up in $DECANT_ARTIFACTS, else ./artifacts; a path is taken as it is."""
    path = Path(name)
    if len(path.parts) == 1 and not (path / "manifest.json").exists():
        return place_of_artifacts() / path
    return path


def place_of_artifacts() -> Path:
    """$DECANT_ARTIFACTS, else ./artifacts."""
    return Path(os.environ.get("DECANT_ARTIFACTS") or "artifacts")


def read_manifest(folder: Path) -> Manifest:
    """manifest.json, of any format that is read.

    Raises ArtifactMissing, whose text is the command that makes it; or IntegrityError with every key
    that is wrong.
    """
    text = _text(folder / "manifest.json")
    if text is None:
        raise ArtifactMissing(f"no artifact in {folder}: {convert_command(folder.name)}")
    return formats.manifest(text, f"{folder}/manifest.json")


def read_build(folder: Path) -> Build | None:
    """build.json; None where it is missing. Raises IntegrityError for damage."""
    return _record(Build, folder / "build.json")


def read_parity(folder: Path) -> ParityRecord | None:
    """parity.json; None where it is missing. Raises IntegrityError for damage."""
    return _record(ParityRecord, folder / "parity.json")


def _record(kind: type[_Kept], path: Path) -> _Kept | None:
    text = _text(path)
    if text is None:
        return None
    return formats.checked(kind, formats.tree_of(text, str(path)), str(path))


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        raise IntegrityError(f"{path}: damaged ({error}); convert it again") from None


def verify(folder: Path) -> Manifest:
    """Hash every file and every tensor again; returns the manifest.

    Raises ArtifactMissing, or IntegrityError with every difference.
    """
    manifest = read_manifest(folder)
    wrong = []
    try:
        lines = (folder / SUMS).read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    pairs = [line.split("  ", 1) for line in lines if "  " in line]
    listed = {name: digest for digest, name in pairs}
    optional = [name for name in OPTIONAL if name in manifest.files]
    for name in [*REPRODUCIBLE, *optional]:
        path = folder / name
        if not path.is_file():
            wrong.append(f"{name} is missing")
        elif listed.get(name) != file_sha256(path):
            wrong.append(f"{name} is not what {SUMS} says")
        elif manifest.files.get(name, listed[name]) != listed[name]:
            wrong.append(f"{name} is not what manifest.json says")
    expected = {*REPRODUCIBLE, *VOLATILE, SUMS, "report.html", "__pycache__", *optional}
    wrong += [f"{x.name} does not belong here" for x in folder.iterdir() if x.name not in expected]
    if not wrong:
        wrong += _wrong_tensors(folder / "model.safetensors", manifest.tensors)
    if wrong:
        named = [f"{folder}: {line}" for line in wrong]
        raise IntegrityError(f"{named[0]}; convert it again", named)
    return manifest


def _wrong_tensors(path: Path, listed: Sequence[StoredTensor]) -> list[str]:
    from safetensors import SafetensorError, safe_open

    wrong = []
    try:
        with safe_open(path, "numpy") as file:
            keys = set(file.keys())
            wrong += [f"unexpected tensor {key!r}" for key in keys - {t.key for t in listed}]
            for tensor in listed:
                if tensor.key not in keys:
                    wrong.append(f"tensor {tensor.key!r} is missing")
                elif safetensors_file.sha256(file.get_tensor(tensor.key)) != tensor.sha256:
                    wrong.append(f"tensor {tensor.key!r} has other values")
    except (SafetensorError, OSError) as error:
        wrong.append(f"{path.name}: {error}")
    return wrong
