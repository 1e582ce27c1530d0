"""Archives that nobody honest wrote: refused, each by our own error."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decant.dumper import dumpfile
from decant.dumper.dumpfile import DumpError, Header
from tests.dumper.test_dumpfile import layers
from tests.dumper.test_reading import META, member, npz, refused

ARRAY = np.random.default_rng(23).random((2, 3)).astype(np.float32)


def with_owners(owners: str) -> dict[str, Any]:
    return {**META, "layers/00000/params": {"owners": owners}}


def test_the_hand_made_archive_is_a_dump(tmp_path: Path) -> None:
    found = dumpfile.read(npz(tmp_path)).layers[0].params[0]
    assert np.array_equal(found, ARRAY)


def header(shape: str, kind: str = "<f4") -> str:
    return "{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (kind, shape)


HELD: dict[str, Callable[[Path], Path]] = {
    "4 TiB announced": lambda to: npz(to, array=member(header("(1099511627776,)"))),
    "3 GiB announced": lambda to: npz(to, array=member(header("(805306368,)"))),
    "a count that wraps": lambda to: npz(to, array=member(header("(4294967296, 4294967296)"))),
    "a negative axis": lambda to: npz(to, array=member(header("(-6,)"))),
    "objects": lambda to: npz(to, array=member(header("(2, 3)", "|O"))),
    "doubles": lambda to: npz(to, array=member(header("(3,)", "<f8"))),
    "big-endian": lambda to: npz(to, array=member(header("(2, 3)", ">f4"))),
    "an owner further on": lambda to: npz(to, with_owners("[[1, 0]]")),
    "an array nobody names": lambda to: npz(to, more=(("x.npy", member()),)),
    "a member that is not an array": lambda to: npz(to, more=(("x.txt", b"x"),)),
    "no attributes": lambda to: npz(to, "{}"),
    "a list of attributes": lambda to: npz(to, "[]"),
}


@pytest.mark.parametrize("name", sorted(HELD))
def test_an_archive_that_nobody_honest_wrote_is_refused(name: str, tmp_path: Path) -> None:
    assert refused(HELD[name](tmp_path))


def test_a_flipped_bit_in_an_archives_data_is_seen(tmp_path: Path) -> None:
    path = npz(tmp_path)
    data = bytearray(path.read_bytes())
    data[data.index(ARRAY.tobytes())] ^= 1
    path.write_bytes(data)
    assert refused(path)


HEADER = Header("net", "name: 'x'\n" * 9000, "", "reader", "", True, "ab" * 32)


def written(tmp_path: Path, suffix: str = ".h5") -> Path:
    path = tmp_path / ("dump" + suffix)
    dumpfile.write(path, HEADER, layers(), {})
    return path


def test_an_npz_with_a_member_twice_or_compressed_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, ".npz")
    squeezed = tmp_path / "squeezed.npz"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(squeezed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(DumpError, match="compressed"):
        dumpfile.read(squeezed)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("meta.json", b"{}")
    with pytest.raises(DumpError, match="twice"):
        dumpfile.read(path)


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, a=np.array([object()], dtype=object))
    with pytest.raises(DumpError):
        dumpfile.read(path)
