"""`fetch`: every model is tried before the failures are said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from decant.commands.fetch import command
from decant.loader.errors import FetchError, UsageError
from tests.helpers import small_catalog


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DECANT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "deploy.prototxt").write_text('name: "tiny"\n')
    (tmp_path / "here.caffemodel").write_bytes(b"\x0a\x04tiny")
    models = {
        name: small_catalog.entry(caffemodel={"urls": [f"file:{name}.caffemodel"]})
        for name in ("gone", "lost")
    }
    models["here"] = small_catalog.entry(caffemodel={"file": "here.caffemodel"})
    return small_catalog.write(tmp_path, models)


def test_what_is_there_is_fetched_though_others_fail(
    catalog: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FetchError) as caught:
        command(models=[], catalog=catalog, as_json=False)
    assert "gone" in caught.value.message and "lost" in caught.value.details[0]
    assert capsys.readouterr().out == f"here: {catalog.parent / 'here.caffemodel'}\n"


def test_files_as_json_and_a_name_that_nobody_has(
    catalog: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command(models=["here"], catalog=catalog, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["files"]["here"]["caffemodel"] == str(catalog.parent / "here.caffemodel")
    with pytest.raises(UsageError):
        command(models=["nobody"], catalog=catalog, as_json=True)
