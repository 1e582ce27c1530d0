"""One URL to one file over HTTP: tries again, goes on where it broke off, stops at the size."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from decant.loader.errors import FetchError
from decant.loader.progress import Progress

if TYPE_CHECKING:
    import requests

BLOCK = 1 << 20
# in a row without a new byte; seconds to connect and between two bytes
TRIES = 4
TIMEOUT = (15, 60)
# no weights are larger, where the catalog does not say a size
MAX_BYTES = 16 << 30
# HTTP answers that may be other ones a moment later; 416: what we had was not the file's beginning
PASSING = (408, 416, 429)


def download(url: str, part: Path, description: str, size: int | None, progress: Progress) -> None:
    """Try again while it moves on, a few times where it does not; each goes on where the last one
    broke off. What came before giving up stays, for the next run.
    """
    import requests

    failures = 0
    while True:
        had = part.stat().st_size if part.exists() else 0
        try:
            with requests.Session() as session:
                _try_download(session, url, part, description, size, progress)
            return
        except (requests.RequestException, OSError, zlib.error) as error:
            if getattr(error, "errno", None) == 28:
                raise
            answer = getattr(error, "response", None)
            code = 0 if answer is None else answer.status_code
            final = 400 <= code < 500 and code not in PASSING
            if final or code == 416:
                part.unlink(missing_ok=True)
            moved = part.exists() and part.stat().st_size >= had + BLOCK
            failures = 1 if moved else failures + 1
            if final or failures == TRIES:
                raise FetchError(f"{url}: {_why(error)}") from None
            progress.note(f"{description}: {_why(error)}; trying again")
            time.sleep(pause(failures - 1))


def pause(attempt: int) -> float:
    """Seconds to wait after a failed try: 1, 2, 4 ... ($DECANT_RETRY_PAUSE scales it)."""
    return float(os.environ.get("DECANT_RETRY_PAUSE", "1")) * min(2.0**attempt, 10.0)


def _why(error: Exception) -> str:
    answer = getattr(error, "response", None)
    if answer is not None:
        return f"HTTP {answer.status_code} {answer.reason}"
    text = str(error)
    for mark, meaning in (
        ("NameResolutionError", "the host's name cannot be resolved"),
        ("Connection refused", "the host refuses the connection"),
        ("timed out", "the host did not answer in time"),
    ):
        if mark in text:
            return meaning
    return (text.splitlines() or [type(error).__name__])[0][:200]


def _try_download(
    session: requests.Session,
    url: str,
    part: Path,
    description: str,
    size: int | None,
    progress: Progress,
) -> None:
    import requests

    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"}
    tag = part.with_suffix(".etag")
    if have and tag.exists():
        # without a tag nobody can say that the rest belongs to the same file
        headers |= {"Range": f"bytes={have}-", "If-Range": tag.read_text()}
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        answer.raise_for_status()
        resumed = answer.status_code == 206 and _starts_at(answer, have)
        etag = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
        if etag and not etag.startswith("W/"):
            tag.write_text(etag)
        have = have if resumed else 0
        length = answer.headers.get("Content-Length")
        decode = _to_decode(answer, url)
        total = have + int(length) if length and length.isdigit() and not decode else None
        if size is not None and total is not None and total != size:
            raise FetchError(f"{url}: offers {total} bytes, expected {size}")
        with (
            progress.task(description, total, "bytes") as task,
            part.open("ab" if resumed else "wb") as out,
        ):
            task.advance(have)
            for block in _blocks(answer, decode):
                have += len(block)
                if have > (size or MAX_BYTES):
                    part.unlink()
                    raise FetchError(f"{url}: goes on after {size or MAX_BYTES} bytes")
                out.write(block)
                task.advance(len(block))
    if total is not None and part.stat().st_size != total:
        raise requests.ConnectionError(f"{part.stat().st_size} of {total} bytes came")
    tag.unlink(missing_ok=True)


def _to_decode(answer: Any, url: str) -> bool:
    """Whether the body is compressed for the way only.

    Some servers send .tar.gz files as tar files "encoded" with gzip: there the encoding is the file.
    """
    encoding = answer.headers.get("Content-Encoding", "identity").lower()
    return encoding != "identity" and not urlparse(url).path.endswith((".gz", ".tgz"))


def _blocks(answer: Any, decode: bool) -> Iterator[bytes]:
    """The body, undecoded unless `decode`: requests itself would always decode."""
    import requests
    import urllib3

    try:
        blocks = answer.raw.stream(BLOCK, decode_content=False)
        yield from _inflated(blocks) if decode else blocks
    except urllib3.exceptions.HTTPError as error:
        raise requests.ConnectionError(str(error)) from None


def _inflated(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """gzip or deflate undone, a block at a time; unlike urllib3 it demands the stream's end."""
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
    for block in blocks:
        while block:
            yield inflate.decompress(block, BLOCK)
            block = inflate.unconsumed_tail
    if not inflate.eof:
        raise zlib.error("the compressed answer is cut off")


def _starts_at(answer: Any, position: int) -> bool:
    """A 206 that answers another range would splice two files."""
    return str(answer.headers.get("Content-Range", "")).startswith(f"bytes {position}-")
