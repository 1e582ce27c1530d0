"""Checksums that nobody published: recorded at the first download, demanded ever after."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from loader.catalog import Source
from loader.errors import FetchError


def path_for(catalog: Path) -> Path:
    """models.yaml -> models.lock.json, beside it."""
    return catalog.with_name(catalog.name.rsplit(".", 1)[0] + ".lock.json")


def check(catalog: Path, model: str, what: str, file: Path, source: Source) -> None:
    """Compare with the record, or make it. Files with a published hash need none."""
    if source.hashes:
        return
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    lock = path_for(catalog)
    records = _read(lock)
    found = {"sha256": digest, "size": file.stat().st_size}
    known = records.setdefault(model, {}).setdefault(what, found)
    if known != found:
        file.unlink()
        raise FetchError(
            f"{model}: the {what} is not the one first downloaded: sha256 {digest}, "
            f"{lock.name} says {known['sha256']}; the file was deleted. If the publisher changed "
            f"it on purpose, remove the entry from {lock.name}"
        )
    _write(lock, records)


def _read(lock: Path) -> dict[str, dict[str, dict[str, object]]]:
    try:
        records = json.loads(lock.read_text())
    except FileNotFoundError:
        return {}
    except ValueError:
        raise FetchError(f"{lock}: not JSON; restore it or delete it") from None
    return records if isinstance(records, dict) else {}


def _write(lock: Path, records: dict[str, dict[str, dict[str, object]]]) -> None:
    text = json.dumps(records, indent=1, sort_keys=True) + "\n"
    if lock.exists() and lock.read_text() == text:
        return
    part = lock.with_name(f"{lock.name}.{os.getpid()}.part")
    part.write_text(text)
    os.replace(part, lock)
