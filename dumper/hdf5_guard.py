"""Read an HDF5 file that nobody vouches for: plain groups, plain float arrays, text attributes.

HDF5 can link to other files, keep data outside, expand a kilobyte to gigabytes and run in circles.
All of that is refused; what is left is a map of the file.
"""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

os.environ.setdefault("HDF5_PLUGIN_PRELOAD", "::")

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

    attributes = {}  # type: Dict[str, Dict[str, Any]]
    arrays = {}  # type: Dict[str, np.ndarray]
    seen = set()  # type: set[int]
    size = path.stat().st_size
    budget = [max_text or 0]
    data = np.memmap(str(path), np.uint8, "r")
    if max_text is not None:
        _check_heaps(data)
    with h5py.File(str(path), "r") as file:
        if file.userblock_size:
            raise UnsafeFile("a user block before the data")
        stack = [("", file["/"], 0)]  # type: List[Tuple[str, Any, int]]
        while stack:
            place, group, depth = stack.pop()
            if max_text is not None:
                attributes[place] = _attributes(group, place, budget)
            for key in group:
                child = f"{place}/{key}" if place else key
                item = _child(group, key, child, seen)
                if len(seen) > max_objects or depth >= MAX_DEPTH:
                    raise UnsafeFile(f"/{child}: too many objects or too deep")
                if isinstance(item, h5py.Group):
                    stack.append((child, item, depth + 1))
                else:
                    arrays[child] = _array(np.asarray(data), item, child, dtypes)
                    if max_text is not None:
                        attributes[child] = _attributes(item, child, budget)
    if sum(array.nbytes for array in arrays.values()) > size:
        raise UnsafeFile("the arrays overlap")
    return attributes, arrays


def _child(group: Any, key: str, place: str, seen: Any) -> Any:
    import h5py

    # h5py's upper layer would make three objects of each
    # which gives a name that is no UTF-8 as bytes
    name = key if isinstance(key, bytes) else key.encode("utf-8", "surrogateescape")
    if group.id.links.get_info(name).type != h5py.h5l.TYPE_HARD:
        raise UnsafeFile(f"/{place}: a link to elsewhere")
    item = group[key]
    if not isinstance(item, (h5py.Group, h5py.Dataset)):
        raise UnsafeFile(f"/{place}: neither a group nor an array")
    address = h5py.h5o.get_info(item.id).addr
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

    size = data.size

    plist = dataset.id.get_create_plist()
    if plist.get_layout() not in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT):
        raise UnsafeFile(f"/{place}: chunked or virtual data")
    if plist.get_external_count() or plist.get_nfilters():
        raise UnsafeFile(f"/{place}: data kept outside, or filtered")
    if dataset.dtype not in [np.dtype(name) for name in dtypes]:
        raise UnsafeFile(f"/{place}: {dataset.dtype}, expected {' or '.join(dtypes)}")
    if dataset.shape is None or len(dataset.shape) > 32:
        raise UnsafeFile(f"/{place}: no shape, or too many axes")
    length = int(dataset.size) * dataset.dtype.itemsize
    if length > size or length != dataset.id.get_storage_size():
        raise UnsafeFile(f"/{place}: {length} bytes declared, others stored")
    offset = dataset.id.get_offset()
    if plist.get_layout() == h5py.h5d.COMPACT or offset is None or not length:
        array = dataset[()] if dataset.shape else np.asarray(dataset[()], dataset.dtype)
    else:
        if offset + length > size:
            raise UnsafeFile(f"/{place}: data past the end of the file")
        array = data[offset : offset + length].view(dataset.dtype).reshape(dataset.shape)
    array.setflags(write=False)
    return array


def _attributes(item: Any, place: str, budget: List[int]) -> Dict[str, Any]:
    import h5py

    kinds = (h5py.h5t.STRING, h5py.h5t.INTEGER, h5py.h5t.ENUM)
    found = {}  # type: Dict[str, Any]
    for number in range(h5py.h5a.get_num_attrs(item.id)):
        attribute = h5py.h5a.open(item.id, index=number)
        if attribute.shape != () or attribute.get_type().get_class() not in kinds:
            raise UnsafeFile(f"/{place}: an attribute that is neither a text nor a number")
        name = attribute.name.decode("utf-8", "replace")
        cell = np.empty((), attribute.dtype)
        attribute.read(cell)
        value = cell[()]
        text = value.decode() if isinstance(value, bytes) else value
        found[name] = text if isinstance(text, str) else int(text)
        budget[0] -= len(name) + (len(text) if isinstance(text, str) else 8)
        if budget[0] < 0:
            raise UnsafeFile("more attribute text than any net needs")
    return found
