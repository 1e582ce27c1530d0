"""The dump: what stage 1 writes and stage 2 reads. docs/dump-format.md is its specification.

Two forms of one tree: HDF5, and NPZ whose bytes repeat everywhere. This file is the one owner of the
format; it knows no Caffe. `read` treats a dump as untrusted: the container that wrote it ran
somebody's prototxt.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterable, Mapping
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

Owner = Optional[Tuple[int, int]]


class DumpError(ValueError):
    """A file that is not a dump of this version, or not a whole one."""


@dataclass
class Header:
    """The attributes of the root. `prototxt` is verbatim; "" stands for "not there"."""

    net_name: str
    prototxt: str
    prototxt_run: str
    engine: str
    caffe_version: str
    has_activations: bool
    caffemodel_sha256: str


@dataclass
class Layer:
    """One layer as it ran. Arrays are float32; `params[i]` of a shared blob is its owner's array."""

    name: str
    type: str
    bottoms: List[str]
    tops: List[str]
    params: List[np.ndarray] = field(default_factory=list)
    owners: List[Owner] = field(default_factory=list)
    activations: List[np.ndarray] = field(default_factory=list)


@dataclass
class Dump(Header):
    """A dump that was read: layers in order of execution, arrays read-only."""

    layers: List[Layer] = field(default_factory=list)
    probe: Dict[str, np.ndarray] = field(default_factory=dict)


def write(
    path: Path, header: Header, layers: Iterable[Layer], probe: Mapping[str, np.ndarray]
) -> None:
    """Write a dump; `.npz` selects the NPZ form. Layers are taken one at a time.

    The file is written where `path` says: writing beside and renaming is the caller's.
    """
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
            },
        )
        for index, layer in enumerate(layers):
            _write_layer(tree, f"layers/{index:05}", layer)
        for index, (name, array) in enumerate(probe.items()):
            tree.array(f"probe/{index}", array, {"name": name})


def _write_layer(tree: _Tree, place: str, layer: Layer) -> None:
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
        tree.attributes(place + "/params", {"owners": json.dumps(layer.owners)})
    for number, (array, owner) in enumerate(zip(layer.params, layer.owners)):
        if owner is None:
            tree.array(f"{place}/params/{number}", array)
    for number, array in enumerate(layer.activations):
        tree.array(f"{place}/activations/{number}", array)


def read(path: Path) -> Dump:
    """Read a dump in either form. Arrays of contiguous data are maps of the file, not copies.

    Raises DumpError for anything that is not a whole dump of this version.
    """
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
        raise DumpError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, IndexError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise DumpError(f"{path}: not a whole dump ({reason}); make it again") from None


Attributes = Dict[str, Dict[str, Any]]
Arrays = Dict[str, np.ndarray]


def _assemble(attributes: Attributes, arrays: Arrays) -> Dump:
    root = attributes.get("", {})
    if root.get("format") != FORMAT:
        raise DumpError("not a dump (no format mark); a dump is made by `decant dump`")
    if int(root["version"]) != VERSION:
        raise DumpError(
            f"version {root['version']}, this program reads {VERSION}; dump the net again"
        )
    dump = Dump(
        net_name=_text(root, "net_name"),
        prototxt=_text(root, "prototxt"),
        prototxt_run=_text(root, "prototxt_run"),
        engine=_text(root, "engine"),
        caffe_version=_text(root, "caffe_version"),
        has_activations=bool(root["has_activations"]),
        caffemodel_sha256=str(root.get("caffemodel_sha256", "")),
    )
    taken = set()  # type: set[str]
    count = len({place.split("/")[1] for place in attributes if place.startswith("layers/")})
    for index in range(count):
        dump.layers.append(_assemble_layer(f"layers/{index:05}", attributes, arrays, taken))
    _resolve_owners(dump.layers)
    while f"probe/{len(dump.probe)}" in arrays:
        place = f"probe/{len(dump.probe)}"
        dump.probe[_text(attributes[place], "name")] = arrays[place]
        taken.add(place)
    if set(arrays) - taken:
        raise DumpError(f"unexpected data at /{min(set(arrays) - taken)}; dump the net again")
    return dump


def _text(attributes: Mapping[str, Any], name: str) -> str:
    value = attributes[name]
    if not isinstance(value, str):
        raise DumpError(f"attribute {name!r} is not a text")
    return value


def _names(attributes: Mapping[str, Any], name: str) -> List[str]:
    names = json.loads(_text(attributes, name))
    if not isinstance(names, list) or not all(isinstance(item, str) for item in names):
        raise DumpError(f"attribute {name!r} is not a list of names")
    return names


def _assemble_layer(place: str, attributes: Attributes, arrays: Arrays, taken: Any) -> Layer:
    own = attributes[place]
    layer = Layer(
        _text(own, "name"), _text(own, "type"), _names(own, "bottoms"), _names(own, "tops")
    )
    owners = json.loads(attributes.get(place + "/params", {}).get("owners", "[]"))
    for number, owner in enumerate(owners):
        layer.owners.append(None if owner is None else (int(owner[0]), int(owner[1])))
        if owner is None:
            layer.params.append(arrays[f"{place}/params/{number}"])
            taken.add(f"{place}/params/{number}")
        else:
            layer.params.append(np.empty(0, np.float32))
    while f"{place}/activations/{len(layer.activations)}" in arrays:
        name = f"{place}/activations/{len(layer.activations)}"
        layer.activations.append(arrays[name])
        taken.add(name)
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
            layer.params[number] = lender.params[owner[1]]


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
        buffer = io.BytesIO()
        plain = np.ascontiguousarray(array, "<f4").reshape(array.shape)
        np.lib.format.write_array(buffer, plain, version=(1, 0), allow_pickle=False)
        self._archive.writestr(_member(place + ".npy"), buffer.getbuffer())
        if attributes:
            self.attributes(place, attributes)


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.external_attr, info.create_system = 0o644 << 16, 3
    return info


def _read_npz(path: Path) -> Tuple[Attributes, Arrays]:
    try:
        with zipfile.ZipFile(str(path)) as archive:
            members = archive.infolist()
            _check_members(path, members)
            attributes = json.loads(archive.read(META))
            arrays = {}
            for member in members:
                if member.filename != META:
                    with archive.open(member) as file:
                        array = np.lib.format.read_array(file, allow_pickle=False)
                    arrays[member.filename[: -len(".npy")]] = _frozen(path, array)
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, OSError, MemoryError) as error:
        raise DumpError(f"{path}: damaged NPZ ({error}); make the dump again") from None
    if not isinstance(attributes, dict):
        raise DumpError(f"{path}: damaged NPZ (no attributes); make the dump again")
    return attributes, arrays


def _check_members(path: Path, members: List[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    if len(set(names)) != len(names) or len(names) > MAX_OBJECTS:
        raise DumpError(f"{path}: the archive names a member twice, or far too many")
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise DumpError(f"{path}: {member.filename}: compressed; a dump's members are stored")
        if member.filename != META and not member.filename.endswith(".npy"):
            raise DumpError(f"{path}: {member.filename}: not an array")
    if sum(member.file_size for member in members) > path.stat().st_size:
        raise DumpError(f"{path}: the members overlap")


def _frozen(path: Path, array: np.ndarray) -> np.ndarray:
    if array.dtype != np.dtype("<f4"):
        raise DumpError(f"{path}: an array of {array.dtype}; a dump holds float32")
    array.setflags(write=False)
    return array


def _read_hdf5(path: Path) -> Tuple[Attributes, Arrays]:
    from dumper.hdf5_guard import read_tree

    try:
        return read_tree(path, MAX_OBJECTS, MAX_TEXT)
    except (OSError, RuntimeError, KeyError, ValueError, UnicodeDecodeError) as error:
        if isinstance(error, DumpError):
            raise
        raise DumpError(f"{path}: damaged HDF5 ({error}); make the dump again") from None
