"""Where downloads and dumps are kept."""

from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from decant.loader.catalog.cache import cache_folder


def test_the_variable_comes_first_and_else_it_is_the_users_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DECANT_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    for nothing in (
        lambda: monkeypatch.setenv("DECANT_CACHE", ""),
        lambda: monkeypatch.delenv("DECANT_CACHE"),
    ):
        nothing()
        assert cache_folder() == Path(platformdirs.user_cache_dir("decant"))
