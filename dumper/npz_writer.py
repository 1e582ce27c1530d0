"""Write a dump's tree as NPZ: stored members with fixed dates, whose bytes repeat everywhere.

`np.savez` writes other bytes in other versions, and its headers are padded in other ways.
"""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path
from typing import Any, Dict, Iterator, Mapping, Optional, Tuple

import numpy as np

META = "meta.json"
NPY_MAGIC = b"\x93NUMPY\x01\x00"
# bytes at a time, so that no copy of a whole array is made
BLOCK = 4 << 20


class NpzWriter:
    """Attributes gather in memory and become the last member, META."""

    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(str(path), "w", zipfile.ZIP_STORED)
        self._attributes: Dict[str, Dict[str, Any]] = {}

    def __enter__(self) -> NpzWriter:
        return self

    def __exit__(self, *raised: object) -> None:
        if raised[0] is None:
            text = json.dumps(self._attributes, sort_keys=True)
            self._archive.writestr(_member(META), text.encode())
        self._archive.close()

    def attributes(self, place: str, values: Mapping[str, Any]) -> None:
        plain = {k: v if isinstance(v, str) else int(v) for k, v in values.items()}
        self._attributes[place] = plain

    def array(
        self, place: str, array: np.ndarray, attributes: Optional[Mapping[str, Any]] = None
    ) -> None:
        head = _npy_head(array.shape)
        member = _member(place + ".npy")
        # zipfile decides on the 64-bit form by it
        member.file_size = len(head) + array.nbytes
        with self._archive.open(member, "w") as file:
            file.write(head)
            for block in blocks(array):
                file.write(block)
        if attributes:
            self.attributes(place, attributes)


def _npy_head(shape: Tuple[int, ...]) -> bytes:
    """The header of NPY version 1.0, padded to a multiple of 64 bytes."""
    axes = str(tuple(int(axis) for axis in shape))
    text = "{'descr': '<f4', 'fortran_order': False, 'shape': " + axes + ", }"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return NPY_MAGIC + struct.pack("<H", len(text)) + text.encode()


def blocks(array: np.ndarray) -> Iterator[memoryview]:
    """The array's bytes, C order, in pieces: no second copy of a large array is made."""
    flat = (
        array.reshape(-1) if array.flags.c_contiguous else np.ascontiguousarray(array).reshape(-1)
    )
    raw = flat.view(np.uint8)
    for start in range(0, raw.size, BLOCK):
        yield raw[start : start + BLOCK].data


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.external_attr, info.create_system = 0o644 << 16, 3
    return info
