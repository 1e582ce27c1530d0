"""The hardened run without an engine: its options, how endings are told apart, the sweep."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docker
import pytest

from decant.engines.docker.container import (
    FILE_LIMIT,
    LABEL,
    Outcome,
    Run,
    _ids,
    _options,
    judge,
    run,
    sweep,
)

MIB = 1 << 20
JOB = Run(
    image_id="sha256:abc",
    command=("python3", "-I", "-B", "-m", "dumper", "/io"),
    files={},
    fetch={"dump.h5": Path("dump.h5")},
    memory=512 * MIB,
    limit=100,
    environment={"GLOG_minloglevel": "2"},
)


def engine(**info: Any) -> Any:
    return SimpleNamespace(info=lambda: {"NCPU": 8, "SecurityOptions": ["name=seccomp"], **info})


def options(job: Run = JOB, **info: Any) -> dict[str, Any]:
    return _options(engine(**info), job, "decant-1", {LABEL: "1"})


def test_nothing_of_the_host_is_within_reach() -> None:
    found = options()
    assert found["network_mode"] == "none"
    assert found["read_only"] is True
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert not {"volumes", "privileged", "devices", "cap_add", "pid_mode", "ipc_mode"} & set(found)
    assert [mount["Type"] for mount in found["mounts"]] == ["volume"]
    assert "noexec" in found["tmpfs"]["/tmp"]


def test_everything_that_can_grow_is_bounded() -> None:
    found = options()
    assert found["mem_limit"] == found["memswap_limit"] == 512 * MIB
    assert found["pids_limit"] == 64
    limits = {limit.name: (limit.soft, limit.hard) for limit in found["ulimits"]}
    assert limits["core"] == (0, 0)
    assert limits["fsize"] == (FILE_LIMIT, FILE_LIMIT)
    assert "as" not in limits, "runc cannot start under it"
    assert found["log_config"].config["max-size"] == "4m"
    assert found["command"][:3] == ["timeout", "--kill-after=10", "100"]
    assert found["init"] is True


def test_the_image_is_named_by_id_and_python_is_isolated() -> None:
    found = options()
    assert found["image"] == "sha256:abc"
    assert found["command"][3:6] == ["python3", "-I", "-B"]
    assert found["environment"]["GLOG_minloglevel"] == "2"
    assert found["environment"]["OPENBLAS_NUM_THREADS"] == "1"


def test_cores_are_never_more_than_the_engine_has() -> None:
    """The engine refuses the container otherwise."""
    assert options(NCPU=1)["nano_cpus"] == 10**9
    assert options(NCPU=64)["nano_cpus"] == 2 * 10**9


def test_a_gpu_is_asked_for_in_the_portable_spelling_and_only_then() -> None:
    assert "device_requests" not in options()
    job = Run("i", (), {}, {}, MIB, gpu=True)
    (request,) = options(job)["device_requests"]
    assert request["Count"] == -1
    assert request["Capabilities"] == [["gpu", "compute", "utility"]]


def test_output_belongs_to_the_caller_and_to_root_where_root_is_the_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.getuid", lambda: 1234)
    monkeypatch.setattr("os.getgid", lambda: 56)
    assert _ids(engine()) == (1234, 56)
    assert options()["user"] == "1234:56"
    assert _ids(engine(SecurityOptions=["name=seccomp,profile=x", "name=rootless"])) == (0, 0)


def test_an_engine_without_security_options_is_no_reason_to_crash() -> None:
    assert _ids(engine(SecurityOptions=None)) == _ids(engine())


FATAL = "F0102 03:04:05.678901 1 net.cpp:72] Unknown bottom blob 'x'\n*** Check failure stack ***\n"


@pytest.mark.parametrize(
    ("status", "log", "oom", "seconds", "expected"),
    [
        (0, "", False, 1, "ended without a result"),
        (1, "Traceback\nOSError: broken\n", False, 1, "OSError: broken"),
        (3, "", False, 1, "it said nothing"),
        (124, "", False, 100, "did not finish in 100 s"),
        (137, "", False, 110, "did not finish in 100 s"),
        (134, FATAL, False, 1, "aborted: Unknown bottom blob 'x'"),
        (139, FATAL, False, 1, "aborted: Unknown bottom blob 'x'"),
        (134, "no reason", False, 1, "aborted: no reason"),
        (139, "", False, 1, "crashed"),
        (137, "", True, 1, "more than 512 MiB"),
        (1, "MemoryError", True, 1, "more than 512 MiB"),
        (137, "", False, 1, "stopped from outside (exit 137)"),
        (143, "", False, 1, "stopped from outside (exit 143)"),
        (153, "", False, 1, f"more than {FILE_LIMIT}"),
        (127, "timeout: failed to run command 'x'", False, 1, "failed to run command"),
    ],
)
def test_each_ending_is_one_line_of_its_own(
    status: int, log: str, oom: bool, seconds: float, expected: str
) -> None:
    line = judge(Outcome(status, log, oom, seconds, ()), JOB, "Caffe")
    assert line.startswith("Caffe ")
    assert expected in line
    assert "\n" not in line


def test_a_long_last_line_is_cut() -> None:
    assert len(judge(Outcome(1, "x" * 10_000, False, 1, ()), JOB, "Caffe")) < 400
    flood = FATAL.replace("'x'", "x" * 10_000)
    assert len(judge(Outcome(134, flood, False, 1, ()), JOB, "Caffe")) < 400


class Slow:
    """An engine that is interrupted while it makes a container, and makes it all the same."""

    def __init__(self) -> None:
        self.there: set[str] = set()
        self.coming = ""
        self.volumes = SimpleNamespace(
            create=lambda *_, **__: None, get=self._no_volume, list=lambda **_: []
        )
        self.containers = SimpleNamespace(list=lambda **_: [], create=self._create, get=self._get)
        self.info = engine().info

    def _create(self, **asked: Any) -> Any:
        self.coming = asked["name"]
        signal.raise_signal(signal.SIGINT)
        self.finish()
        return None

    def finish(self) -> None:
        """What it was still making is there now."""
        self.there |= {self.coming} - {""}
        self.coming = ""

    def _get(self, name: str) -> Any:
        if name not in self.there:
            raise docker.errors.NotFound(name)
        return SimpleNamespace(remove=lambda **_: self.there.discard(name))

    def _no_volume(self, name: str) -> Any:
        raise docker.errors.NotFound(name)


def test_a_signal_waits_for_what_the_engine_is_making() -> None:
    slow: Any = Slow()
    with pytest.raises(KeyboardInterrupt):
        run(slow, JOB)
    slow.finish()
    assert not slow.there


class Shelf:
    """Containers or volumes of an engine that is not there."""

    def __init__(self, *deadlines: float | str) -> None:
        self.items = [self._item(index, at) for index, at in enumerate(deadlines)]

    def _item(self, index: int, deadline: float | str) -> Any:
        item = SimpleNamespace(name=index, attrs={"Labels": {LABEL: str(deadline)}}, gone=False)
        item.remove = lambda force: setattr(item, "gone", True)
        return item

    def list(self, **_: object) -> list[Any]:
        return self.items

    @property
    def gone(self) -> list[bool]:
        return [item.gone for item in self.items]


def test_the_sweep_takes_only_what_nobody_can_still_want() -> None:
    now = int(time.time())
    volumes = Shelf(now - 10, now + 1000)
    sweep(SimpleNamespace(containers=Shelf(), volumes=volumes))  # type: ignore[arg-type]
    assert volumes.gone == [True, False]


def test_a_label_that_is_no_time_does_not_stop_every_run() -> None:
    volumes = Shelf("true")
    sweep(SimpleNamespace(containers=Shelf(), volumes=volumes))  # type: ignore[arg-type]
