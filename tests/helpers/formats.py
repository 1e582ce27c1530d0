"""Manifests as earlier versions wrote them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from decant.loader.artifact import formats
from decant.loader.artifact.manifest import Manifest

WRITTEN = Path(__file__).resolve().parents[1] / "loader/artifact/formats"


def text(name: str) -> str:
    return (WRITTEN / f"{name}.json").read_text("utf-8")


def tree(name: str = "3") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text(name))
    return found


def read(found: dict[str, Any]) -> Manifest:
    return formats.manifest(json.dumps(found), "x/manifest.json")
