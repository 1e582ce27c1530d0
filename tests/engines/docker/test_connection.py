"""Every way in which a Docker engine can fail to answer ends in one line with a next step."""

from __future__ import annotations

import hashlib
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
import requests

from decant.engines.docker.connection import connect, engine_errors, root_cause
from decant.loader.errors import EngineError

# the SDK leaves the socket of a failed connection to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
VARIABLES = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_CONTEXT")


@pytest.fixture(autouse=True)
def no_engine_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))


class Answer(http.server.BaseHTTPRequestHandler):
    """Something that listens, but is not a Docker engine, or an old one."""

    code, body = 200, b""

    def do_GET(self) -> None:
        self.send_response(self.code)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"tcp://127.0.0.1:{listening.server_port}"
        listening.shutdown()


def refused() -> EngineError:
    with pytest.raises(EngineError) as caught:
        connect()
    assert "\n" not in caught.value.message
    assert caught.value.code == 8
    return caught.value


def test_a_missing_socket_names_the_endpoint_and_the_reader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    message = refused().message
    assert "unix:///nonexistent/docker.sock" in message
    assert "start Docker" in message
    assert "--engine reader" in message


def test_a_stale_socket_and_a_plain_file_are_no_engine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plain, stale = tmp_path / "plain", tmp_path / "stale.sock"
    plain.touch()
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(stale))
    for path in (plain, stale):
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        assert "no Docker engine answers" in refused().message


def test_a_refused_port_and_an_unknown_host_are_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    for host in ("tcp://127.0.0.1:9", "tcp://no-such-host.invalid:2375"):
        monkeypatch.setenv("DOCKER_HOST", host)
        assert f"no Docker engine answers at {host}" in refused().message


def test_a_forbidden_socket_asks_for_the_docker_group(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(**_: object) -> None:
        try:
            raise PermissionError(13, "Permission denied")
        except PermissionError as error:
            raise docker.errors.DockerException("Error while fetching server API") from error

    monkeypatch.setattr(docker, "from_env", forbidden)
    assert "docker group" in refused().message


def test_a_wrong_setting_is_named_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for host, expected in (
        ("ftp://x", "DOCKER_HOST=ftp://x"),
        ("tcp://", "DOCKER_HOST=tcp://"),
        ("ssh://nobody@localhost", "docker[ssh]"),
    ):
        monkeypatch.setenv("DOCKER_HOST", host)
        assert expected in refused().message
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", "/nonexistent")
    assert "DOCKER_CERT_PATH" in refused().message


def test_an_old_engine_is_refused_with_both_versions(
    monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", server)
    monkeypatch.setattr(Answer, "body", b'{"ApiVersion": "1.40", "Version": "19.03"}')
    message = refused().message
    assert "1.40" in message
    assert "1.41" in message


@pytest.mark.parametrize(
    ("code", "body"),
    [(200, b"<html>hello</html>"), (200, b"{}"), (200, b"[]"), (403, b"no"), (500, b"{}")],
)
def test_what_is_no_engine_is_one_line(
    code: int, body: bytes, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", server)
    monkeypatch.setattr(Answer, "code", code)
    monkeypatch.setattr(Answer, "body", body)
    assert server in refused().message


def test_a_web_server_is_said_to_be_no_docker_engine(
    monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", server)
    monkeypatch.setattr(Answer, "code", 200)
    monkeypatch.setattr(Answer, "body", b"<html>hello</html>")
    assert "Docker engine" in refused().message


def test_the_endpoint_named_is_the_one_that_was_tried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """docker 7.2 follows `docker context use`."""
    meta = tmp_path / "contexts" / "meta" / hashlib.sha256(b"far").hexdigest()
    meta.mkdir(parents=True)
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "far"}))
    there = {"docker": {"Host": "tcp://127.0.0.1:9", "SkipTLSVerify": False}}
    (meta / "meta.json").write_text(json.dumps({"Name": "far", "Metadata": {}, "Endpoints": there}))
    assert "127.0.0.1:9" in refused().message


def test_a_circle_of_causes_has_an_end() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__context__ = other, one
    assert root_cause(one) in (one, other)


def response(status: int) -> requests.Response:
    found = requests.Response()
    found.status_code = status
    return found


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (docker.errors.NotFound("x", response(404), "No such container: a"), "No such container"),
        (docker.errors.APIError("x", response(500), "no space left on device"), "free space"),
        (docker.errors.APIError("x", response(400), "first line\nsecond"), "first line"),
        (requests.exceptions.ChunkedEncodingError("Response ended prematurely"), "lost the Docker"),
        (requests.exceptions.ConnectionError("reset"), "lost the Docker engine"),
    ],
)
def test_an_error_in_mid_work_is_one_line(raised: Exception, expected: str) -> None:
    with pytest.raises(EngineError) as caught, engine_errors("running the container"):
        raise raised
    assert caught.value.message.startswith("running the container: ")
    assert expected in caught.value.message
    assert "\n" not in caught.value.message


def test_an_engines_refusal_ends_in_a_next_step() -> None:
    raised = docker.errors.APIError("x", response(400), "invalid mount config")
    with pytest.raises(EngineError) as caught, engine_errors("running the container"):
        raise raised
    assert "see above" not in caught.value.message
