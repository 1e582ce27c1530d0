"""Stage 2 in the torch container: whose error it is that comes out."""

from __future__ import annotations

from pathlib import Path

import pytest

from decant.commands.validate import command
from decant.engines import gpu
from decant.loader.errors import EngineError, ParityError
from decant.stages.convert import convert
from decant.stages.options import Options
from tests.stages.test_validate import in_place_of_the_container


@pytest.fixture
def artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DECANT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(gpu, "require", lambda: None)
    return convert(options=Options(out=tmp_path, engine="reader", parity=False)).folder


def asked(artifact: Path, catalog: Path | None, as_json: bool) -> None:
    options = Options(gpu=True, catalog=catalog)
    command(
        names=[str(artifact)], data=None, limit=40, out=None, workers=None, per_class=False,
        options=options, as_json=as_json,
    )  # fmt: skip


def test_the_containers_own_error_is_raised(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_place_of_the_container(monkeypatch, 6, "", "error: lenet_digits: layer 'c' differs\n")
    with pytest.raises(ParityError, match="layer 'c' differs"):
        asked(artifact, None, as_json=True)
    in_place_of_the_container(monkeypatch, 0, "no JSON")
    with pytest.raises(EngineError, match="not ours"):
        asked(artifact, None, as_json=True)
