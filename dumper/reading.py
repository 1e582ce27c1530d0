"""Read a dump. It is untrusted: the container that wrote it ran somebody's prototxt.

The guards open the file and give its tree of places; here each place is given its meaning.
"""

from __future__ import annotations

import json
import math
import struct
import zipfile
from pathlib import Path
from typing import Any, Dict, List, Mapping, Tuple

import numpy as np

from .content import FORMAT, VERSION, Dump, DumpError, Layer, Owner
from .hdf5_guard import read_tree
from .npz_guard import read_archive

HDF5_MAGIC, ZIP_MAGIC = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"
# far more than the deepest net has; a text is as long as a prototxt may be
MAX_OBJECTS = 200_000
MAX_TEXT = 64 << 20
# what libhdf5, zipfile and the guards raise on a file that is not whole, or not plain
DAMAGE = (
    OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, EOFError,
    zipfile.BadZipFile, struct.error,
)  # fmt: skip

Attributes = Dict[str, Dict[str, Any]]
Arrays = Dict[str, np.ndarray]
ROOT = {
    "format": str, "version": int, "net_name": str, "prototxt": str, "prototxt_run": str,
    "engine": str, "caffe_version": str, "has_activations": int, "caffemodel_sha256": str,
    "reading": str, "notes": str,
}  # fmt: skip
LAYER = {"name": str, "type": str, "bottoms": str, "tops": str}


def read(path: Path) -> Dump:
    """Read a dump in either form. Arrays of contiguous data are maps of the file, not copies.

    Raises DumpError for anything that is not a whole dump of this version.
    """
    path = Path(path)
    attributes, arrays = _tree(path)
    try:
        return _assemble(attributes, arrays)
    except DumpError as error:
        raise DumpError(f"{path}: {error}; dump the net again") from None


def _tree(path: Path) -> Tuple[Attributes, Arrays]:
    with path.open("rb") as file:
        start = file.read(8)
    try:
        if start == HDF5_MAGIC:
            return read_tree(path, MAX_OBJECTS, MAX_TEXT)
        if start[:4] == ZIP_MAGIC:
            return read_archive(path, MAX_OBJECTS, MAX_TEXT)
    except DAMAGE as error:
        form = "HDF5" if start == HDF5_MAGIC else "NPZ"
        raise DumpError(f"{path}: damaged {form} ({error}); make the dump again") from None
    raise DumpError(f"{path}: neither HDF5 nor NPZ; a dump is made by `decant dump`")


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
        raise DumpError(f"/{place}: owners are not a list")
    owners: List[Owner] = []
    for owner in found:
        if owner is None:
            owners.append(None)
        elif isinstance(owner, list) and [type(item) for item in owner] == [int, int]:
            owners.append((owner[0], owner[1]))
        else:
            raise DumpError(f"/{place}: an owner that is not a [layer, blob]")
    return owners


def _shapes(place: str, text: str) -> Dict[int, Tuple[int, ...]]:
    found = _json(place, text)
    if not isinstance(found, dict) or len(found) > MAX_OBJECTS:
        raise DumpError(f"/{place}: shapes are not an object")
    shapes = {}
    for number, shape in found.items():
        if (
            not number.isdecimal()
            or not isinstance(shape, list)
            or len(shape) > 32
            or not all(type(axis) is int and 0 <= axis < 1 << 31 for axis in shape)
        ):
            raise DumpError(f"/{place}: a shape that is not a list of axes")
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
