"""`list`: the catalog, and what of it is converted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from decant.commands.list import command
from tests.helpers import small_catalog


def test_a_row_a_model_and_what_is_converted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = small_catalog.write(
        tmp_path, {"tiny": small_catalog.entry(), "other": small_catalog.entry(licence="odd")}
    )
    (tmp_path / "out/tiny").mkdir(parents=True)
    (tmp_path / "out/tiny/manifest.json").touch()
    command(out=tmp_path / "out", catalog=path, as_json=True)
    found = json.loads(capsys.readouterr().out)["models"]
    assert [(row["name"], row["converted"]) for row in found] == [("tiny", True), ("other", False)]
    assert found[0]["input"] == [1, 16, 16] and found[1]["licence"] == "odd"
    command(out=tmp_path / "out", catalog=path, as_json=False)
    _, _, tiny, other = capsys.readouterr().out.splitlines()
    assert tiny.split() == ["tiny", "lenet", "1x16x16", "yes", "none"]
    assert other.split() == ["other", "lenet", "1x16x16", "odd"]
