"""The torch container, whose part this process plays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from decant.commands.validate import command
from decant.engines import gpu, torch_container
from decant.engines.docker.container import Outcome, Run
from decant.stages.convert import convert
from decant.stages.options import Options


def artifact_for_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """lenet_digits, and no question whether there is a GPU."""
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
