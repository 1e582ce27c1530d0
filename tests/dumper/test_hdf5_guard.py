"""HDF5 files that nobody honest wrote: refused, each by our own error."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from decant.dumper import dumpfile
from decant.dumper.dumpfile import DumpError, Header, Layer
from tests.dumper.test_dumpfile import layers
from tests.helpers import in_child

ARRAY = np.random.default_rng(23).random((2, 3)).astype(np.float32)


HEADER = Header("n", "p", "", "reader", "", True, "")


def hdf5(tmp_path: Path, layers: list[Layer] | None = None) -> Path:
    path = tmp_path / "dump.h5"
    dumpfile.write(path, HEADER, layers or [Layer("a", "T", [], [], [ARRAY], [None])], {})
    return path


def test_a_hostile_heap_of_texts_does_not_hang_the_reader(tmp_path: Path) -> None:
    path = hdf5(tmp_path)
    data = bytearray(path.read_bytes())
    first = data.index(b"GCOL") + 16
    # rounded up, with its header, this size is 0
    data[first + 8 : first + 16] = (2**64 - 16).to_bytes(8, "little")
    path.write_bytes(data)
    assert in_child.read("dumpfile", path)["kind"] == "DumpError"


def test_a_group_whose_name_is_no_utf_8_is_refused(tmp_path: Path) -> None:
    """h5py gives such a name as bytes."""
    import h5py

    path = tmp_path / "odd.h5"
    dumpfile.write(path, dumpfile.Header("net", "", "", "reader", "", False, ""), [], {})
    with h5py.File(path, "r+") as file:
        h5py.h5g.create(file.require_group("layers").id, b"\xff\xfe")
    with pytest.raises(dumpfile.DumpError):
        dumpfile.read(path)


LONG = Header("net", "name: 'x'\n" * 9000, "", "reader", "", True, "ab" * 32)


def written(tmp_path: Path, suffix: str = ".h5") -> Path:
    path = tmp_path / ("dump" + suffix)
    dumpfile.write(path, LONG, layers(), {})
    return path


def external_link(file: h5py.File) -> None:
    file["layers/00000/params/9"] = h5py.ExternalLink("other.h5", "/x")


def soft_link(file: h5py.File) -> None:
    file["layers/00000/params/9"] = h5py.SoftLink("/layers")


def cycle(file: h5py.File) -> None:
    file["layers/00000/loop"] = file["layers"]


def chunked(file: h5py.File) -> None:
    file.create_dataset("layers/00000/params/9", (1 << 20,), "<f4", chunks=True)


def filtered(file: h5py.File) -> None:
    file.create_dataset("x", data=np.zeros(100, "<f4"), compression="gzip")


def outside(file: h5py.File) -> None:
    file.create_dataset("x", (4,), "<f4", external=[("/etc/passwd", 0, 16)])


def integers(file: h5py.File) -> None:
    file["x"] = np.arange(3)


def listed_attribute(file: h5py.File) -> None:
    file.attrs["more"] = ["a", "b"]


def extra_array(file: h5py.File) -> None:
    file["extra"] = np.zeros(2, "<f4")


def no_mark(file: h5py.File) -> None:
    del file.attrs["format"]


def newer(file: h5py.File) -> None:
    file.attrs["version"] = np.int64(2)


def missing_layer(file: h5py.File) -> None:
    del file["layers/00001"]


HOSTILE = [external_link, soft_link, cycle, chunked, filtered, outside, integers, listed_attribute,
           extra_array, no_mark, newer, missing_layer]  # fmt: skip


@pytest.mark.parametrize("change", HOSTILE)
def test_a_hostile_or_foreign_file_is_refused(change: object, tmp_path: Path) -> None:
    path = written(tmp_path)
    with h5py.File(path, "r+") as file:
        change(file)  # type: ignore[operator]
    with pytest.raises(DumpError, match=str(path)):
        dumpfile.read(path)
