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
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlparse

from decant.loader.catalog import lockfile
from decant.loader.catalog.cache import cache_folder
from decant.loader.catalog.download import download
from decant.loader.catalog.models import Catalog, Model, Source
from decant.loader.catalog.unpack import extract
from decant.loader.errors import BadInput, FetchError
from decant.loader.progress import Progress
from decant.loader.weights.era import looks_like

BLOCK = 1 << 20
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
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FetchError(
            f"{folder}: the cache cannot be made ({error.strerror}); DECANT_CACHE names another"
        ) from None
    target = folder / _file_name(source)
    wanted = lockfile.completed(catalog.path, model.name, what, source)
    with _one_at_a_time(folder):
        if not (target.exists() and not _mismatch(target, wanted) and _remembered(target, wanted)):
            try:
                _get(model, wanted, what, target, catalog, progress)
            except FetchError as error:
                raise error if wanted is source else _with_lock(error, catalog) from None
            _remember(target)
        if not wanted.hashes:
            lockfile.record(catalog.path, model.name, what, target, progress)
    return target


def _get(
    model: Model, source: Source, what: str, target: Path, catalog: Catalog, progress: Progress
) -> None:
    if source.archive is not None:
        _unpack(model, source, what, catalog, progress, target)
    else:
        _download_any(model.name, source, what, target, catalog, progress)


def _with_lock(error: FetchError, catalog: Catalog) -> FetchError:
    """What was expected is not a publisher's word but what came first."""
    lock = lockfile.path_for(catalog.path).name
    return FetchError(
        f"{error.message} ({lock} has what was first downloaded; if the publisher changed the file "
        "on purpose, remove its entry)",
        error.details,
    )


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


def _remembered(target: Path, source: Source) -> bool:
    """Whether a file without a published hash is still what it was when it was fetched."""
    if source.hashes:
        return True
    record = target.with_name(target.name + ".sha256")
    return record.exists() and record.read_text() == _hash(target, ["sha256"])["sha256"]


def _hash(path: Path, names: list[str]) -> dict[str, str]:
    """By name; "git" is a blob's id: the sha1 of a header with the size, and the bytes."""
    digests = {name: hashlib.new("sha1" if name == "git" else name) for name in names}
    if "git" in digests:
        digests["git"].update(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            for digest in digests.values():
                digest.update(block)
    return {name: digest.hexdigest() for name, digest in digests.items()}


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
        raise BadInput(
            f"{path}: the {what} of {name} is not there; put it back, or fix the catalog"
        )
    wrong = _mismatch(path, source)
    if wrong:
        raise FetchError(f"{path}: not the {what} of {name}: {wrong}; restore it")
    return path


def _unpack(
    model: Model, source: Source, what: str, catalog: Catalog, progress: Progress, target: Path
) -> None:
    """Fetch the archive (kept: other members come from it), take the one member, check it."""
    assert source.archive is not None
    archive_source = Source(urls=source.urls, sha1=source.archive.sha1, md5=source.archive.md5)
    archive = fetch(model, archive_source, f"{what} archive", catalog, progress)
    part = target.with_name(target.name + ".part")
    extract(archive, source.archive.member, part, source.size)
    _accept(part, target, source, what, str(archive.name))


def _accept(part: Path, target: Path, source: Source, what: str, origin: str) -> None:
    """Check, then give the file its name; a wrong one is deleted."""
    found = _unlike(part, what)
    wrong = _mismatch(part, source)
    if not wrong and not source.hashes and found:
        wrong = f"{found}, not a {what}"
    if wrong:
        part.unlink()
        looks = f" (it looks like {found})" if found and found not in wrong else ""
        raise FetchError(f"{origin}: {wrong}{looks}; the file was deleted")
    os.replace(part, target)


def _unlike(part: Path, what: str) -> str:
    """What the file is if, by its first bytes, it cannot be a `what`; else ""."""
    with part.open("rb") as file:
        start = file.read(4096)
    if not start:
        return "nothing"
    found = looks_like(start)
    if what.endswith("archive"):
        return "" if found.startswith("a gzip archive") else found
    if what != "caffemodel":
        return found if found in WRONG else ""
    # field tags and lengths are control characters: no caffemodel begins with a page of text
    text = all(32 <= byte < 127 or byte in b"\t\r\n" for byte in start)
    return found or ("a text" if text else "")


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
                download(url, part, f"{name}: {what}", source.size, progress)
            _accept(part, target, source, what, url)
            return
        except FetchError as error:
            tried.append(error.message)
        except OSError as error:
            if error.errno == 28:  # ENOSPC
                raise FetchError(f"no space left for {target}; free some and try again") from None
            tried.append(f"{url}: {error}")
    option = next((word for word in ("caffemodel", "prototxt") if word in what), "")
    advice = f"; download it by hand and give --{option} FILE" if option else "; try again later"
    raise FetchError(f"{name}: the {what} could not be downloaded: {tried[0]}{advice}", tried)


def _copy(url: str, catalog: Catalog, part: Path) -> None:
    path = catalog.local(unquote(urlparse(url).path or url.removeprefix("file:")))
    if not path.is_file():
        raise FetchError(f"{url}: no such file")
    with path.open("rb") as source, part.open("wb") as out:
        while block := source.read(BLOCK):
            out.write(block)
