"""Container tests: skipped with a reason where no engine answers, unless they are required."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from decant.engines.docker.connection import connect
from decant.engines.docker.container import LABEL
from decant.engines.docker.image import ensure
from decant.loader.errors import EngineError
from decant.loader.progress import SILENT


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.container)


@pytest.fixture(scope="session")
def image() -> str:
    """The Caffe image's id; built when it is missing."""
    try:
        client = connect()
        found = ensure(client, "caffe", SILENT)
        client.close()
    except EngineError as error:
        if os.environ.get("DECANT_REQUIRE_CONTAINER") == "1":
            pytest.fail(f"container tests are required: {error}", pytrace=False)
        pytest.skip(error.message)
    return found


def ours(client: docker.DockerClient) -> set[str]:
    filters = {"label": LABEL}
    containers = client.containers.list(all=True, filters=filters, ignore_removed=True)
    return {item.id for item in [*containers, *client.volumes.list(filters=filters)]}


@pytest.fixture(autouse=True)
def nothing_is_left(image: str) -> Iterator[None]:
    """Every test: no container and no volume of ours that was not there before it.

    What a run killed on this machine left behind is nobody's fault here; the sweep takes it later.
    """
    client = connect()
    before = ours(client)
    yield
    left = ours(client) - before
    # another run on this machine removes its own in time; what was left behind stays
    deadline = time.monotonic() + 90
    while left and time.monotonic() < deadline:
        time.sleep(0.2)
        left &= ours(client)
    client.close()
    assert not left
