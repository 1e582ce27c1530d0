"""Protobuf's wire format, as far as a caffemodel needs it: fields of a message in a mapped file.

Source: the public encoding of protobuf (key = field number * 8 + wire type). Nothing is copied:
a length-delimited field is a pair of positions.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_WIDTH = {FIXED64: 8, FIXED32: 4}


class WireError(ValueError):
    """These bytes are not a protobuf message; `position` is the offset in the file."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"at byte {position}: {reason}")
        self.position = position


def varint(data: mmap.mmap, position: int, end: int) -> tuple[int, int]:
    """(value, position after it)."""
    value = shift = 0
    while position < end:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                raise WireError(position, "a number of more than 64 bits")
            return value, position
        shift += 7
        if shift >= 70:
            raise WireError(position, "a number of more than 64 bits")
    raise WireError(position, "the file ends inside a number")


def fields(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """(field number, wire type, value or first position, position after) for each field.

    For VARINT the third item is the value; for the others it is where the payload begins.
    Groups (wire types 3, 4) do not occur in Caffe's schema: `<` and `{` of text files look like them.
    """
    position = start
    while position < end:
        key, payload = varint(data, position, end)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise WireError(position, "field number 0")
        if kind == VARINT:
            value, after = varint(data, payload, end)
            yield number, kind, value, after
        elif kind == BYTES:
            length, payload = varint(data, payload, end)
            after = payload + length
            if after > end:
                raise WireError(position, f"{length} bytes announced, {end - payload} are there")
            yield number, kind, payload, after
        elif kind in _WIDTH:
            after = payload + _WIDTH[kind]
            if after > end:
                raise WireError(position, "the file ends inside a number")
            yield number, kind, payload, after
        else:
            raise WireError(position, f"wire type {kind}, which no caffemodel has")
        position = after
