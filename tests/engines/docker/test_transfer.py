"""What goes in is a plain archive; what comes out is one regular file, or an error."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from decant.engines.docker.transfer import BLOCK, fetch_one, tar_stream
from decant.loader.errors import BadInput, EngineError


def opened(pieces: Iterator[bytes]) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(b"".join(pieces)))


def test_files_arrive_whole_and_folders_belong_to_the_caller(tmp_path: Path) -> None:
    content = os.urandom(2 * BLOCK + 17)
    (tmp_path / "weights").write_bytes(content)
    sent = [("in", None), ("in/job.json", b"{}"), ("in/empty", b""), ("in/w", tmp_path / "weights")]
    with opened(tar_stream(sent, 1000, 100)) as archive:
        members = {member.name: member for member in archive}
        assert list(members) == [name for name, _ in sent]
        assert members["in"].isdir()
        assert members["in"].mode & 0o200
        assert {(m.uid, m.gid, m.mtime) for m in members.values()} == {(1000, 100, 0)}
        assert archive.extractfile(members["in/w"]).read() == content  # type: ignore[union-attr]
        assert archive.extractfile(members["in/job.json"]).read() == b"{}"  # type: ignore[union-attr]


def test_a_large_file_goes_in_pieces(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(16 * BLOCK)
    assert max(map(len, tar_stream([("large", tmp_path / "large")], 0, 0))) <= BLOCK


def test_a_file_that_shrinks_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(bytes(3 * BLOCK))
    pieces = tar_stream([("w", path)], 0, 0)
    next(pieces)
    path.write_bytes(b"short")
    with pytest.raises(BadInput, match="changed while it was read"):
        list(pieces)


class Sender:
    """A container that answers get_archive with bytes of our choice, in small pieces."""

    def __init__(self, content: bytes | None, size: int = 0) -> None:
        self.content, self.size = content, size

    def get_archive(self, path: str, chunk_size: int) -> tuple[Iterator[bytes], dict[str, int]]:
        if self.content is None:
            raise docker.errors.NotFound("no such file")
        pieces = (self.content[at : at + 1000] for at in range(0, len(self.content), 1000))
        return pieces, {"size": self.size}


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def member(kind: bytes = tarfile.REGTYPE, name: str = "dump.h5", link: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, link
    return found


def fetch(content: bytes | None, target: Path, size: int = 0, limit: int = 1 << 20) -> bool:
    return fetch_one(Sender(content, size), "/io/out/dump.h5", target, limit)  # type: ignore[arg-type]


def test_one_regular_file_is_fetched_whatever_its_name_says(tmp_path: Path) -> None:
    content = os.urandom(12_345)
    assert fetch(archive((member(name="../../etc/evil"), content)), tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["got"]


def test_no_file_is_told_apart_from_a_bad_one(tmp_path: Path) -> None:
    assert not fetch(None, tmp_path / "got")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
)
def test_anything_but_a_regular_file_is_refused(kind: bytes, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="not one regular file"):
        fetch(archive((member(kind, link="/etc/passwd"), b"")), tmp_path / "got")
    assert not list(tmp_path.iterdir())


def test_too_large_a_file_is_refused_by_its_announcement_and_by_its_header(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="over 100"):
        fetch(archive((member(), bytes(200))), tmp_path / "got", size=200, limit=100)
    with pytest.raises(EngineError, match="acceptable|not one regular"):
        fetch(archive((member(), bytes(200))), tmp_path / "got", size=0, limit=100)
    assert not list(tmp_path.iterdir())


def test_only_the_first_member_counts(tmp_path: Path) -> None:
    fetch(archive((member(), b"one"), (member(name="other"), b"two")), tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == b"one"


@pytest.mark.parametrize("length", [0, 512 + 1000])
def test_a_stream_that_ends_early_is_an_engine_error(length: int, tmp_path: Path) -> None:
    whole = archive((member(), bytes(5000)))
    with pytest.raises(EngineError):
        fetch(whole[:length], tmp_path / "got")
