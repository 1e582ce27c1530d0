"""Whether containers get a GPU: what the engine says, and what it means."""

from __future__ import annotations

from typing import Any

import pytest

from decant.engines import gpu
from decant.engines.docker import connection, container, image
from decant.engines.docker.container import Outcome, Run
from decant.loader.errors import EngineError, GpuError


class Client:
    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    found = Client()
    monkeypatch.setattr(connection, "connect", lambda: found)
    monkeypatch.setattr(image, "find", lambda client, which: f"sha256:{which}")
    return found


def answers(monkeypatch: pytest.MonkeyPatch, status: int, error: str = "") -> list[Run]:
    jobs: list[Run] = []

    def run(_client: Any, job: Run) -> Outcome:
        jobs.append(job)
        if error:
            raise EngineError(error)
        return Outcome(status, "", False, 1.0, ())

    monkeypatch.setattr(container, "run", run)
    return jobs


def test_a_trial_container_that_starts_is_a_gpu(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = answers(monkeypatch, 0)
    gpu.require()
    (job,) = jobs
    assert job.gpu and job.image_id == "sha256:torch" and client.closed


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (
            'could not select device driver "" with capabilities: [[gpu]]',
            "Docker has no NVIDIA driver",
        ),
        ("nvidia-container-cli: nvml error: driver not loaded", "driver is not loaded"),
        ("no space left on device", "no space left on device"),
        ("", "ended with 1"),
    ],
)
def test_what_is_in_the_way_is_said_with_the_set_up(
    error: str, meaning: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, 1, error)
    with pytest.raises(GpuError, match=meaning) as caught:
        gpu.require()
    assert "nvidia-ctk" in caught.value.message and client.closed


def test_without_an_image_there_is_nothing_to_try(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image, "find", lambda client, which: None)
    assert "make image" in gpu.why_not(client)  # type: ignore[arg-type]
