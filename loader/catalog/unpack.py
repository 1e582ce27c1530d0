"""One member out of a tar archive that nobody vouches for: streamed, never extracted."""

from __future__ import annotations

import tarfile
import zlib
from pathlib import Path

from decant.loader.errors import FetchError

BLOCK = 1 << 20
# a member without a size in the catalog may unpack to so much: several times the largest model
LIMIT = 4 << 30


def extract(archive: Path, member: str, target: Path, size: int | None = None) -> None:
    """Write the regular file `member` to `target`. Raises FetchError, listing what is there.

    `size` is what the catalog says of the member, and the most that is written.
    """
    seen: list[str] = []
    try:
        with tarfile.open(archive, "r|*") as tar:
            for item in tar:
                if item.name.removeprefix("./") != member:
                    seen.append(item.name[:80])
                    continue
                if not item.isreg() or item.issparse() or item.size > (size or LIMIT):
                    raise FetchError(f"{archive.name}: {member} is not a regular file of sane size")
                _copy(tar, item, target)
                return
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        target.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            raise FetchError(
                f"{target}: cannot be written: {error.strerror}; free some space"
            ) from None
        raise FetchError(f"{archive.name}: damaged archive ({error}); fetch it again") from None
    listed = ", ".join(seen[:10])
    raise FetchError(f"{archive.name}: has no member {member}; it has {listed or 'nothing'}")


def _copy(tar: tarfile.TarFile, item: tarfile.TarInfo, target: Path) -> None:
    source = tar.extractfile(item)
    assert source is not None
    with target.open("wb") as out:
        while block := source.read(BLOCK):
            out.write(block)
