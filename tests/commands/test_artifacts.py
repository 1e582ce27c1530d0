"""`artifacts`: one list of hashes, and what could not be fetched is named."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from decant.commands.artifacts import command
from decant.loader.artifact.bundle import SUMS
from decant.loader.errors import FetchError, UsageError
from decant.stages import convert as converting
from decant.stages.options import Options
from tests.helpers import small_catalog


@pytest.fixture
def options(tmp_path: Path) -> Options:
    models = {name: small_catalog.entry() for name in ("one", "gone", "two")}
    return Options(catalog=small_catalog.write(tmp_path, models))


def in_place_of_convert(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def convert(name: str, options: Options) -> Any:
        if name == "gone":
            raise error
        assert options.out is not None
        folder = options.out / name
        folder.mkdir(parents=True)
        digest = hashlib.sha256(name.encode()).hexdigest()
        (folder / SUMS).write_text(f"{digest}  model.py\n")

    monkeypatch.setattr(converting, "convert", convert)


def test_hashes_of_all_and_the_name_of_what_is_not_there(
    options: Options,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    in_place_of_convert(monkeypatch, FetchError("gone: no mirror"))
    command(out=tmp_path / "out", options=options, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["converted"] == ["one", "two"] and found["not_fetched"] == {
        "gone": "gone: no mirror"
    }
    wanted = [
        f"{hashlib.sha256(name.encode()).hexdigest()}  {name}/model.py" for name in ("one", "two")
    ]
    assert (tmp_path / "out" / SUMS).read_text().splitlines() == wanted


def test_any_other_error_ends_it(
    options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_place_of_convert(monkeypatch, UsageError("no"))
    with pytest.raises(UsageError):
        command(out=tmp_path / "out", options=options, as_json=False)
    assert not (tmp_path / "out" / SUMS).exists()
