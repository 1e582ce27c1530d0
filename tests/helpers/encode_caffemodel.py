"""Write caffemodels of every era: our own encoder, which shares nothing with the reader."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

V1_NUMBERS = {
    "Concat": 3,
    "Convolution": 4,
    "Dropout": 6,
    "InnerProduct": 14,
    "LRN": 15,
    "Pooling": 17,
    "ReLU": 18,
    "Softmax": 20,
    "Deconvolution": 39,
    # of C3D v1.0
    "Convolution3D": 30,
    "Pooling3D": 31,
    "Deconvolution3D": 34,
}
V0_WORDS = {"Convolution": "conv", "InnerProduct": "innerproduct", "Pooling": "pool"}


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def chunk(field: int, payload: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(payload)) + payload


def blob(
    array: np.ndarray,
    *,
    legacy: bool = False,
    kind: str = "float",
    packed: bool = True,
    split: int = 1,
) -> bytes:
    """One BlobProto. `split`: packed data in so many records; `kind` float, double or half."""
    if legacy:
        dims = (1,) * (4 - array.ndim) + array.shape
        shape = b"".join(number(field, dim) for field, dim in enumerate(dims, 1))
    else:
        shape = chunk(7, chunk(1, b"".join(varint(dim) for dim in array.shape)))
    if kind == "half":
        return shape + number(10, 2) + chunk(12, array.astype("<f2").tobytes())
    field, dtype, wire = (5, "<f4", 5) if kind == "float" else (8, "<f8", 1)
    flat = array.astype(dtype).reshape(-1)
    if packed:
        return shape + b"".join(
            chunk(field, part.tobytes()) for part in np.array_split(flat, split)
        )
    key = varint(field << 3 | wire)
    return shape + b"".join(key + value.tobytes() for value in flat)


def c3d_blob(array: np.ndarray, packed: bool = True) -> bytes:
    """C3D v1.0's: num, channels, length, height, width in fields 1 to 5, the values in 6."""
    dims = (1,) * (5 - array.ndim) + array.shape
    shape = b"".join(number(field, dim) for field, dim in enumerate(dims, 1))
    flat = array.astype("<f4").reshape(-1)
    if packed:
        return shape + chunk(6, flat.tobytes())
    return shape + b"".join(varint(6 << 3 | 5) + value.tobytes() for value in flat)


def c3d(layers: Sequence[tuple[str, str, Sequence[np.ndarray]]], packed: bool = True) -> bytes:
    """A file of C3D v1.0."""
    return chunk(1, b"net") + b"".join(
        layer("v1", name, kind, [c3d_blob(array, packed) for array in blobs])
        for name, kind, blobs in layers
    )


def layer(era: str, name: str, kind: str, blobs: Iterable[bytes]) -> bytes:
    """One entry of the layer list, with its key."""
    blobs = list(blobs)
    if era == "current":
        body = chunk(1, name.encode()) + chunk(2, kind.encode())
        return chunk(100, body + b"".join(chunk(7, item) for item in blobs))
    if era == "v1":
        body = chunk(4, name.encode()) + number(5, V1_NUMBERS[kind])
        return chunk(2, body + b"".join(chunk(6, item) for item in blobs))
    body = chunk(1, name.encode()) + chunk(2, V0_WORDS[kind].encode())
    return chunk(2, chunk(1, body + b"".join(chunk(50, item) for item in blobs)))


def net(
    era: str, layers: Sequence[tuple[str, str, Sequence[np.ndarray]]], *, legacy: bool | None = None
) -> bytes:
    """A whole file: (name, type, blobs) for each layer; old eras have legacy shapes."""
    legacy = era != "current" if legacy is None else legacy
    return chunk(1, b"net") + b"".join(
        layer(era, name, kind, [blob(array, legacy=legacy) for array in blobs])
        for name, kind, blobs in layers
    )


def write_v1(path: Path, layers: Iterable[tuple[str, str, Sequence[np.ndarray]]]) -> None:
    """A V1 file with legacy shapes, streamed: for files of hundreds of megabytes."""
    with path.open("wb") as out:
        out.write(chunk(1, b"net"))
        for name, kind, blobs in layers:
            head = chunk(4, name.encode()) + number(5, V1_NUMBERS[kind])
            parts: list[tuple[bytes, np.ndarray]] = []
            for array in blobs:
                dims = (1,) * (4 - array.ndim) + array.shape
                shape = b"".join(number(field, dim) for field, dim in enumerate(dims, 1))
                data_head = varint(5 << 3 | 2) + varint(array.nbytes)
                size = len(shape) + len(data_head) + array.nbytes
                parts.append((varint(6 << 3 | 2) + varint(size) + shape + data_head, array))
            total = len(head) + sum(len(part) + array.nbytes for part, array in parts)
            out.write(varint(2 << 3 | 2) + varint(total) + head)
            for part, array in parts:
                out.write(part)
                np.ascontiguousarray(array, "<f4").tofile(out)
