"""Blobs as NVCaffe 0.16 and DIGITS write them: bytes, of type double, float or half."""

from __future__ import annotations

import numpy as np

from tests.helpers import encode_caffemodel as encode

TYPES = {"double": 0, "float": 1, "half": 2}
DTYPES = {"double": "<f8", "float": "<f4", "half": "<f2"}


def shape_of(array: np.ndarray, legacy: bool = False) -> bytes:
    if legacy:
        dims = (1,) * (4 - array.ndim) + array.shape
        return b"".join(encode.number(field, dim) for field, dim in enumerate(dims, 1))
    return encode.chunk(7, encode.chunk(1, b"".join(encode.varint(dim) for dim in array.shape)))


def raw(array: np.ndarray, kind: str, legacy: bool = False) -> bytes:
    """NVCaffe's Blob::ToProto."""
    data = array.astype(DTYPES[kind]).tobytes()
    return shape_of(array, legacy) + encode.number(10, TYPES[kind]) + encode.chunk(12, data)
