"""The NPZ form: numpy reads it, and its bytes are the same whenever it is written."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np

from decant.dumper.npz_writer import META, NpzWriter, blocks

ARRAYS = {
    "layers/00000/params/0": np.arange(6, dtype="<f4").reshape(2, 3),
    "scalar": np.float32(3).reshape(()),
    "empty": np.zeros((0, 4), "<f4"),
    "columns": np.arange(6, dtype="<f4").reshape(2, 3).T,
}


def write(path: Path) -> bytes:
    with NpzWriter(path) as tree:
        tree.attributes("", {"net_name": "é", "version": np.int64(1)})
        for place, array in ARRAYS.items():
            tree.array(place, array, {"name": place} if place == "scalar" else None)
    return path.read_bytes()


def test_numpy_reads_it_and_the_bytes_repeat(tmp_path: Path) -> None:
    assert write(tmp_path / "a.npz") == write(tmp_path / "b.npz")
    with zipfile.ZipFile(str(tmp_path / "a.npz")) as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.namelist()[-1] == META
        found = json.loads(archive.read(META).decode())
        assert found == {"": {"net_name": "é", "version": 1}, "scalar": {"name": "scalar"}}
        for place, array in ARRAYS.items():
            with archive.open(place + ".npy") as file:
                read = np.lib.format.read_array(file)
            assert read.dtype == np.dtype("<f4") and np.array_equal(read, array)


def test_what_fails_on_its_way_has_no_attributes(tmp_path: Path) -> None:
    try:
        with NpzWriter(tmp_path / "a.npz") as tree:
            tree.attributes("", {"x": 1})
            raise KeyError
    except KeyError:
        pass
    with zipfile.ZipFile(str(tmp_path / "a.npz")) as archive:
        assert archive.namelist() == []


def test_pieces_are_all_of_an_array() -> None:
    large = np.arange(3 << 20, dtype="<f4")
    pieces = list(blocks(large))
    assert len(pieces) == 3 and b"".join(pieces) == large.tobytes()
