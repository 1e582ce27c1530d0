"""A catalog of one small model, to be spoilt by tests."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

from decant.loader.catalog.models import Catalog, load_catalog

ENTRY: dict[str, Any] = {
    "module": "lenet",
    "prototxt": {"file": "deploy.prototxt"},
    "caffemodel": {"urls": ["https://example.org/tiny.caffemodel"], "sha256": "ab" * 32},
    "input": {"blob": "data", "shape": [1, 16, 16]},
    "preprocessing": {"channel_order": "gray", "mean": [0.0], "resize": [16, 16]},
    "licence": "none",
    "citation": "none",
}


def entry(**changes: Any) -> dict[str, Any]:
    """A valid entry with some keys replaced."""
    return {**copy.deepcopy(ENTRY), **changes}


def write(folder: Path, models: dict[str, Any], name: str = "models.yaml") -> Path:
    """JSON is YAML, and leaves no doubt about types."""
    path = folder / name
    path.write_text(json.dumps({"models": models}, indent=1))
    return path


def catalog_of(folder: Path, caffemodel: dict[str, Any], **changes: Any) -> Catalog:
    """A catalog whose one model, `tiny`, has this caffemodel and a definition beside it."""
    (folder / "deploy.prototxt").write_text('name: "tiny"\n')
    return load_catalog(write(folder, {"tiny": entry(caffemodel=caffemodel, **changes)}))


def digests(data: bytes, *names: str) -> dict[str, str]:
    """`sha256=...` and so on, by hashlib."""
    return {name: hashlib.new(name, data).hexdigest() for name in names or ("sha256",)}
