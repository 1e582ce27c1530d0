"""`validate --gpu`: what goes into the container, and what is told of what comes out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from decant.loader.errors import UsageError
from decant.stages.validate import validate
from tests.commands.test_cli import MODEL, ROOT
from tests.helpers.torch_container import artifact_for_gpu, asked, in_place_of_the_container

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
    return artifact_for_gpu(tmp_path, monkeypatch)


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
