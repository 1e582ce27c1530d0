"""`validate --gpu`: what goes into the container, and what is told of what comes out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from decant.commands.validate import command
from decant.engines import gpu, torch_container
from decant.engines.docker.container import Outcome, Run
from decant.loader.errors import UsageError
from decant.stages.convert import convert
from decant.stages.options import Options
from decant.stages.validate import validate
from tests.commands.test_cli import MODEL, ROOT

ANSWER = {
    "artifact": "/io/in/lenet_digits",
    "hashes": "match",
    "parity": "passed",
    "accuracy": {"pictures": 40, "loss": 0.1, "top1": 97.5, "top5": 100.0},
    "per_class": None,
    "caffe_top1_agrees": None,
}


@pytest.fixture
def artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DECANT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(gpu, "require", lambda: None)
    return convert(options=Options(out=tmp_path, engine="reader", parity=False)).folder


def in_place_of_the_container(
    monkeypatch: pytest.MonkeyPatch, status: int, stdout: str, log: str = ""
) -> list[tuple[Sequence[str], Mapping[str, Path | bytes]]]:
    seen = []

    def run(words: Sequence[str], files: Any, fetch: Mapping[str, Path], *_: Any) -> Any:
        seen.append((words, files))
        for place in fetch.values():
            place.write_text(stdout)
        return Outcome(status, log, False, 1.0, tuple(fetch)), Run("", (), {}, {}, 0)

    monkeypatch.setattr(torch_container, "_run", run)
    return seen


def asked(artifact: Path, catalog: Path | None, as_json: bool) -> None:
    options = Options(gpu=True, catalog=catalog)
    command(
        names=[str(artifact)], data=None, limit=40, out=None, workers=None, per_class=False,
        options=options, as_json=as_json,
    )  # fmt: skip


def test_the_catalog_and_json_are_handed_on(
    artifact: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    catalog = tmp_path / "own.yaml"
    text = (ROOT / "models.yaml").read_text()
    catalog.write_text(text.replace("models/lenet_digits/", f"{MODEL}/"))
    stdout = json.dumps({"ok": True, "artifacts": [ANSWER]})
    seen = in_place_of_the_container(monkeypatch, 0, stdout)
    asked(artifact, catalog, as_json=True)
    words, files = seen[0]
    assert "--json" in words and words[words.index("--catalog") + 1] == "/io/in/catalog.yaml"
    assert files["catalog.yaml"] == catalog
    # the pictures that the model brings along are beside the catalog, which the container is not
    assert words[words.index("--data") + 1] == "/io/in/data"
    assert sum(name.startswith("data/") for name in files) > 300
    told = json.loads(capsys.readouterr().out)
    assert told == {"ok": True, "artifacts": [{**ANSWER, "artifact": str(artifact)}]}


def test_without_json_it_is_said_as_without_a_container(
    artifact: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    in_place_of_the_container(monkeypatch, 0, json.dumps({"ok": True, "artifacts": [ANSWER]}))
    asked(artifact, None, as_json=False)
    printed = capsys.readouterr().out
    assert "lenet_digits: hashes match; parity passed" in printed
    assert "40 pictures: loss 0.1000, top-1 97.50 %, top-5 100.00 %" in printed


def test_one_name_is_not_taken_for_a_list_of_letters() -> None:
    with pytest.raises(UsageError, match="names 'lenet_digits': give a list"):
        validate("lenet_digits")
