"""Write a dump's tree as HDF5, through h5py's low-level API.

A deep net has thousands of small objects, and h5py's upper level costs several times what libhdf5
does for each: types, spaces and property lists are made once here, and groups stay open while their
places come.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, Mapping, Optional, Tuple

import numpy as np


class Hdf5Writer:
    """Places come depth first: a group that was left is not entered again."""

    def __init__(self, path: Path) -> None:
        import h5py

        self._h5py = h5py
        # the oldest layout of each object: HDF5 1.8 reads it, and so does everything since
        self._file = h5py.File(str(path), "w", libver="earliest")
        self._open: List[Tuple[str, Any]] = [("", self._file["/"].id)]
        self._scalar = h5py.h5s.create(h5py.h5s.SCALAR)
        self._text = np.empty((), h5py.special_dtype(vlen=str))
        self._text_in_memory = h5py.h5t.py_create(self._text.dtype)
        self._text_in_file = h5py.h5t.py_create(self._text.dtype, logical=True)
        self._timeless = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        # h5py 2.10 would otherwise write the time
        self._timeless.set_obj_track_times(False)

    def __enter__(self) -> Hdf5Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.clear()
        self._file.close()

    def attributes(self, place: str, values: Mapping[str, Any]) -> None:
        self._describe(self._group(place), values)

    def array(
        self, place: str, array: np.ndarray, attributes: Optional[Mapping[str, Any]] = None
    ) -> None:
        group, _, name = place.rpartition("/")
        h5d, h5s, float32 = self._h5py.h5d, self._h5py.h5s, self._h5py.h5t.IEEE_F32LE
        space = h5s.create_simple(array.shape) if array.shape else self._scalar
        dataset = h5d.create(self._group(group), name.encode(), float32, space, self._timeless)
        if array.size:
            # libhdf5 copies bytes: they must be in C order, not aligned
            dataset.write(h5s.ALL, h5s.ALL, np.ascontiguousarray(array), float32)
        self._describe(dataset, attributes or {})

    def _group(self, place: str) -> Any:
        """The group of this place, made with its parents where they are missing."""
        while self._open[-1][0] and not (place + "/").startswith(self._open[-1][0] + "/"):
            self._open.pop()
        path, group = self._open[-1]
        for name in place[len(path) :].strip("/").split("/") if place != path else ():
            path = f"{path}/{name}" if path else name
            group = self._h5py.h5g.create(group, name.encode())
            self._open.append((path, group))
        return group

    def _describe(self, item: Any, values: Mapping[str, Any]) -> None:
        h5a, integer = self._h5py.h5a, self._h5py.h5t.STD_I64LE
        for name, value in values.items():
            if isinstance(value, str):
                self._text[()] = value
                attribute = h5a.create(item, name.encode(), self._text_in_file, self._scalar)
                attribute.write(self._text, self._text_in_memory)
            else:
                attribute = h5a.create(item, name.encode(), integer, self._scalar)
                attribute.write(np.array(value, "<i8"), integer)
