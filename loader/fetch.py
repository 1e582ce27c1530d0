"""Files of the catalog, on disk and proven: downloaded, taken from a folder, or unpacked.

A file gets its name in the cache only after size and every published hash were checked. The cache is
shared: the place of a file depends on where it comes from and what it must hash to, not on the model.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from dumper.era import looks_like
from loader import lockfile
from loader.cache import cache_folder
from loader.catalog import Catalog, Model, Source
from loader.errors import BadInput, FetchError
from loader.progress import Progress
from loader.unpack import extract

if TYPE_CHECKING:
    import requests

BLOCK = 1 << 20
TRIES = 4
TIMEOUT = (15, 60)
# what a dead link answers with; a caffemodel or a tar.gz never begins like this
WRONG = ("a web page", "an XML page", "a page of markup", "a git-lfs pointer", "an error page")


@dataclass
class Files:
    """What a model is made from; `notes` are for the person who asked."""

    prototxt: Path
    caffemodel: Path
    notes: list[str] = field(default_factory=list)


def resolve(
    model: Model,
    catalog: Catalog,
    progress: Progress,
    prototxt: Path | None = None,
    caffemodel: Path | None = None,
) -> Files:
    """Both files of a model; a path given replaces the download.

    A file of one's own may be another version than the published one: that is a note, no error.
    """
    files = Files(
        prototxt or fetch(model, model.prototxt, "prototxt", catalog, progress),
        caffemodel or fetch(model, model.caffemodel, "caffemodel", catalog, progress),
    )
    for given, source in ((prototxt, model.prototxt), (caffemodel, model.caffemodel)):
        if given is not None and source.hashes and _mismatch(given, source):
            files.notes.append(f"{given} is not the published file of {model.name}")
    return files


def fetch(model: Model, source: Source, what: str, catalog: Catalog, progress: Progress) -> Path:
    """One checked file. Raises FetchError that names every place tried and why it failed."""
    if source.file is not None:
        return _local(catalog.local(source.file), source, model.name, what)
    folder = cache_folder() / "files" / _key(source)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / _file_name(source)
    with _one_at_a_time(folder):
        if target.exists() and not _mismatch(target, source) and _remembered(target):
            lockfile.check(catalog.path, model.name, what, target, source)
            return target
        if source.archive is not None:
            _unpack(model, source, what, catalog, progress, target)
        else:
            _download_any(model.name, source, what, target, catalog, progress)
        lockfile.check(catalog.path, model.name, what, target, source)
        _remember(target)
    return target


def _key(source: Source) -> str:
    """Equal for equal sources, whichever model names them."""
    decides = source.model_dump(exclude={"urls"}) if source.hashes else source.model_dump()
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:32]


def _file_name(source: Source) -> str:
    path = source.archive.member if source.archive else urlparse(source.urls[0]).path
    return Path(unquote(path)).name or "file"


@contextlib.contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Two processes that want one file: the second waits and finds it done."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remember(target: Path) -> None:
    target.with_name(target.name + ".sha256").write_text(_hash(target, ["sha256"])["sha256"])


def _remembered(target: Path) -> bool:
    """Whether a file without a published hash is still what it was when it was fetched."""
    record = target.with_name(target.name + ".sha256")
    return record.exists() and record.read_text() == _hash(target, ["sha256"])["sha256"]


def _hash(path: Path, names: list[str]) -> dict[str, str]:
    digests = [hashlib.new(name) for name in names]
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            for digest in digests:
                digest.update(block)
    return {digest.name: digest.hexdigest() for digest in digests}


def _mismatch(path: Path, source: Source) -> str:
    """ "" if size and all hashes hold, else what differs."""
    size = path.stat().st_size
    if source.size is not None and size != source.size:
        return f"{size} bytes, expected {source.size}"
    found = _hash(path, list(source.hashes))
    for name, digest in source.hashes.items():
        if found[name] != digest:
            return f"{name} {found[name]}, expected {digest}"
    return ""


def _local(path: Path, source: Source, name: str, what: str) -> Path:
    if not path.is_file():
        raise BadInput(f"{path}: the {what} of {name} is not there; restore it from the repository")
    wrong = _mismatch(path, source)
    if wrong:
        raise FetchError(f"{path}: not the {what} of {name}: {wrong}; restore it")
    return path


def _unpack(
    model: Model, source: Source, what: str, catalog: Catalog, progress: Progress, target: Path
) -> None:
    """Fetch the archive (kept: other members come from it), take the one member, check it."""
    assert source.archive is not None
    archive_source = Source(urls=source.urls, sha1=source.archive.sha1)
    if source.archive.md5:
        archive_source = Source(urls=source.urls)
    archive = fetch(model, archive_source, f"{what} archive", catalog, progress)
    if source.archive.md5 and _hash(archive, ["md5"])["md5"] != source.archive.md5:
        archive.unlink()
        raise FetchError(
            f"{archive.name}: md5 is not {source.archive.md5}; the file was deleted, fetch it again"
        )
    part = target.with_name(target.name + ".part")
    extract(archive, source.archive.member, part)
    _accept(part, target, source, str(archive.name))


def _accept(part: Path, target: Path, source: Source, origin: str) -> None:
    """Check, then give the file its name; a wrong one is deleted."""
    with part.open("rb") as file:
        found = looks_like(file.read(4096))
    wrong = _mismatch(part, source)
    if not wrong and not source.hashes and (found in WRONG or part.stat().st_size == 0):
        wrong = f"{found or 'nothing'}, not the file"
    if wrong:
        part.unlink()
        looks = f" (it looks like {found})" if found in WRONG and found not in wrong else ""
        raise FetchError(f"{origin}: {wrong}{looks}; the file was deleted")
    os.replace(part, target)


def _download_any(
    name: str, source: Source, what: str, target: Path, catalog: Catalog, progress: Progress
) -> None:
    """The mirrors in their order."""
    tried = []
    for url in source.urls:
        part = target.with_name(
            f"{target.name}.{hashlib.sha256(url.encode()).hexdigest()[:8]}.part"
        )
        try:
            if url.startswith("file:"):
                _copy(url, catalog, part)
            else:
                _download(url, part, f"{name}: {what}", progress)
            _accept(part, target, source, url)
            return
        except FetchError as error:
            tried.append(error.message)
        except OSError as error:
            if error.errno == 28:  # ENOSPC
                raise FetchError(f"no space left for {target}; free some and try again") from None
            tried.append(f"{url}: {error}")
    raise FetchError(
        f"{name}: the {what} cannot be had: {tried[0]}; download it by hand and give "
        f"{'--caffemodel' if 'caffemodel' in what else '--prototxt'} FILE",
        tried,
    )


def _copy(url: str, catalog: Catalog, part: Path) -> None:
    path = catalog.local(unquote(urlparse(url).path or url.removeprefix("file:")))
    if not path.is_file():
        raise FetchError(f"{url}: no such file")
    with path.open("rb") as source, part.open("wb") as out:
        while block := source.read(BLOCK):
            out.write(block)


def _download(url: str, part: Path, description: str, progress: Progress) -> None:
    """Try a few times; each goes on where the last one broke off."""
    import requests

    for attempt in range(TRIES):
        try:
            _try_download(requests.Session(), url, part, description, progress)
            return
        except (requests.RequestException, OSError, zlib.error) as error:
            answer = getattr(error, "response", None)
            final = answer is not None and 400 <= answer.status_code < 500
            if getattr(error, "errno", None) == 28:
                raise
            if final or attempt == TRIES - 1:
                part.unlink(missing_ok=True)
                raise FetchError(f"{url}: {_why(error)}") from None
            time.sleep(pause(attempt))


def pause(attempt: int) -> float:
    """Seconds to wait after a failed try: 1, 2, 4 ... ($DECANT_RETRY_PAUSE scales it)."""
    return float(os.environ.get("DECANT_RETRY_PAUSE", "1")) * min(2.0**attempt, 10.0)


def _why(error: Exception) -> str:
    answer = getattr(error, "response", None)
    if answer is not None:
        return f"HTTP {answer.status_code} {answer.reason}"
    text = str(error)
    return (text.splitlines() or [type(error).__name__])[0][:200]


def _try_download(
    session: requests.Session, url: str, part: Path, description: str, progress: Progress
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
        total = have + int(length) if length and length.isdigit() else None
        with (
            progress.task(description, total, "bytes") as task,
            part.open("ab" if resumed else "wb") as out,
        ):
            task.advance(have)
            for block in answer.iter_content(BLOCK):
                out.write(block)
                task.advance(len(block))
    if total is not None and part.stat().st_size != total:
        raise requests.ConnectionError(f"{part.stat().st_size} of {total} bytes came")
    tag.unlink(missing_ok=True)


def _starts_at(answer: Any, position: int) -> bool:
    """A 206 that answers another range would splice two files."""
    return str(answer.headers.get("Content-Range", "")).startswith(f"bytes {position}-")
