"""The hardened run on a real engine: what comes out, what stays behind, and for whom."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container, ContainerCollection

from decant.engines.docker import container
from decant.engines.docker.connection import connect
from decant.engines.docker.container import Outcome, Run, judge, sweep
from decant.loader.errors import EngineError


@pytest.fixture(autouse=True)
def label(monkeypatch: pytest.MonkeyPatch) -> str:
    """A label of this test's own: it removes things, and other runs on the engine are not its."""
    own = f"decant.test.{uuid.uuid4().hex[:12]}"
    monkeypatch.setattr(container, "LABEL", own)
    return own


@pytest.fixture
def client(label: str) -> Iterator[docker.DockerClient]:
    found = connect()
    yield found
    for left in found.containers.list(all=True, filters={"label": label}):
        left.remove(force=True)
    for volume in found.volumes.list(filters={"label": label}):
        volume.remove(force=True)
    found.close()


def left(client: docker.DockerClient, label: str) -> list[str]:
    found = client.containers.list(all=True, filters={"label": label})
    volumes = client.volumes.list(filters={"label": label})
    return [item.name for item in [*found, *volumes]]


def run(
    client: docker.DockerClient, image: str, folder: Path, *command: str, **more: Any
) -> tuple[Outcome, str]:
    job = Run(
        image_id=image,
        command=command,
        files=more.pop("files", {}),
        fetch={"file": folder / "file"},
        memory=more.pop("memory", 1 << 30),
        limit=more.pop("limit", 60),
    )
    ended = container.run(client, job)
    return ended, judge(ended, job, "it")


@pytest.mark.parametrize(
    "script",
    [
        "mkdir /io/out/file",
        "mkfifo /io/out/file",
        "ln -s /io/in/a /io/out/file",
        "ln -s /proc/self/environ /io/out/file",
    ],
)
def test_only_a_regular_file_comes_out(
    script: str, client: docker.DockerClient, image: str, tmp_path: Path
) -> None:
    with pytest.raises(EngineError, match="not one regular file"):
        run(client, image, tmp_path, "sh", "-c", script, files={"a": b"text"})
    assert not list(tmp_path.iterdir())


def test_an_output_folder_that_points_elsewhere_shows_the_container_only(
    client: docker.DockerClient, image: str, tmp_path: Path
) -> None:
    """The engine resolves links inside the container's own root."""
    host = Path("/etc/machine-id") if Path("/etc/machine-id").exists() else Path("/etc/hosts")
    script = f"rm -rf /io/out && ln -s {host.parent} /io/out; ln -s {host.name} /io/out/file"
    try:
        run(client, image, tmp_path, "sh", "-c", script)
    except EngineError:
        pass
    fetched = [path.read_bytes() for path in tmp_path.iterdir()]
    assert host.read_bytes() not in fetched


def test_the_network_is_not_there(client: docker.DockerClient, image: str, tmp_path: Path) -> None:
    code = "import socket; socket.create_connection(('192.0.2.1', 80), 2)"
    ended, line = run(client, image, tmp_path, "python3", "-I", "-c", code)
    assert ended.status == 1
    assert "unreachable" in line


def test_processes_are_bounded(client: docker.DockerClient, image: str, tmp_path: Path) -> None:
    code = (
        "import os, time\n"
        "try:\n"
        "    for count in range(500):\n"
        "        if os.fork() == 0:\n"
        "            time.sleep(20); os._exit(0)\n"
        "except OSError:\n"
        "    print(count, 'were started')"
    )
    ended, _ = run(client, image, tmp_path, "python3", "-I", "-c", code)
    count, rest = ended.log.split(" ", 1)
    assert rest.strip() == "were started"
    assert 1 < int(count) < 64


def test_a_file_over_the_limit_cannot_be_written(
    client: docker.DockerClient, image: str, tmp_path: Path
) -> None:
    """Sparse: nothing is stored, and still it is refused."""
    code = f"open('/io/out/file', 'wb').truncate({container.FILE_LIMIT + 1})"
    ended, line = run(client, image, tmp_path, "python3", "-I", "-c", code)
    assert ended.status == 1
    assert "File too large" in line


def test_a_flood_of_log_costs_little_and_keeps_the_reason(
    client: docker.DockerClient, image: str, tmp_path: Path
) -> None:
    line = "print('W0101 00:00:00.0 1 a.cpp:1] ' + 'x' * 200)\n"
    code = f"for _ in range(100000): {line}print('F0101 00:00:00.0 1 a.cpp:2] the reason')"
    ended, said = run(client, image, tmp_path, "python3", "-I", "-c", code)
    assert len(ended.log) < 1 << 20
    assert said == "it aborted: the reason"


def test_a_program_that_ignores_the_time_limit_is_killed(
    client: docker.DockerClient, image: str, tmp_path: Path
) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"
    ended, line = run(client, image, tmp_path, "python3", "-I", "-c", code, limit=1)
    assert ended.status == 137
    assert line == "it did not finish in 1 s"


def test_another_user_writes_files_of_his_own(
    client: docker.DockerClient, image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4321)
    monkeypatch.setattr(os, "getgid", lambda: 4321)
    script = "id -u; stat -c %u /io/out; cat /io/in/a > /io/out/file; rm -f /io/in/a; touch /io/x"
    ended, _ = run(client, image, tmp_path, "sh", "-c", script, files={"a": b"text"})
    assert ended.log.startswith("4321\n4321\n")
    assert (tmp_path / "file").read_bytes() == b"text"
    assert "cannot touch '/io/x'" in ended.log


def test_two_runs_at_once_do_not_meet(
    client: docker.DockerClient, image: str, tmp_path: Path
) -> None:
    def one(number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        script = f"sleep 1; cat /io/in/a > /io/out/file; echo {number} >> /io/out/file"
        run(client, image, folder, "sh", "-c", script, files={"a": b"number "})

    threads = [threading.Thread(target=one, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(3):
        assert (tmp_path / str(number) / "file").read_text() == f"number {number}\n"


def test_an_image_that_is_gone_is_an_engine_error_and_nothing_is_pulled(
    client: docker.DockerClient, tmp_path: Path
) -> None:
    with pytest.raises(EngineError, match="No such image"):
        run(client, "sha256:" + "0" * 64, tmp_path, "true")


def remove_soon(label: str) -> None:
    other = connect()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for found in other.containers.list(filters={"label": label}):
            found.remove(force=True)
            deadline = 0
        time.sleep(0.05)
    other.close()


def test_a_container_removed_by_somebody_is_an_engine_error(
    client: docker.DockerClient, image: str, label: str, tmp_path: Path
) -> None:
    thread = threading.Thread(target=remove_soon, args=(label,))
    thread.start()
    with pytest.raises(EngineError) as caught:
        run(client, image, tmp_path, "sleep", "30")
    thread.join()
    assert "\n" not in caught.value.message


def test_a_container_removed_by_somebody_leaves_no_volume(
    client: docker.DockerClient, image: str, label: str, tmp_path: Path
) -> None:
    thread = threading.Thread(target=remove_soon, args=(label,))
    thread.start()
    try:
        with pytest.raises(EngineError):
            run(client, image, tmp_path, "sleep", "30")
    finally:
        thread.join()
    assert not left(client, label)


def test_what_a_killed_client_left_is_swept_once_nobody_can_want_it(
    client: docker.DockerClient, image: str, label: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = {label: str(int(time.time()) + 600)}
    volume = client.volumes.create(f"decant-test-{label[-12:]}", labels=labels)
    mount = docker.types.Mount("/io", volume.name, type="volume")
    client.containers.create(image, ["true"], labels=labels, mounts=[mount])
    sweep(client)
    assert len(left(client, label)) == 2, "somebody may still want them"
    later = time.time() + 601
    monkeypatch.setattr(container.time, "time", lambda: later)
    sweep(client)
    assert not left(client, label)


class Stopped(BaseException):
    """What the command line makes of SIGTERM."""


@pytest.fixture
def stopping() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise Stopped

    before = signal.signal(signal.SIGTERM, stop)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("stopping")
def test_a_signal_while_the_container_is_made_leaves_nothing(
    client: docker.DockerClient,
    image: str,
    label: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seen for real: 3 of 80 signals, at moments spread over the first second of a dump."""
    create = ContainerCollection.create

    def create_and_stop(*args: Any, **more: Any) -> Container:
        made = create(*args, **more)
        os.kill(os.getpid(), signal.SIGTERM)
        return made

    monkeypatch.setattr(ContainerCollection, "create", create_and_stop)
    with pytest.raises(Stopped):
        run(client, image, tmp_path, "true")
    assert not left(client, label)


@pytest.mark.usefixtures("stopping")
def test_a_signal_while_cleaning_up_leaves_nothing(
    client: docker.DockerClient,
    image: str,
    label: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    remove, sent = Container.remove, []

    def stop_and_remove(self: Container, **more: Any) -> None:
        if not sent:
            sent.append(True)
            os.kill(os.getpid(), signal.SIGTERM)
        remove(self, **more)

    monkeypatch.setattr(Container, "remove", stop_and_remove)
    # the kernel gives a signal to any thread that would take it
    done = threading.Event()
    beside = threading.Thread(target=done.wait)
    beside.start()
    try:
        with pytest.raises(Stopped):
            run(client, image, tmp_path, "true")
    finally:
        done.set()
        beside.join()
    assert not left(client, label)
