"""An entry of models.yaml as text, appended to a catalog whose other bytes stay as they are."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from decant.loader.catalog.models import Catalog, load_catalog
from decant.loader.errors import CatalogError, UsageError

# models.yaml's own, so that an entry that is added looks like its neighbours
WIDTH = 120
INDENT = 2
# what needs no quotes, in braces neither, and is not a truth value
PLAIN = re.compile(r"(?!(?:true|false|null)$)[a-z_][a-z0-9_./-]*", re.IGNORECASE)

Entry = Mapping[str, Any]


def refuse_name(name: str, path: Path) -> None:
    """Raise UsageError for a name that the catalog has, or that no catalog may have."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UsageError(f"{name!r}: a model's name is lower-case letters, digits and _")
    if path.exists() and name in load_catalog(path).models:
        raise UsageError(f"{path.name} has a model {name!r} already; give another name")


def append(path: Path, name: str, entry: Entry) -> str:
    """Add the entry to the catalog, made if it is not there; returns the text that was added.

    The new file replaces the old one after the catalog's own check. Raises CatalogError.
    """
    path = path.resolve()
    try:
        with _turn(path.parent):
            refuse_name(name, path)
            old = path.read_bytes() if path.exists() else b"models:\n"
            added = text_of(name, entry, _indent(old, path.name))
            _replace(path, name, old, b"" if old.endswith(b"\n") else b"\n", added)
    except OSError as error:
        raise CatalogError(f"{path}: cannot be written ({error.strerror})") from None
    return added


@contextlib.contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Of two that add at once the second waits: the folder stays, the file is replaced."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _replace(path: Path, name: str, old: bytes, end: bytes, added: str) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".decant-") as folder:
        new = Path(folder) / path.name
        new.write_bytes(old + end + b"\n" + added.encode())
        before = load_catalog(path).models if path.exists() else {}
        found = _checked(new)
        if {key: model for key, model in found.models.items() if key != name} != before:
            raise CatalogError(
                f"{path.name}: an entry at its end would change others; add it by hand"
            )
        if path.exists():
            shutil.copymode(path, new)
        os.replace(new, path)


def _checked(new: Path) -> Catalog:
    """As `decant list` would read it."""
    try:
        return load_catalog(new)
    except CatalogError as error:
        raise CatalogError(f"the entry was not added: {error.message}", error.details) from None


def _indent(old: bytes, name: str) -> int:
    """The column of the names of models. Raises CatalogError for a catalog in braces."""
    root = yaml.compose(old.decode(), Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    ((_, models),) = root.value
    if not isinstance(models, yaml.MappingNode):
        return INDENT
    if root.flow_style or models.flow_style:
        raise CatalogError(f"{name}: its models are in braces; give each a line of its own")
    return int(models.value[0][0].start_mark.column)


def text_of(name: str, entry: Entry, indent: int = INDENT) -> str:
    """The entry as people write it: short things in braces, long ones a line for each part."""
    lines = [f"{' ' * indent}{name}:"]
    for key, value in entry.items():
        lines += _lines(key, value, indent + INDENT)
    return "\n".join(lines) + "\n"


def _lines(key: str, value: Any, indent: int) -> list[str]:
    start = f"{' ' * indent}{key}:"
    line = f"{start} {_flow(value)}"
    if len(line) <= WIDTH or not isinstance(value, (dict, list)):
        return [line]
    if isinstance(value, list):
        return [start, *(f"{' ' * (indent + INDENT)}- {_flow(item)}" for item in value)]
    return [start, *(x for part in value for x in _lines(part, value[part], indent + INDENT))]


def _flow(value: Any) -> str:
    """On one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if not isinstance(value, str):
        return json.dumps(value)
    if PLAIN.fullmatch(value) and not re.fullmatch("[0-9a-f]{64}", value):
        return value
    quoted: str = yaml.safe_dump(value, default_style='"', allow_unicode=True, width=float("inf"))
    return quoted.rstrip("\n")
