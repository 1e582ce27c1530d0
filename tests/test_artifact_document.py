"""docs/artifact.md lists the manifest's keys, all of them."""

from __future__ import annotations

import re
from pathlib import Path

from decant.loader.artifact.manifest import FORMAT, Manifest

TEXT = (Path(__file__).resolve().parents[1] / "docs/artifact.md").read_text()


def test_every_key_and_format_is_in_the_document() -> None:
    table = TEXT.split("## manifest.json")[1]
    named = {
        key
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for key in re.findall(r"`(\w+)`", row)
    }
    assert named == set(Manifest.model_fields)
    assert re.findall(r"^\| (\d) \|", TEXT, re.MULTILINE) == [str(n) for n in range(1, FORMAT + 1)]
