"""Read an HDF5 file that nobody vouches for: plain groups, plain float arrays, text attributes.

HDF5 can link to other files, keep data outside, expand a kilobyte to gigabytes and run in circles.
All of that is refused; what is left is a map of the file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np

os.environ.setdefault("HDF5_PLUGIN_PRELOAD", "::")

MAX_DEPTH = 5


class UnsafeFile(ValueError):
    """A construct that a plain file of arrays does not need."""


def read_tree(
    path: Path, max_objects: int, max_text: int, dtypes: Tuple[str, ...] = ("<f4",)
) -> Tuple[Dict[str, Dict[str, Any]], Dict[str, np.ndarray]]:
    """(attributes by place, arrays by place); places like `layers/00000/params/0`, "" the root.

    Arrays are read-only maps of the file. Raises UnsafeFile, or what h5py raises on damage.
    """
    import h5py

    attributes = {}  # type: Dict[str, Dict[str, Any]]
    arrays = {}  # type: Dict[str, np.ndarray]
    seen = set()  # type: set[int]
    size = path.stat().st_size
    budget = [max_text]
    with h5py.File(str(path), "r") as file:
        if file.userblock_size:
            raise UnsafeFile("a user block before the data")
        stack = [("", file["/"], 0)]  # type: List[Tuple[str, Any, int]]
        while stack:
            place, group, depth = stack.pop()
            attributes[place] = _attributes(group, place, budget)
            for key in group:
                child = f"{place}/{key}" if place else key
                item = _child(group, key, child, seen)
                if len(seen) > max_objects or depth >= MAX_DEPTH:
                    raise UnsafeFile(f"/{child}: too many objects or too deep")
                if isinstance(item, h5py.Group):
                    stack.append((child, item, depth + 1))
                else:
                    arrays[child] = _array(path, item, child, size, dtypes)
                    attributes[child] = _attributes(item, child, budget)
    if sum(array.nbytes for array in arrays.values()) > size:
        raise UnsafeFile("the arrays overlap")
    return attributes, arrays


def _child(group: Any, key: str, place: str, seen: Any) -> Any:
    import h5py

    if type(group.get(key, getlink=True)) is not h5py.HardLink:
        raise UnsafeFile(f"/{place}: a link to elsewhere")
    item = group[key]
    if not isinstance(item, (h5py.Group, h5py.Dataset)):
        raise UnsafeFile(f"/{place}: neither a group nor an array")
    address = h5py.h5o.get_info(item.id).addr
    if address in seen:
        raise UnsafeFile(f"/{place}: a second name for an object")
    seen.add(address)
    return item


def _array(path: Path, dataset: Any, place: str, size: int, dtypes: Tuple[str, ...]) -> np.ndarray:
    import h5py

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
        flat = np.memmap(str(path), dataset.dtype, "r", offset, (int(dataset.size),))
        array = np.asarray(flat).reshape(dataset.shape)
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
        value = item.attrs[name]
        text = value.decode() if isinstance(value, bytes) else value
        found[name] = text if isinstance(text, str) else int(text)
        budget[0] -= len(name) + (len(text) if isinstance(text, str) else 8)
        if budget[0] < 0:
            raise UnsafeFile("more attribute text than any net needs")
    return found
