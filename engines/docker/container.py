"""One hardened run of a command in a container: files in, files out, nothing left behind.

No network, read-only root, no capabilities, no new privileges, the caller's uid, bounded memory,
processes, files and log, a time limit inside. docs/container.md says what each is for.
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decant.engines.docker.connection import engine_errors
from decant.engines.docker.transfer import fetch_one, tar_stream
from decant.loader.errors import EngineError

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container

LABEL = "decant.run"
# the largest file that a container may hand back: more than any dump, less than a full disk
FILE_LIMIT = 16 << 30
FOLDER = "/io"
MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Run:
    """What to run. `limit` in seconds, `memory` in bytes; `fetch` maps names in out/ to files here."""

    image_id: str
    command: Sequence[str]
    files: Mapping[str, Path | bytes]
    fetch: Mapping[str, Path]
    memory: int
    limit: int = 3600
    environment: Mapping[str, str] = field(default_factory=dict)
    gpu: bool = False


@dataclass(frozen=True)
class Outcome:
    """How it ended; `fetched` names the files that came back."""

    status: int
    log: str
    out_of_memory: bool
    seconds: float
    fetched: tuple[str, ...]


def run(client: docker.DockerClient, job: Run) -> Outcome:
    """Run to the end and fetch; container and volume are removed in every case.

    Raises EngineError if the engine fails; how the program itself ended is for the caller to judge.
    """
    sweep(client)
    name = f"decant-{uuid.uuid4().hex[:12]}"
    labels = {LABEL: str(int(time.time()) + job.limit + 600)}
    with engine_errors("running the container"):
        try:
            # the engine goes on making what it was asked for, also where nobody waits for it
            with _signals_held():
                client.volumes.create(name, labels=labels)
                container = client.containers.create(**_options(client, job, name, labels))
            _send(container, job, *_ids(client))
            return _watch(container, job)
        finally:
            # by name: a signal can come before this program knows what was made
            with _signals_held():
                _clean(client, name)


def _watch(container: Container, job: Run) -> Outcome:
    import requests

    started = time.monotonic()
    container.start()
    try:
        status = container.wait(timeout=job.limit + 30)["StatusCode"]
    except requests.exceptions.ConnectionError as error:
        if "timed out" not in str(error):
            raise
        raise EngineError(f"no answer from the container after {job.limit + 30} s") from None
    seconds = time.monotonic() - started
    container.reload()
    log = container.logs(tail=200).decode("utf-8", "replace")
    oom = bool(container.attrs["State"]["OOMKilled"])
    fetched = tuple(
        name
        for name, target in job.fetch.items()
        if fetch_one(container, f"{FOLDER}/out/{name}", target, FILE_LIMIT)
    )
    return Outcome(status, log, oom, seconds, fetched)


def _send(container: Container, job: Run, uid: int, gid: int) -> None:
    folders: list[tuple[str, Path | bytes | None]] = [("in", None), ("out", None)]
    files = [(f"in/{name}", content) for name, content in job.files.items()]
    container.put_archive(FOLDER, tar_stream([*folders, *files], uid, gid))


@contextmanager
def _signals_held() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait until the cleaning up is done.

    Masked in this thread, they would go to another (one that hashes, one of OpenBLAS), and Python
    would still handle them in this one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    before = {
        number: signal.signal(number, lambda caught, _: arrived.append(caught))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        for caught in arrived[:1]:
            signal.raise_signal(caught)


def _clean(client: docker.DockerClient, name: str) -> None:
    """Remove the container, then the volume, which stays in use for a moment longer."""
    import docker

    # NotFound: it was never made; 409: somebody else is removing it already
    with suppress(docker.errors.APIError):
        client.containers.get(name).remove(force=True, v=True)
    for _ in range(50):
        try:
            client.volumes.get(name).remove(force=True)
            return
        except docker.errors.NotFound:
            return
        except docker.errors.APIError as error:
            if error.status_code != 409:
                raise
            time.sleep(0.1)


def sweep(client: docker.DockerClient) -> None:
    """Remove what killed runs left, once it is older than any run may be.

    The label holds the time after which nobody can still want it: a concurrent run's container has
    also exited while its dump is being fetched.
    """
    import docker

    with engine_errors("cleaning up after earlier runs"):
        found = client.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
        items: list[Any] = [*found, *client.volumes.list(filters={"label": LABEL})]
        for item in items:
            labels = item.labels if hasattr(item, "labels") else item.attrs.get("Labels")
            until = str((labels or {}).get(LABEL, ""))
            # a label that is not a time is not ours to judge
            if not until.isdigit() or int(until) > time.time():
                continue
            try:
                item.remove(force=True)
            except (docker.errors.NotFound, docker.errors.APIError):
                continue


def _ids(client: docker.DockerClient) -> tuple[int, int]:
    """The caller; under a rootless engine the container's root is the caller."""
    if "name=rootless" in (client.info().get("SecurityOptions") or []):
        return 0, 0
    return os.getuid(), os.getgid()


def _options(
    client: docker.DockerClient, job: Run, name: str, labels: dict[str, str]
) -> dict[str, Any]:
    from docker.types import DeviceRequest, LogConfig, Mount, Ulimit

    cores = min(2, client.info()["NCPU"])
    environment = {
        "HOME": "/tmp",
        "XDG_CACHE_HOME": "/tmp",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        **job.environment,
    }
    options: dict[str, Any] = {
        # by id: a name could move between check and run, or be pulled
        "image": job.image_id,
        "command": ["timeout", "--kill-after=10", str(job.limit), *job.command],
        "name": name,
        "labels": labels,
        "user": "{}:{}".format(*_ids(client)),
        "network_mode": "none",
        "read_only": True,
        "init": True,
        "tmpfs": {"/tmp": "rw,nosuid,nodev,noexec,size=64m,mode=1777"},
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "pids_limit": 64,
        "mem_limit": job.memory,
        "memswap_limit": job.memory,
        "nano_cpus": cores * 10**9,
        "oom_score_adj": 500,
        "ulimits": [
            Ulimit(name="core", soft=0, hard=0),
            Ulimit(name="fsize", soft=FILE_LIMIT, hard=FILE_LIMIT),
            Ulimit(name="nofile", soft=1024, hard=1024),
        ],
        "log_config": LogConfig(type="json-file", config={"max-size": "4m", "max-file": "1"}),
        "environment": environment,
        "mounts": [Mount(FOLDER, name, type="volume")],
    }
    if job.gpu:
        # CUDA starts more threads than Caffe, and the portable spelling names three capabilities
        options["device_requests"] = [
            DeviceRequest(count=-1, capabilities=[["gpu", "compute", "utility"]])
        ]
    if job.gpu:
        options["pids_limit"] = 512
    return options


def judge(ended: Outcome, job: Run, who: str) -> str:
    """One line for an ending without a result, as exit codes tell (docs/container.md)."""
    fatal = re.findall(r"^F\d{4} .*?\] (.*)$", ended.log, re.MULTILINE)
    lines = [line for line in ended.log.strip().splitlines() if line.strip()]
    last = lines[-1][:300] if lines else "it said nothing"
    if ended.out_of_memory:
        return (
            f"{who} used more than {job.memory // MEBIBYTE} MiB: the net is very large, or hostile; "
            "--engine reader needs little memory"
        )
    if fatal:
        return f"{who} aborted: {fatal[-1][:300]}"
    if ended.status in (124, 137) and ended.seconds >= job.limit:
        return f"{who} did not finish in {job.limit} s"
    meanings = {
        0: f"{who} ended without a result",
        124: f"{who} did not finish in {job.limit} s",
        134: f"{who} aborted: {last}",
        139: f"{who} crashed: {last}",
        137: f"{who} was stopped from outside (exit 137)",
        143: f"{who} was stopped from outside (exit 143)",
        153: f"{who} wrote more than {FILE_LIMIT} bytes",
    }
    return meanings.get(ended.status, f"{who} failed (exit {ended.status}): {last}")
