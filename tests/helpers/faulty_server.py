"""An HTTP server on this machine that misbehaves as real mirrors do."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[["Request"], None]


class Request(BaseHTTPRequestHandler):
    """One request; the answers below write to it. Connections are closed after each."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.close_connection = True
        with self.server.lock:
            number = sum(path == self.path for path, _ in self.server.seen)
            self.server.seen.append((self.path, dict(self.headers.items())))
        answers = self.server.answers.get(self.path, [status(404)])
        with suppress(BrokenPipeError, ConnectionResetError):
            answers[min(number, len(answers) - 1)](self)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: what came is in `seen`."""

    def head(self, code: int, headers: dict[str, object]) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.send_header("Connection", "close")
        self.end_headers()


class Server(ThreadingHTTPServer):
    """`server.on("/x", first, second)`: the first answer, then the second for ever."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.answers: dict[str, list[Answer]] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.lock = threading.Lock()

    def handle_error(self, *_: object) -> None:
        """A client that goes away is what the tests are about."""

    def on(self, path: str, *answers: Answer) -> str:
        """Answer this path so; returns the URL."""
        self.answers[path] = list(answers)
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def times(self, path: str) -> int:
        return sum(seen == path for seen, _ in self.seen)

    def headers(self, path: str) -> list[dict[str, str]]:
        return [headers for seen, headers in self.seen if seen == path]


@contextmanager
def running() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def tag_of(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


def file(data: bytes, ranges: bool = True, tag: bool = True, **more: object) -> Answer:
    """The whole file, or the range asked for if If-Range still holds."""

    def answer(request: Request) -> None:
        headers: dict[str, object] = {"ETag": tag_of(data)} if tag else {}
        headers |= {name.replace("_", "-"): value for name, value in more.items()}
        start = _start(request, data) if ranges else 0
        if start is None:
            request.head(416, {"Content-Range": f"bytes */{len(data)}", "Content-Length": 0})
            return
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        request.head(206 if start else 200, {**headers, "Content-Length": len(data) - start})
        request.wfile.write(data[start:])

    return answer


def _start(request: Request, data: bytes) -> int | None:
    asked = request.headers.get("Range", "")
    if not asked.startswith("bytes=") or request.headers.get("If-Range") not in (
        None,
        tag_of(data),
    ):
        return 0
    start = int(asked.removeprefix("bytes=").rstrip("-"))
    return start if start < len(data) else None


def cut(data: bytes, after: int, **options: bool) -> Answer:
    """Promises the rest of the file and closes the connection `after` bytes of it."""

    def answer(request: Request) -> None:
        start = (_start(request, data) or 0) if options.get("ranges", True) else 0
        headers: dict[str, object] = {"Content-Length": len(data) - start}
        if options.get("tag", True):
            headers["ETag"] = tag_of(data)
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        request.head(206 if start else 200, headers)
        request.wfile.write(data[start : start + after])

    return answer


def status(code: int, body: bytes = b"gone", **headers: object) -> Answer:
    def answer(request: Request) -> None:
        request.head(code, {"Content-Length": len(body), **headers})
        request.wfile.write(body)

    return answer


def raw(body: bytes, code: int = 200, **headers: object) -> Answer:
    """Exactly this body with exactly these headers (`Content_Length=3`), then the end."""

    def answer(request: Request) -> None:
        request.head(code, {name.replace("_", "-"): value for name, value in headers.items()})
        request.wfile.write(body)

    return answer


def slow(data: bytes, pause: float) -> Answer:
    """In ten pieces with a pause before each."""

    def answer(request: Request) -> None:
        request.head(200, {"Content-Length": len(data), "ETag": tag_of(data)})
        step = max(1, len(data) // 10)
        for start in range(0, len(data), step):
            time.sleep(pause)
            request.wfile.write(data[start : start + step])
            request.wfile.flush()

    return answer


def endless(sent: list[int], limit: int) -> Answer:
    """A body that does not stop; `sent` counts what the client took, up to `limit`."""

    def answer(request: Request) -> None:
        request.head(200, {})
        block = bytes(range(256)) * 256
        while sum(sent) < limit:
            request.wfile.write(block)
            sent.append(len(block))

    return answer


def stalled(data: bytes) -> Answer:
    """All of the file, and then a last byte that does not come."""

    def answer(request: Request) -> None:
        request.head(200, {"Content-Length": len(data) + 1, "ETag": tag_of(data)})
        request.wfile.write(data)
        time.sleep(3)

    return answer
