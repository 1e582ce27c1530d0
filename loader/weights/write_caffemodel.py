"""Write a caffemodel as stock Caffe reads it: today's layout, every blob in float32.

caffe.proto: NetParameter name 1, layer 100; LayerParameter name 1, type 2, blobs 7; BlobProto
num..width 1-4, data 5, shape 7; BlobShape dim 1. Streamed: a few megabytes are in memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from decant.loader.weights.caffemodel import NET_LAYER, Blob, Layer


def write(path: Path, name: str, layers: Iterable[Layer]) -> None:
    """The file at `path`. Raises OSError where it cannot be written."""
    with path.open("wb") as out:
        out.write(_text(1, name))
        for layer in layers:
            _write_layer(out, layer)


def _write_layer(out: BinaryIO, layer: Layer) -> None:
    """Lengths come before what they are of, so they are added up first."""
    blobs = [blob for blob in layer.blobs if blob is not None]
    start = _text(1, layer.name) + _text(2, layer.type)
    heads = [_blob_head(blob) for blob in blobs]
    out.write(_key(NET_LAYER, len(start) + sum(map(len, heads)) + sum(map(_size, blobs))) + start)
    for head, blob in zip(heads, blobs, strict=True):
        out.write(head)
        for piece in blob.pieces():
            out.write(np.ascontiguousarray(piece, "<f4").data)


def _size(blob: Blob) -> int:
    return 4 * blob.count


def _blob_head(blob: Blob) -> bytes:
    """All of a blob before its values; its shape in the form that it came in."""
    # C3D's five have no place among stock Caffe's four
    if blob.legacy and len(blob.shape) == 4:
        shape = b"".join(_number(field, dim) for field, dim in enumerate(blob.shape, 1))
    else:
        dims = b"".join(map(_varint, blob.shape))
        shape = _bytes(7, _bytes(1, dims))
    body = shape + _key(5, _size(blob))
    return _key(7, len(body) + _size(blob)) + body


def _key(field: int, length: int) -> bytes:
    """Of a field that has a length."""
    return _varint(field << 3 | 2) + _varint(length)


def _bytes(field: int, payload: bytes) -> bytes:
    return _key(field, len(payload)) + payload


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode())


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
