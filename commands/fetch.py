"""`fetch`: a model's files into the cache, checked."""

from __future__ import annotations

from pathlib import Path

from decant.commands.run import emit
from decant.loader.catalog import fetch as fetching
from decant.loader.catalog.models import load_catalog
from decant.loader.errors import FetchError
from decant.loader.progress import for_terminal


def command(*, models: list[str], catalog: Path | None, as_json: bool) -> None:
    """Fetch what is named, or all; every model is tried before the failures are raised."""
    progress = for_terminal()
    entries = load_catalog(catalog)
    chosen = [entries.model(name) for name in models] or list(entries.models.values())
    done, failed = {}, []
    for entry in chosen:
        try:
            files = fetching.resolve(entry, entries, progress)
        except FetchError as error:
            failed.append(error.message)
            continue
        done[entry.name] = {"prototxt": str(files.prototxt), "caffemodel": str(files.caffemodel)}
        if not as_json:
            print(f"{entry.name}: {files.caffemodel}")
    if failed:
        raise FetchError(failed[0], failed[1:])
    if as_json:
        emit({"ok": True, "files": done})
