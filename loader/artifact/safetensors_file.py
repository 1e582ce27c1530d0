"""model.safetensors, canonical: its bytes depend on the key names and the weights alone.

The safetensors library writes the same tensors, but its metadata in an order of chance, and it wants
them in memory; here they stream from the mapped dump. Reading stays the library's.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

BLOCK = 1 << 20
_NAMES = {"float32": "F32", "int64": "I64"}


def write(path: Path, tensors: Mapping[str, np.ndarray], hashed: bool = True) -> str:
    """Write float32 or int64 arrays, sorted by key; returns the file's sha256 ("" unless `hashed`).

    Format: 8 bytes little-endian header size, JSON header padded with spaces to 8 bytes, data.
    """
    header, position = {}, 0
    for key in sorted(tensors):
        array = tensors[key]
        header[key] = {
            "dtype": _NAMES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [position, position + array.nbytes],
        }
        position += array.nbytes
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for part in (struct.pack("<Q", len(text)), text):
            if hashed:
                digest.update(part)
            file.write(part)
        for key in sorted(tensors):
            for block in blocks(tensors[key]):
                if hashed:
                    digest.update(block)
                file.write(block)
    return digest.hexdigest() if hashed else ""


def blocks(array: np.ndarray) -> Iterator[memoryview]:
    """The array's bytes, C order, little-endian, in pieces; no copy of a mapped array is kept."""
    flat = array.reshape(-1)
    if flat.dtype.byteorder == ">":
        flat = flat.astype(flat.dtype.newbyteorder("<"))
    raw = flat.view(np.uint8)
    for start in range(0, raw.size, BLOCK):
        yield raw[start : start + BLOCK].data


def sha256(array: np.ndarray) -> str:
    """Of an array's bytes."""
    digest = hashlib.sha256()
    for block in blocks(array):
        digest.update(block)
    return digest.hexdigest()
