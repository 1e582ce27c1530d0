"""Files into and out of a container's volume, as streams: works with any DOCKER_HOST."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from decant.loader.errors import BadInput, EngineError

if TYPE_CHECKING:
    from docker.models.containers import Container

# bytes at a time, so that a dump is never in memory whole
BLOCK = 1 << 20


def tar_stream(
    files: Iterable[tuple[str, Path | bytes | None]], uid: int, gid: int
) -> Iterator[bytes]:
    """A tar archive in pieces of constant size; None makes a folder that the caller's uid owns.

    Raises BadInput when a file shrinks while it is read.
    """
    for name, content in files:
        member = tarfile.TarInfo(name)
        member.uid, member.gid, member.mtime = uid, gid, 0
        if content is None:
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            yield member.tobuf(tarfile.PAX_FORMAT)
            continue
        member.mode = 0o444
        member.size = len(content) if isinstance(content, bytes) else content.stat().st_size
        yield member.tobuf(tarfile.PAX_FORMAT)
        if isinstance(content, bytes):
            yield content
        else:
            yield from _blocks(content, member.size)
        yield bytes(-member.size % 512)
    yield bytes(1024)


def _blocks(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        while size:
            block = file.read(min(size, BLOCK))
            if not block:
                raise BadInput(f"{path}: changed while it was read; try again")
            size -= len(block)
            yield block


def fetch_one(container: Container, path: str, target: Path, limit: int) -> bool:
    """Copy one regular file of at most `limit` bytes to `target`; False if there is none.

    What comes back is an archive from an untrusted container: one plain member, never extracted.
    """
    import docker

    try:
        stream, stat = container.get_archive(path, chunk_size=2 * BLOCK)
    except docker.errors.NotFound:
        return False
    size = int((stat or {}).get("size", 0))
    if size > limit:
        raise EngineError(f"{path}: {size} bytes came out of the container, over {limit}")
    raw = io.BufferedReader(_Chunks(stream), 2 * BLOCK)
    try:
        with tarfile.open(fileobj=raw, mode="r|") as archive:
            member = archive.next()
            if member is None or not member.isreg() or member.size > limit:
                raise EngineError(f"{path}: not one regular file; the net may be hostile")
            _save(archive, member, target)
    except tarfile.TarError as error:
        target.unlink(missing_ok=True)
        raise EngineError(f"{path}: cut off on its way out of the container ({error})") from None
    return True


def _save(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    source = archive.extractfile(member)
    assert source is not None
    with target.open("wb") as out:
        shutil.copyfileobj(source, out, BLOCK)
        out.flush()
        os.fsync(out.fileno())


class _Chunks(io.RawIOBase):
    """A readable file over an iterator of byte strings."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = chunk
        taken = self._rest[: len(buffer)]
        buffer[: len(taken)] = taken
        self._rest = self._rest[len(taken) :]
        return len(taken)
