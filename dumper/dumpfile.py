"""The dump: what stage 1 writes and stage 2 reads. docs/dump-format.md is its specification.

Two forms of one tree: HDF5, and NPZ whose bytes repeat everywhere. This file is the one owner of the
format; it knows no Caffe. `read` treats a dump as untrusted: the container that wrote it ran
somebody's prototxt.
"""

from __future__ import annotations

import json
import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

# no filter plugins: a dataset must not be able to load code
os.environ.setdefault("HDF5_PLUGIN_PRELOAD", "::")

FORMAT, VERSION = "caffe-dump", 1
MAX_OBJECTS = 200_000
MAX_TEXT = 64 << 20
META = "meta.json"
NPY_MAGIC = b"\x93NUMPY\x01\x00"
BLOCK = 4 << 20
_NPY_HEAD = re.compile(
    rb"\{'descr': '<f4', 'fortran_order': False, 'shape': \(((?:[0-9]{1,18},? ?)*)\), \} *\n\Z"
)

Owner = Optional[Tuple[int, int]]


class DumpError(ValueError):
    """A file that is not a dump of this version, or not a whole one."""


@dataclass
class Header:
    """The attributes of the root. `prototxt` is verbatim; "" stands for "not there".

    `reading`: JSON, how the definition was read where that is not as pycaffe reads it. `notes`: where
    the parameters are not simply the file's, layer by layer.
    """

    net_name: str
    prototxt: str
    prototxt_run: str
    engine: str
    caffe_version: str
    has_activations: bool
    caffemodel_sha256: str
    reading: str = ""
    notes: List[str] = field(default_factory=list)


@dataclass
class Layer:
    """One layer as it ran. Arrays are float32; `params[i]` of a shared blob is its owner's array,
    in this layer's own shape (share_mode PERMISSIVE lets it differ from the owner's).
    """

    name: str
    type: str
    bottoms: List[str]
    tops: List[str]
    params: List[np.ndarray] = field(default_factory=list)
    owners: List[Owner] = field(default_factory=list)
    activations: List[np.ndarray] = field(default_factory=list)
    _shapes: Dict[int, Tuple[int, ...]] = field(default_factory=dict, repr=False)


@dataclass
class Dump(Header):
    """A dump that was read: layers in order of execution, arrays read-only."""

    layers: List[Layer] = field(default_factory=list)
    probe: Dict[str, np.ndarray] = field(default_factory=dict)


def write(
    path: Path, header: Header, layers: Iterable[Layer], probe: Mapping[str, np.ndarray]
) -> None:
    """Write a dump; `.npz` selects the NPZ form. Layers are taken one at a time.

    The file is written where `path` says: writing beside and renaming is the caller's. Raises
    DumpError for an array that is not float32, and for parameters without owners.
    """
    path = Path(path)
    tree = _NpzTree(path) if path.suffix == ".npz" else _Hdf5Tree(path)
    with tree:
        tree.attributes(
            "",
            {
                "format": FORMAT,
                "version": VERSION,
                "net_name": header.net_name,
                "prototxt": header.prototxt,
                "prototxt_run": header.prototxt_run,
                "engine": header.engine,
                "caffe_version": header.caffe_version,
                "has_activations": header.has_activations,
                "caffemodel_sha256": header.caffemodel_sha256,
                **({"reading": header.reading} if header.reading else {}),
                **({"notes": json.dumps(header.notes)} if header.notes else {}),
            },
        )
        count = 0
        shapes = {}  # type: Dict[Tuple[int, int], Tuple[int, ...]]
        for layer in layers:
            _write_layer(tree, f"layers/{count:05}", layer, shapes)
            shapes.update(
                ((count, number), array.shape) for number, array in enumerate(layer.params)
            )
            count += 1
        tree.attributes("layers", {"count": count})
        for index, (name, array) in enumerate(probe.items()):
            _check(f"probe {name!r}", array)
            tree.array(f"probe/{index}", array, {"name": name})


def _check(place: str, array: np.ndarray) -> None:
    """A dump holds what Caffe holds; another type would be rounded on its way into the file."""
    if array.dtype != np.dtype("<f4"):
        raise DumpError(f"{place}: an array of {array.dtype}; a dump holds float32")


def _write_layer(
    tree: _Tree, place: str, layer: Layer, shapes: Mapping[Tuple[int, int], Tuple[int, ...]]
) -> None:
    if len(layer.params) != len(layer.owners):
        raise DumpError(
            f"layer {layer.name!r}: {len(layer.params)} parameters, {len(layer.owners)} owners"
        )
    for array in layer.params + layer.activations:
        _check(f"layer {layer.name!r}", array)
    tree.attributes(
        place,
        {
            "name": layer.name,
            "type": layer.type,
            "bottoms": json.dumps(list(layer.bottoms)),
            "tops": json.dumps(list(layer.tops)),
        },
    )
    if layer.params:
        own = {
            str(number): list(array.shape)
            for number, (array, owner) in enumerate(zip(layer.params, layer.owners))
            if owner is not None and shapes.get(owner) != array.shape
        }
        texts = {"owners": json.dumps(layer.owners)}
        if own:
            texts["shapes"] = json.dumps(own)
        tree.attributes(place + "/params", texts)
    for number, (array, owner) in enumerate(zip(layer.params, layer.owners)):
        if owner is None:
            tree.array(f"{place}/params/{number}", array)
    for number, array in enumerate(layer.activations):
        tree.array(f"{place}/activations/{number}", array)


def read(path: Path) -> Dump:
    """Read a dump in either form. Arrays of contiguous data are maps of the file, not copies.

    Raises DumpError for anything that is not a whole dump of this version.
    """
    path = Path(path)
    with path.open("rb") as file:
        start = file.read(8)
    if start == b"\x89HDF\r\n\x1a\n":
        attributes, arrays = _read_hdf5(path)
    elif start[:4] == b"PK\x03\x04":
        attributes, arrays = _read_npz(path)
    else:
        raise DumpError(f"{path}: neither HDF5 nor NPZ; a dump is made by `decant dump`")
    try:
        return _assemble(attributes, arrays)
    except DumpError as error:
        raise DumpError(f"{path}: {error}; dump the net again") from None


Attributes = Dict[str, Dict[str, Any]]
Arrays = Dict[str, np.ndarray]
ROOT = {
    "format": str, "version": int, "net_name": str, "prototxt": str, "prototxt_run": str,
    "engine": str, "caffe_version": str, "has_activations": int, "caffemodel_sha256": str,
    "reading": str, "notes": str,
}  # fmt: skip
LAYER = {"name": str, "type": str, "bottoms": str, "tops": str}


def _assemble(attributes: Attributes, arrays: Arrays) -> Dump:
    root = attributes.get("", {})
    if root.get("format") != FORMAT:
        raise DumpError("not a dump (no format mark)")
    if type(root.get("version")) is int and root["version"] != VERSION:
        raise DumpError(f"version {root['version']}, this program reads {VERSION}")
    # the first is not there in dumps of other programs, the others in most
    root = {"caffemodel_sha256": "", "reading": "", "notes": "[]", **root}
    _check_attributes("", root, ROOT)
    dump = Dump(
        net_name=root["net_name"],
        prototxt=root["prototxt"],
        prototxt_run=root["prototxt_run"],
        engine=root["engine"],
        caffe_version=root["caffe_version"],
        has_activations=bool(root["has_activations"]),
        caffemodel_sha256=root["caffemodel_sha256"],
        reading=root["reading"],
        notes=_names("", root["notes"]),
    )
    left = set(attributes) | set(arrays)
    left -= {"", "layers", "probe"}
    count = len({place.split("/")[1] for place in left if place.startswith("layers/")})
    if attributes.get("layers", {}).get("count", count) != count:
        raise DumpError(f"{count} layers, {attributes['layers']['count']} were written")
    for index in range(count):
        dump.layers.append(_assemble_layer(f"layers/{index:05}", attributes, arrays, left))
    _resolve_owners(dump.layers)
    for index in range(len(left)):
        place = f"probe/{index}"
        if place not in arrays:
            break
        own = attributes.get(place, {})
        _check_attributes(place, own, {"name": str})
        if own["name"] in dump.probe:
            raise DumpError(f"two probe arrays for {own['name']!r}")
        dump.probe[own["name"]] = arrays[place]
        left.discard(place)
    if left:
        raise DumpError(f"unexpected data at /{min(left)}")
    return dump


def _check_attributes(place: str, found: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
    """Exactly the attributes that the format names, each of its type."""
    if set(found) != set(kinds):
        name = min(set(found) ^ set(kinds))
        state = "unknown" if name in found else "missing"
        raise DumpError(f"/{place}: {state} attribute {name!r}")
    for name, kind in kinds.items():
        if type(found[name]) is not kind:
            raise DumpError(f"/{place}: attribute {name!r} is not {kind.__name__}")


def _json(place: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise DumpError(f"/{place}: damaged JSON") from None


def _names(place: str, text: str) -> List[str]:
    names = _json(place, text)
    if not isinstance(names, list) or not all(isinstance(item, str) for item in names):
        raise DumpError(f"/{place}: not a list of names")
    return names


def _owners(place: str, text: str) -> List[Owner]:
    found = _json(place, text)
    if not isinstance(found, list):
        raise DumpError(f"/{place}: owners are no list")
    owners = []  # type: List[Owner]
    for owner in found:
        if owner is None:
            owners.append(None)
        elif isinstance(owner, list) and [type(item) for item in owner] == [int, int]:
            owners.append((owner[0], owner[1]))
        else:
            raise DumpError(f"/{place}: an owner that is no [layer, blob]")
    return owners


def _shapes(place: str, text: str) -> Dict[int, Tuple[int, ...]]:
    found = _json(place, text)
    if not isinstance(found, dict) or len(found) > MAX_OBJECTS:
        raise DumpError(f"/{place}: shapes are no object")
    shapes = {}
    for number, shape in found.items():
        if (
            not number.isdecimal()
            or not isinstance(shape, list)
            or len(shape) > 32
            or not all(type(axis) is int and 0 <= axis < 1 << 31 for axis in shape)
        ):
            raise DumpError(f"/{place}: a shape that is no list of axes")
        shapes[int(number)] = tuple(shape)
    return shapes


def _assemble_layer(place: str, attributes: Attributes, arrays: Arrays, left: Any) -> Layer:
    own = attributes.get(place, {})
    _check_attributes(place, own, LAYER)
    layer = Layer(
        own["name"], own["type"], _names(place, own["bottoms"]), _names(place, own["tops"])
    )
    params = attributes.get(place + "/params")
    if params is not None:
        params = {"shapes": "{}", **params}
        _check_attributes(place + "/params", params, {"owners": str, "shapes": str})
        layer.owners = _owners(place + "/params", params["owners"])
        layer._shapes = _shapes(place + "/params", params["shapes"])
    for number, owner in enumerate(layer.owners):
        if owner is not None:
            layer.params.append(np.empty(0, np.float32))  # until all layers are there
            continue
        name = f"{place}/params/{number}"
        if name not in arrays:
            raise DumpError(f"layer {layer.name!r}: blob {number} is missing")
        layer.params.append(arrays[name])
        left.discard(name)
    while f"{place}/activations/{len(layer.activations)}" in arrays:
        name = f"{place}/activations/{len(layer.activations)}"
        layer.activations.append(arrays[name])
        left.discard(name)
    left -= {place, place + "/params", place + "/activations"}
    return layer


def _resolve_owners(layers: List[Layer]) -> None:
    """Give a sharing layer its owner's array; an owner comes first and owns what it lends."""
    for index, layer in enumerate(layers):
        for number, owner in enumerate(layer.owners):
            if owner is None:
                continue
            if not (0 <= owner[0] <= index and owner[1] >= 0):
                raise DumpError(f"layer {layer.name!r}: blob {number} has no such owner")
            lender = layers[owner[0]]
            if owner[1] >= len(lender.params) or lender.owners[owner[1]] is not None:
                raise DumpError(f"layer {layer.name!r}: blob {number} has no such owner")
            array = lender.params[owner[1]]
            shape = layer._shapes.get(number, array.shape)
            if math.prod(shape) != array.size:
                raise DumpError(f"layer {layer.name!r}: blob {number} does not fit its owner's")
            layer.params[number] = array.reshape(shape)


class _Tree:
    """Where a dump goes: places like `layers/00012/params/0`, attributes and arrays."""

    def __enter__(self) -> _Tree:
        return self

    def __exit__(self, *_: object) -> None:
        raise AssertionError("each form closes its own file")

    def attributes(self, place: str, values: Mapping[str, Any]) -> None:
        raise AssertionError("each form writes attributes its own way")

    def array(
        self, place: str, array: np.ndarray, attributes: Optional[Mapping[str, Any]] = None
    ) -> None:
        raise AssertionError("each form writes arrays its own way")


class _Hdf5Tree(_Tree):
    def __init__(self, path: Path) -> None:
        import h5py

        self._h5py = h5py
        self._file = h5py.File(str(path), "w")

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def attributes(self, place: str, values: Mapping[str, Any]) -> None:
        target = self._file.require_group(place) if place else self._file
        for name, value in values.items():
            if isinstance(value, str):
                target.attrs.create(name, value, dtype=self._h5py.special_dtype(vlen=str))
            else:
                target.attrs[name] = np.int64(value)

    def array(
        self, place: str, array: np.ndarray, attributes: Optional[Mapping[str, Any]] = None
    ) -> None:
        # h5py 2.10 would otherwise write the time
        dataset = self._file.create_dataset(
            place, shape=array.shape, dtype="<f4", track_times=False
        )
        if array.size:
            dataset.write_direct(_writable_source(array))
        for name, value in (attributes or {}).items():
            dataset.attrs.create(name, value, dtype=self._h5py.special_dtype(vlen=str))


def _writable_source(array: np.ndarray) -> np.ndarray:
    """h5py reads from C-contiguous, aligned memory only; a map of a caffemodel is often neither.

    An unaligned run is fine for HDF5 itself, which copies bytes: it is shown as bytes would be.
    """
    return np.ascontiguousarray(array, "<f4") if not array.flags.carray else array


class _NpzTree(_Tree):
    """Stored members with fixed dates: `np.savez` writes other bytes in other versions."""

    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(str(path), "w", zipfile.ZIP_STORED)
        self._attributes = {}  # type: Attributes

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
    """NPY 1.0's header; NumPy's own writer pads it differently from version to version."""
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


def _read_npz(path: Path) -> Tuple[Attributes, Arrays]:
    """The members' data are slices of one map of the archive: they are stored, not compressed."""
    try:
        with zipfile.ZipFile(str(path)) as archive:
            members = archive.infolist()
            _check_members(path, members)
            attributes = _json(META, archive.read(META).decode())
        data = np.memmap(str(path), np.uint8, "r")
        arrays = {
            member.filename[: -len(".npy")]: _npy(np.asarray(data), member)
            for member in members
            if member.filename != META
        }
    except DumpError as error:
        raise DumpError(f"{path}: {error}; make the dump again") from None
    except (
        zipfile.BadZipFile, NotImplementedError, RuntimeError, KeyError, ValueError, EOFError, OSError,
        struct.error, OverflowError,
    ) as error:  # fmt: skip
        raise DumpError(f"{path}: damaged NPZ ({error}); make the dump again") from None
    if not isinstance(attributes, dict) or not all(
        isinstance(found, dict) for found in attributes.values()
    ):
        raise DumpError(f"{path}: damaged NPZ (no attributes); make the dump again")
    return attributes, arrays


def _check_members(path: Path, members: List[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    if len(set(names)) != len(names) or len(names) > MAX_OBJECTS:
        raise DumpError("the archive names a member twice, or far too many")
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise DumpError(f"{member.filename}: compressed; a dump's members are stored")
        if member.flag_bits & ~0x800:
            raise DumpError(f"{member.filename}: encrypted or streamed; a dump's members are plain")
        if member.filename != META and not member.filename.endswith(".npy"):
            raise DumpError(f"{member.filename}: not an array")
        if member.filename == META and member.file_size > MAX_TEXT:
            raise DumpError("more attribute text than any net needs")
    if sum(member.file_size for member in members) > path.stat().st_size:
        raise DumpError("the members overlap")


def _npy(data: np.ndarray, member: zipfile.ZipInfo) -> np.ndarray:
    """A member as an array: a slice of the mapped archive whose checksum holds."""
    start = member.header_offset
    name, extra = struct.unpack("<HH", data[start + 26 : start + 30].tobytes())
    start += 30 + name + extra
    body = data[start : start + member.file_size]
    checksum = 0
    for block in blocks(body):
        checksum = zlib.crc32(block, checksum)
    if body.size != member.file_size or checksum != member.CRC:
        raise DumpError(f"{member.filename}: damaged (its checksum differs)")
    head = body[:10].tobytes()
    if head[:8] != NPY_MAGIC:
        raise DumpError(f"{member.filename}: not an array in NPY's version 1.0")
    end = 10 + struct.unpack("<H", head[8:])[0]
    match = _NPY_HEAD.match(body[10:end].tobytes())
    if match is None:
        raise DumpError(f"{member.filename}: not an array of little-endian float32 in C order")
    shape = tuple(int(part) for part in match[1].split(b",") if part.strip())
    count = 1
    for axis in shape:
        count *= axis
    if len(shape) > 32 or count * 4 != body.size - end:
        raise DumpError(f"{member.filename}: its shape does not fit its size")
    array = body[end:].view("<f4").reshape(shape)
    array.setflags(write=False)
    return array


def _read_hdf5(path: Path) -> Tuple[Attributes, Arrays]:
    from .hdf5_guard import read_tree

    try:
        return read_tree(path, MAX_OBJECTS, MAX_TEXT)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise DumpError(f"{path}: damaged HDF5 ({error}); make the dump again") from None
