"""Shared by all tests: where the real nets are, and one thread for everything numeric."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import faulty_server

# a shell starts what it puts in the background deaf to Ctrl-C, and so would be all that the tests start
signal.signal(signal.SIGINT, signal.default_int_handler)
# idle OpenMP workers spin; two cores are quicker with one worker each
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

ROOT = Path(__file__).resolve().parents[1]
# real trained nets, too large for the repository; without them the tests that need them are skipped
CASES = Path(os.environ.get("DECANT_CASES") or ROOT.parent / "shared" / "cases")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """With several workers a file's tests share one, with its fixtures; all container tests share one too.

    Each of those looks at what the engine holds before and after it, and some sweep it.
    """
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            return "containers" if "tests/container/" in file else file

    return ByFile(config, log)


@pytest.fixture(scope="session")
def cases() -> Path:
    """The folder of real trained nets with what real Caffe computed for them."""
    if not CASES.is_dir():
        pytest.skip(f"the real nets are not on this machine: no folder {CASES} ($DECANT_CASES)")
    return CASES


@pytest.fixture(scope="session")
def reports(cases: Path) -> Path:
    """Small inputs made after public bug reports, a folder for each."""
    if not (cases / "reports").is_dir():
        pytest.skip(f"the reports are not on this machine: no folder {cases / 'reports'}")
    return cases / "reports"


@pytest.fixture(scope="session")
def real_nets(cases: Path) -> list[Path]:
    """A folder for each of them."""
    return sorted(path.parent for path in cases.glob("*/case.json"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or fills the user's cache or catalog."""
    monkeypatch.setenv("DECANT_CACHE", str(tmp_path_factory.mktemp("cache")))
    for name in ("DECANT_CATALOG", "DECANT_ARTIFACTS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[faulty_server.Server]:
    """A server on this machine; retries do not wait."""
    monkeypatch.setenv("DECANT_RETRY_PAUSE", "0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with faulty_server.running() as running:
        yield running
