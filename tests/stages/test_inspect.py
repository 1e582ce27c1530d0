"""Where `inspect` looks: a file, an artifact, a model of the catalog, in this order."""

from __future__ import annotations

from pathlib import Path

import pytest

from decant.loader.errors import BadInput
from decant.stages.inspect import inspect
from decant.stages.options import Options
from tests.helpers import small_catalog
from tests.helpers.artifacts import write_lenet
from tests.helpers.converting import conv, input_layer


def test_a_name_is_a_file_then_an_artifact_then_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deploy.prototxt").write_text(
        input_layer("data", 1, 3, 8, 8) + conv("c", "data", "c")
    )
    catalog = small_catalog.write(tmp_path, {"tiny": small_catalog.entry()})
    options = Options(catalog=catalog)
    of_catalog = inspect("tiny", options)
    assert of_catalog.parameters == 4 * 3 * 9 + 4
    monkeypatch.setenv("DECANT_ARTIFACTS", str(tmp_path / "artifacts"))
    write_lenet(tmp_path / "artifacts/tiny")
    of_artifact = inspect("tiny", options)
    assert of_artifact.parameters == 160 + 4640 + 32832 + 650
    (tmp_path / "tiny").write_text(input_layer("data", 1, 1, 5, 5) + conv("c", "data", "c"))
    assert inspect("tiny", options).parameters == 4 * 9 + 4


def test_what_is_none_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("nobody", "none.prototxt", "some/where"):
        with pytest.raises(BadInput):
            inspect(name)
