"""Names of classes, from a file with one a line."""

from __future__ import annotations

import re
from pathlib import Path

from decant.loader.errors import BadInput


def read(path: Path) -> list[str]:
    """One class a line: `n01440764 tench, Tinca tinca`, `/a/airfield 0`, or a plain name."""
    try:
        lines = path.read_text("utf-8-sig").rstrip().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: not a list of labels ({error}); give one name a line") from None
    # a blank line inside is a class without a name: those behind it keep their numbers
    names = [_clean(line) for line in lines]
    if not any(names):
        raise BadInput(f"{path}: no labels in it; give one name a line")
    return names


def _clean(line: str) -> str:
    """Without the synset's number in front, or the class's own behind."""
    line = re.sub(r"^n\d{8} ", "", line.strip())
    return re.sub(r"^/[a-z0-9]/(.*?)(?:[ ,;]\d+)?$", r"\1", line)
