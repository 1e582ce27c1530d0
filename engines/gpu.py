"""Is there a GPU for containers? Found out by trying, because every other sign can lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from decant.loader.errors import EngineError, GpuError
from decant.loader.machine import next_step

if TYPE_CHECKING:
    import docker

SET_UP = (
    "install nvidia-container-toolkit, run `nvidia-ctk runtime configure --runtime=docker`, "
    "restart Docker; `nvidia-smi` must work on the host"
)


def require() -> None:
    """Raise GpuError with the toolkit's set-up commands unless a container gets a GPU."""
    from decant.engines.docker.connection import connect

    client = connect()
    try:
        reason = why_not(client)
    finally:
        client.close()
    if reason:
        raise GpuError(
            f"no GPU for containers ({reason}): {SET_UP}; or leave {next_step('GPU=1', '--gpu')} out"
        )


def why_not(client: docker.DockerClient) -> str:
    """ "" if a container with a DeviceRequest starts, else what the engine says."""
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from decant.engines.docker.container import Run, run
    from decant.engines.docker.image import find

    image_id = find(client, "torch") or find(client, "caffe")
    if image_id is None:
        return f"no image of ours to try it with: {next_step('make image', 'decant image')}"
    with TemporaryDirectory() as folder:
        job = Run(
            image_id=image_id,
            command=("true",),
            files={},
            fetch={"none": Path(folder) / "none"},
            memory=256 << 20,
            limit=30,
            gpu=True,
        )
        try:
            ended = run(client, job)
        except EngineError as error:
            return _meaning(error.message)
    return "" if ended.status == 0 else f"the trial container ended with {ended.status}"


def _meaning(message: str) -> str:
    """The engine's own words, shortened to what they mean."""
    known = {
        "could not select device driver": "Docker has no NVIDIA driver",
        "Unknown runtime specified": "Docker does not know the NVIDIA runtime",
        "nvml error": "the toolkit is there, the host's NVIDIA driver is not loaded",
        "nvidia-container-cli": "the NVIDIA toolkit failed",
    }
    return next((text for mark, text in known.items() if mark in message), message)
