"""Stage 2 in the torch container: whose error it is that comes out."""

from __future__ import annotations

from pathlib import Path

import pytest

from decant.loader.errors import EngineError, ParityError
from tests.helpers.torch_container import artifact_for_gpu, asked, in_place_of_the_container


@pytest.fixture
def artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return artifact_for_gpu(tmp_path, monkeypatch)


def test_the_containers_own_error_is_raised(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_place_of_the_container(monkeypatch, 6, "", "error: lenet_digits: layer 'c' differs\n")
    with pytest.raises(ParityError, match="layer 'c' differs"):
        asked(artifact, None, as_json=True)
    in_place_of_the_container(monkeypatch, 0, "no JSON")
    with pytest.raises(EngineError, match="not ours"):
        asked(artifact, None, as_json=True)
