"""`doctor`: what is there, what is not, and what to do about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from decant.commands import doctor
from decant.engines import gpu
from decant.engines.docker import connection, image
from decant.loader.errors import EngineError, GpuError


class Client:
    def version(self) -> dict[str, str]:
        return {"Version": "27.0"}

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "connect", Client)
    monkeypatch.setattr(connection, "endpoint", lambda: "unix:///x.sock")
    monkeypatch.setattr(
        image, "find", lambda client, which: "sha256:" + "a" * 64 if which == "caffe" else None
    )
    monkeypatch.setattr(gpu, "why_not", lambda client: "Docker has no NVIDIA driver")


def findings(
    capsys: pytest.CaptureFixture[str], catalog: Path | None = None
) -> dict[str, dict[str, object]]:
    doctor.command(gpu=False, catalog=catalog, as_json=True)
    return {item["what"]: item for item in json.loads(capsys.readouterr().out)["findings"]}


def test_what_is_there_and_what_is_not(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = findings(capsys)
    assert found["python"]["fine"] and found["torch"]["fine"] and found["catalog"]["fine"]
    assert found["engine"]["text"] == "Docker 27.0 at unix:///x.sock"
    assert found["caffe image"]["fine"] and not found["torch image"]["fine"]
    assert "make image ARGS='--which torch'" in str(found["torch image"]["text"])
    assert not found["gpu"]["fine"] and "nvidia-ctk" in str(found["gpu"]["text"])
    (tmp_path / "models.yaml").write_text("models: 3\n")
    assert not findings(capsys, tmp_path / "models.yaml")["catalog"]["fine"]


def test_without_an_engine_its_images_are_not_looked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> None:
        raise EngineError("no Docker engine answers: start Docker")

    monkeypatch.setattr(connection, "connect", none)
    found = findings(capsys)
    assert not found["engine"]["fine"] and "gpu" not in found and "caffe image" not in found


def test_a_gpu_that_is_asked_for_and_lacks_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(GpuError):
        doctor.command(gpu=True, catalog=None, as_json=False)
    printed = capsys.readouterr().out
    assert "lack  gpu: Docker has no NVIDIA driver" in printed and "ok    engine: " in printed
