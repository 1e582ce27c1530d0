"""`image`: an image that is there is not built again, but for another base."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from decant.commands.image import command
from decant.engines.docker import connection, image


@pytest.mark.parametrize(
    ("base", "there", "wanted"),
    [
        (None, "sha256:old", "sha256:old"),
        (None, None, "sha256:new"),
        ("mine:1", "sha256:old", "sha256:new"),
    ],
)
def test_built_where_it_has_to_be(
    base: str | None,
    there: str | None,
    wanted: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    built = []

    def build(_client: Any, which: str, of: str | None, _progress: Any) -> str:
        built.append((which, of))
        return "sha256:new"

    images = SimpleNamespace(get=lambda name: SimpleNamespace(attrs={"Size": 5_000_000}))
    monkeypatch.setattr(
        connection, "connect", lambda: SimpleNamespace(images=images, close=lambda: None)
    )
    monkeypatch.setattr(image, "find", lambda client, which: there)
    monkeypatch.setattr(image, "build", build)
    command(base=base, which="torch", as_json=True)
    assert json.loads(capsys.readouterr().out) == {"ok": True, "image": wanted, "bytes": 5_000_000}
    assert built == ([("torch", base)] if wanted == "sha256:new" else [])
