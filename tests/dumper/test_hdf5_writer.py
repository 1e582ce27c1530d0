"""The HDF5 form, read by h5py's own upper level."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from decant.dumper.hdf5_writer import Hdf5Writer

ARRAYS = {
    "layers/00000/params/0": np.arange(6, dtype="<f4").reshape(2, 3),
    "layers/00000/params/1": np.float32(3).reshape(()),
    "layers/00001/activations/0": np.arange(6, dtype="<f4").reshape(2, 3).T,
    "probe/0": np.zeros((0, 4), "<f4"),
}


def write(path: Path) -> bytes:
    with Hdf5Writer(path) as tree:
        tree.attributes("", {"net_name": "é", "version": 1})
        tree.attributes("layers/00000", {"name": "a/b"})
        for place, array in ARRAYS.items():
            tree.array(place, array, {"name": "data"} if place == "probe/0" else None)
    return path.read_bytes()


def test_h5py_reads_it_and_the_bytes_repeat(tmp_path: Path) -> None:
    assert write(tmp_path / "a.h5") == write(tmp_path / "b.h5")
    with h5py.File(str(tmp_path / "a.h5"), "r") as file:
        assert dict(file.attrs) == {"net_name": "é", "version": 1}
        assert file["layers/00000"].attrs["name"] == "a/b"
        assert file["probe/0"].attrs["name"] == "data"
        places = []
        file.visititems(
            lambda name, item: places.append(name) if isinstance(item, h5py.Dataset) else None
        )
        assert sorted(places) == sorted(ARRAYS)
        for place, array in ARRAYS.items():
            found = file[place]
            assert found.dtype == np.dtype("<f4") and found.chunks is None
            assert np.array_equal(found[()], array)
