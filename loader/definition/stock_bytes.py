"""Whether stock Caffe can parse a caffemodel: its protobuf stops at the first field that it cannot.

A fork gave its own messages numbers that stock Caffe has given to others since. Caffe needs none of them
(it gives blobs to layers by name), but it parses the whole file first, and then aborts.

Source: protobuf's encoding and its parser. A field with another wire type than its own is unknown and
passed over. One that has a message's wire type must be that message; packed numbers must be whole.
"""

from __future__ import annotations

import mmap
from pathlib import Path

from decant.loader.definition.field_numbers import NUMBERS
from decant.loader.definition.schema import FIELDS, FieldType
from decant.loader.weights.wire import BYTES, WireError, fields, varint

_WIDTHS = {"f32": 4, "f64": 8}
# of stock Caffe alone: message -> number -> what it is
_STOCK = {
    message: {
        int(number): FIELDS[message][name]
        for name, number in (pair.split("=") for pair in words.split())
    }
    for message, words in NUMBERS.items()
}


def stock_parses(path: Path) -> bool:
    """The blobs are not looked at: they are loader/weights/caffemodel.py's. Raises OSError."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            _check(data, 0, len(data), "Net")
        except WireError:
            return False
    return True


def _check(data: mmap.mmap, start: int, end: int, message: str) -> None:
    """Raise WireError where these bytes are not such a message."""
    known = _STOCK[message]
    for number, wire, first, after in fields(data, start, end):
        of = known.get(number)
        if of is None or wire != BYTES or of.kind in ("BlobProto", "text"):
            continue
        if of.kind in _STOCK:
            _check(data, first, after, of.kind)
        elif of.repeated:
            _check_packed(data, first, after, of)


def _check_packed(data: mmap.mmap, first: int, after: int, of: FieldType) -> None:
    width = _WIDTHS.get(of.kind)
    if width and (after - first) % width:
        raise WireError(first, f"{after - first} bytes of values {width} bytes wide")
    while not width and first < after:
        _, first = varint(data, first, after)
