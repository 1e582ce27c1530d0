"""Reaching the Docker engine, and saying clearly why it cannot be reached."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from decant.loader.errors import EngineError

if TYPE_CHECKING:
    import docker

API = (1, 41)


def connect() -> docker.DockerClient:
    """A client of an engine that answers. Raises EngineError with the endpoint and the next step."""
    import docker
    import requests

    try:
        client = docker.from_env(timeout=120)
        version = client.version()["ApiVersion"]
    except docker.errors.TLSParameterError as error:
        raise EngineError(f"DOCKER_CERT_PATH or DOCKER_TLS_VERIFY is wrong: {error}") from None
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise EngineError(_unreachable(error)) from None
    except (ValueError, KeyError, TypeError) as error:
        raise EngineError(_unreachable(error)) from None
    if tuple(int(part) for part in version.split(".")) < API:
        raise EngineError(
            f"the Docker engine at {endpoint()} speaks API {version}, "
            f"{API[0]}.{API[1]} is needed: update it, or use --engine reader"
        )
    return client


def endpoint() -> str:
    """Where the engine is looked for."""
    given = os.environ.get("DOCKER_HOST")
    if given:
        return given
    from docker.context import ContextAPI

    try:
        context = ContextAPI.get_current_context()
    except Exception:  # a context that cannot be read is not what the SDK will use either
        context = None
    return str(context.Host) if context and context.Host else "unix:///var/run/docker.sock"


def root_cause(error: BaseException) -> BaseException:
    """The end of the chain of causes (which can be a circle)."""
    seen = {id(error)}
    while True:
        following = error.__cause__ or error.__context__
        if following is None or id(following) in seen:
            return error
        seen.add(id(following))
        error = following


def _unreachable(error: BaseException) -> str:
    cause = root_cause(error)
    where = endpoint()
    if isinstance(cause, PermissionError) or "Permission denied" in str(error):
        return (
            f"no permission to use Docker at {where}: join the docker group or use rootless "
            "Docker; --engine reader needs no Docker"
        )
    if "paramiko" in str(error):
        return f"DOCKER_HOST={where} needs SSH support: pip install 'docker[ssh]'"
    if isinstance(cause, (FileNotFoundError, ConnectionError)) or "Connection" in str(error):
        return (
            f"no Docker engine answers at {where}: start Docker or set DOCKER_HOST; "
            "--engine reader needs none"
        )
    return (
        f"what answers at DOCKER_HOST={where} is not a Docker engine that we can talk to "
        f"({_first_line(str(cause))}): set DOCKER_HOST, or use --engine reader"
    )


def _first_line(text: str) -> str:
    return (text.strip() or "no reason given").splitlines()[0][:300]


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Turn what the SDK raises in mid-work into one line that says what was being done."""
    import docker
    import requests

    try:
        yield
    except docker.errors.NotFound as error:
        raise EngineError(
            f"{doing}: {_first_line(error.explanation or str(error))}: somebody removed it; try again"
        ) from None
    except docker.errors.APIError as error:
        explanation = _first_line(str(error.explanation or error))
        full = "no space left" in explanation
        step = "free space on the engine's disk" if full else "`decant doctor` looks at the engine"
        raise EngineError(f"{doing}: the Docker engine says: {explanation} ({step})") from error
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise EngineError(
            f"{doing}: lost the Docker engine ({_first_line(str(root_cause(error)))}); try again"
        ) from error
