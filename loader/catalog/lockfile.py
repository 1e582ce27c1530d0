"""Checksums that nobody published: recorded at the first download, demanded ever after."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from decant.loader import machine
from decant.loader.catalog.models import DEFAULT, Source
from decant.loader.errors import FetchError
from decant.loader.progress import Progress

Records = dict[str, dict[str, dict[str, Any]]]


def path_for(catalog: Path) -> Path:
    """models.yaml -> models.lock.json, beside it; of the installed package's own, in the user's folder.

    Nothing is written into a package: an update would lose it, and it is often not the user's.
    """
    name = catalog.name.rsplit(".", 1)[0] + ".lock.json"
    if catalog.resolve() == DEFAULT and not machine.is_checkout():
        import platformdirs

        return Path(platformdirs.user_data_dir("decant")) / name
    return catalog.with_name(name)


def completed(catalog: Path, model: str, what: str, source: Source) -> Source:
    """The source with what was recorded, if nothing was published: mirrors are held to it."""
    if source.hashes:
        return source
    known = _read(path_for(catalog)).get(model, {}).get(what)
    return source.model_copy(update={"sha256": known["sha256"]}) if known else source


def record(catalog: Path, model: str, what: str, file: Path, progress: Progress) -> None:
    """Remember a first download. A folder that is not ours to write in is a note, not an error."""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    lock = path_for(catalog)
    try:
        # the catalog itself is what processes that record at once take turns on
        with catalog.open("rb") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            records = _read(lock)
            records.setdefault(model, {})[what] = {"sha256": digest, "size": file.stat().st_size}
            _write(lock, records)
    except OSError as error:
        progress.note(
            f"{model}: the {what}'s sha256 {digest} could not be recorded in {lock} "
            f"({error.strerror}): a later change of the file would go unnoticed"
        )


def _read(lock: Path) -> Records:
    try:
        records = json.loads(lock.read_text())
    except FileNotFoundError:
        return {}
    except ValueError:
        raise FetchError(f"{lock}: not JSON; restore it or delete it") from None
    if not _well_formed(records):
        raise FetchError(f"{lock}: not a record of models' files; restore it or delete it")
    found: Records = records
    return found


def _well_formed(records: Any) -> bool:
    """model -> what -> {"sha256": 64 hex digits, "size": bytes}, and nothing else."""
    if not isinstance(records, dict) or not all(isinstance(r, dict) for r in records.values()):
        return False
    entries = [entry for files in records.values() for entry in files.values()]
    return all(
        isinstance(entry, dict)
        and set(entry) == {"sha256", "size"}
        and re.fullmatch("[0-9a-f]{64}", str(entry["sha256"]))
        and type(entry["size"]) is int
        for entry in entries
    )


def _write(lock: Path, records: Records) -> None:
    lock.parent.mkdir(parents=True, exist_ok=True)
    part = lock.with_name(f"{lock.name}.{os.getpid()}.part")
    part.write_text(json.dumps(records, indent=1, sort_keys=True) + "\n")
    os.replace(part, lock)
