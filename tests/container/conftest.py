"""Container tests: skipped with a reason where no engine answers, unless they are required."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from engines.connection import connect
from engines.image import ensure
from loader.errors import EngineError
from loader.progress import SILENT


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


@pytest.fixture(autouse=True)
def nothing_is_left(image: str) -> object:
    """After every test: no container and no volume of ours."""
    from engines.container import LABEL

    yield
    client = connect()
    filters = {"label": LABEL}
    left = {item.id for item in client.containers.list(all=True, filters=filters)}
    left |= {item.id for item in client.volumes.list(filters=filters)}
    # another run on this machine removes its own in time; what was left behind stays
    deadline = time.monotonic() + 90
    while left and time.monotonic() < deadline:
        time.sleep(0.2)
        here = {item.id for item in client.containers.list(all=True, filters=filters)}
        here |= {item.id for item in client.volumes.list(filters=filters)}
        left &= here
    client.close()
    assert not left
