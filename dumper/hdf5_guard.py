"""Read an HDF5 file that nobody vouches for: plain groups, plain float arrays, text attributes.

HDF5 can link to other files, keep data outside, expand a kilobyte to gigabytes and run in circles.
All of that is refused; what is left is a map of the file.
"""

from __future__ import annotations

import math
import os
import re
import struct
from pathlib import Path
from typing import Any, Dict, List, Optional, Set, Tuple

import numpy as np

os.environ.setdefault("HDF5_PLUGIN_PRELOAD", "::")

# deeper than any group of the dump format
MAX_DEPTH = 5
_HEAP = re.compile(rb"GCOL\x01.{11}", re.DOTALL)


class UnsafeFile(ValueError):
    """A construct that a plain file of arrays does not need."""


def read_tree(
    path: Path, max_objects: int, max_text: Optional[int], dtypes: Tuple[str, ...] = ("<f4",)
) -> Tuple[Dict[str, Dict[str, Any]], Dict[str, np.ndarray]]:
    """(attributes by place, arrays by place); places like `layers/00000/params/0`, "" the root.

    `max_text` bounds the attributes' text; None leaves attributes unread. Arrays are slices of one
    read-only map of the file (a map for each would hold a file descriptor for each). Raises
    UnsafeFile, or what h5py raises on damage.
    """
    import h5py

    attributes: Dict[str, Dict[str, Any]] = {}
    arrays: Dict[str, np.ndarray] = {}
    seen: Set[int] = set()
    size = path.stat().st_size
    data = np.memmap(str(path), np.uint8, "r")
    if max_text is not None:
        _check_heaps(data)
    with h5py.File(str(path), "r") as file:
        if file.userblock_size:
            raise UnsafeFile("a user block before the data")
        texts = _Texts(max_text or 0)
        # h5py's lower level: its upper one makes three objects of each, and takes most of the time
        stack: List[Tuple[str, Any, int]] = [("", file["/"].id, 0)]
        while stack:
            place, group, depth = stack.pop()
            if max_text is not None:
                attributes[place] = texts.attributes(group, place)
            for key in group:
                child = (place + "/" if place else "") + key.decode("utf-8", "surrogateescape")
                item = _child(group, key, child, seen)
                if len(seen) > max_objects or depth >= MAX_DEPTH:
                    raise UnsafeFile(f"/{child}: too many objects or too deep")
                if isinstance(item, h5py.h5g.GroupID):
                    stack.append((child, item, depth + 1))
                else:
                    arrays[child] = _array(np.asarray(data), item, child, dtypes)
                    if max_text is not None:
                        attributes[child] = texts.attributes(item, child)
    if sum(array.nbytes for array in arrays.values()) > size:
        raise UnsafeFile("the arrays overlap")
    return attributes, arrays


def _child(group: Any, key: bytes, place: str, seen: Set[int]) -> Any:
    import h5py

    if group.links.get_info(key).type != h5py.h5l.TYPE_HARD:
        raise UnsafeFile(f"/{place}: a link to elsewhere")
    item = h5py.h5o.open(group, key)
    if not isinstance(item, (h5py.h5g.GroupID, h5py.h5d.DatasetID)):
        raise UnsafeFile(f"/{place}: neither a group nor an array")
    address = h5py.h5o.get_info(item).addr
    if address in seen:
        raise UnsafeFile(f"/{place}: a second name for an object")
    seen.add(address)
    return item


def _check_heaps(data: Any) -> None:
    """Refuse a heap of texts that libhdf5 would walk for ever: an object whose rounded size is 0.

    The walk is libhdf5's (H5HGcache.c): objects of a 16-byte header, their size rounded up to 8. A
    heap is sought everywhere, also inside arrays: an attribute may point anywhere.
    """
    raw = memoryview(data)
    for match in _HEAP.finditer(raw):
        start = match.start()
        (size,) = struct.unpack_from("<Q", raw, start + 8)
        end = start + size
        if size < 4096 or end > len(raw):
            continue  # libhdf5 refuses it too; most likely a weight that looks like a heap
        position = start + 16
        while position + 16 <= end:
            index, _, _, length = struct.unpack_from("<HHIQ", raw, position)
            # object 0 is the free space, whose size counts its header
            step = length if index == 0 else 16 + (length + 7) // 8 * 8
            if step < 16 or position + step > end:
                raise UnsafeFile(f"a damaged heap of texts at byte {start}")
            position += step


def _array(data: np.ndarray, dataset: Any, place: str, dtypes: Tuple[str, ...]) -> np.ndarray:
    import h5py

    plist = dataset.get_create_plist()
    layout, dtype, shape = plist.get_layout(), dataset.dtype, dataset.shape
    if layout not in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT):
        raise UnsafeFile(f"/{place}: chunked or virtual data")
    if plist.get_external_count() or plist.get_nfilters():
        raise UnsafeFile(f"/{place}: data kept outside, or filtered")
    if dtype not in [np.dtype(name) for name in dtypes]:
        raise UnsafeFile(f"/{place}: {dtype}, expected {' or '.join(dtypes)}")
    space = dataset.get_space().get_simple_extent_type()
    if space == h5py.h5s.NULL or len(shape) > 32:
        raise UnsafeFile(f"/{place}: no shape, or too many axes")
    length = math.prod(shape) * dtype.itemsize
    if length > data.size or length != dataset.get_storage_size():
        raise UnsafeFile(f"/{place}: {length} bytes declared, others stored")
    offset = dataset.get_offset()
    if layout == h5py.h5d.COMPACT or offset is None or not length:
        array = np.empty(shape, dtype)
        if length:
            dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, array)
    else:
        if offset + length > data.size:
            raise UnsafeFile(f"/{place}: data past the end of the file")
        array = data[offset : offset + length].view(dtype).reshape(shape)
    array.setflags(write=False)
    return array


class _Texts:
    """Reads attributes, as long as their text is no more than `budget` characters in all."""

    def __init__(self, budget: int) -> None:
        import h5py

        self._left = budget
        self._h5a = h5py.h5a
        self._kinds = (h5py.h5t.STRING, h5py.h5t.INTEGER, h5py.h5t.ENUM)
        self._usual = np.empty((), h5py.special_dtype(vlen=str))
        self._in_memory = h5py.h5t.py_create(self._usual.dtype)
        self._in_file = h5py.h5t.py_create(self._usual.dtype, logical=True)

    def attributes(self, item: Any, place: str) -> Dict[str, Any]:
        """What describes a group or dataset: texts, and numbers as int."""
        found: Dict[str, Any] = {}
        for number in range(self._h5a.get_num_attrs(item)):
            attribute = self._h5a.open(item, index=number)
            value = self._value(attribute, place)
            name = attribute.name.decode("utf-8", "replace")
            found[name] = value
            self._left -= len(name) + (len(value) if isinstance(value, str) else 8)
            if self._left < 0:
                raise UnsafeFile("more attribute text than any net needs")
        return found

    def _value(self, attribute: Any, place: str) -> Any:
        kind = attribute.get_type()
        if attribute.shape != () or kind.get_class() not in self._kinds:
            raise UnsafeFile(f"/{place}: an attribute that is neither a text nor a number")
        if kind == self._in_file:
            attribute.read(self._usual, self._in_memory)
            value = self._usual[()]
        else:
            cell = np.empty((), attribute.dtype)
            attribute.read(cell)
            value = cell[()]
        text = value.decode() if isinstance(value, bytes) else value
        return text if isinstance(text, str) else int(text)
