"""Read a `.caffemodel` without Caffe and without a schema: mapped, no copy of the weights.

All three layouts of caffe.proto (V0 nested layers, V1 `layers`, current `layer`), Caffe's HDF5
layout, BlobShape and legacy shapes, `double_data`, NVCaffe's `raw_data`, and C3D v1.0's blobs of five
axes. What Caffe accepts in silence (a web page, an empty file, trailing bytes, names twice) is refused
here.
"""

from __future__ import annotations

import mmap
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from decant.loader.weights.era import C3D_TYPES, V0_TYPES, V1_TYPES
from decant.loader.weights.foreign import describe, describe_hdf5
from decant.loader.weights.wire import BYTES, FIXED32, FIXED64, VARINT, WireError, fields, varint

# ten times what real nets have: a damaged or hostile file is refused before memory is asked for;
# axes: kMaxBlobAxes of blob.hpp
MAX_LAYERS = 10_000
MAX_LAYER_BLOBS, MAX_BLOBS = 1_000, 50_000
MAX_RUNS = 1_000
MAX_AXES = 32
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# bytes at a time, so that no copy of the whole is made
_CHUNK = 1 << 20
_DTYPES: dict[str, np.dtype] = {
    "float": np.dtype("<f4"),
    "double": np.dtype("<f8"),
    "half": np.dtype("<f2"),
}

# field numbers of caffe.proto
NET_LAYERS_V1, NET_LAYER = 2, 100
BLOB_DATA, BLOB_SHAPE, BLOB_DOUBLE, BLOB_RAW_TYPE, BLOB_RAW = 5, 7, 8, 10, 12
# C3D v1.0 put a length between channels and height: what followed moved up by one
C3D_WIDTH, C3D_DATA = 5, 6
# NVCaffe 0.16 and later write every blob as bytes of one of these types (its caffe.proto, enum Type;
# blob.cpp, FromProto, reads these three); INT and UINT follow, for data alone
RAW_KINDS = {0: "double", 1: "float", 2: "half"}
# as Caffe prints it: no leading zeros, no other digits than ASCII's
_BLOB_NUMBER = re.compile(r"(0|[1-9][0-9]{0,2})\Z")


class CaffemodelError(ValueError):
    """A file that is not a whole caffemodel; the message names the file and what to do.

    `found`: what it is instead, "" where nobody knows.
    """

    def __init__(self, message: str, found: str = "") -> None:
        super().__init__(message)
        self.found = found


class NoWeights(CaffemodelError):
    """An empty file, or a net's without a single blob: all that a net without parameters has."""


@dataclass
class _Run:
    """Consecutive values in the file: packed (stride = item size) or each behind its key."""

    offset: int
    count: int
    stride: int


@dataclass
class Blob:
    """One parameter blob. `shape` is the file's; `legacy` says it came as num, channels, ...

    `kind` is "float", "double" (rounded to float32 as Caffe does) or "half". `raw`: in a field of
    NVCaffe's, which stock Caffe passes over.
    """

    shape: tuple[int, ...]
    legacy: bool
    kind: str
    _data: object = field(repr=False, default=b"")
    _runs: list[_Run] = field(repr=False, default_factory=list)
    raw: bool = False

    @property
    def count(self) -> int:
        """How many values the file holds."""
        return sum(run.count for run in self._runs)

    def array(self) -> np.ndarray:
        """The values, float32, one axis; a read-only view of the file where that is possible."""
        dtype = _DTYPES[self.kind]
        parts = [_values(self._data, run, dtype) for run in self._runs]
        if not parts:
            return np.empty(0, np.float32)
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
        with np.errstate(over="ignore"):  # a double past float32 becomes infinite, as in Caffe
            return whole if whole.dtype == np.float32 else whole.astype(np.float32)

    def pieces(self, most: int = _CHUNK) -> Iterator[np.ndarray]:
        """The same values, float32, no more than `most` at a time."""
        for run in self._runs:
            values = _values(self._data, run, _DTYPES[self.kind])
            for start in range(0, values.size, most):
                with np.errstate(over="ignore"):
                    yield values[start : start + most].astype(np.float32, copy=False)


def _values(data: object, run: _Run, dtype: np.dtype) -> np.ndarray:
    if isinstance(data, np.ndarray):
        return data
    if run.stride == dtype.itemsize:
        return np.frombuffer(data, dtype, run.count, run.offset)  # type: ignore[call-overload,no-any-return]
    raw = np.frombuffer(data, np.uint8, run.count * run.stride, run.offset)  # type: ignore[call-overload]
    columns = raw.reshape(run.count, run.stride)[:, run.stride - dtype.itemsize :]
    return np.ascontiguousarray(columns).view(dtype).reshape(-1)


@dataclass
class Layer:
    """A layer as the file records it; `type` is today's name, "" where none is recorded.

    A blob that the layer only borrows is None in an HDF5 file: Caffe saves it with its owner alone.
    """

    name: str
    type: str
    blobs: list[Blob | None]


@dataclass
class Caffemodel:
    """The weights of a net. Arrays stay valid as long as somebody holds them."""

    path: Path
    name: str
    era: str
    layers: list[Layer]

    def __enter__(self) -> Caffemodel:
        return self

    def __exit__(self, *_: object) -> None:
        """Arrays hold the map themselves; it goes with the last of them."""

    def by_name(self) -> dict[str, Layer]:
        """The layers that hold blobs, by name (unique: `read` sees to it)."""
        return {layer.name: layer for layer in self.layers if layer.blobs}


def read(path: Path, max_layers: int = MAX_LAYERS) -> Caffemodel:
    """Read either format. Raises CaffemodelError (NoWeights), and OSError if it cannot be opened."""
    path = Path(path)
    if path.stat().st_size == 0:
        raise NoWeights(f"{path}: the file is empty; get it again")
    with path.open("rb") as file:
        start = file.read(4096)
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if start.startswith(HDF5_SIGNATURE):
        model = _read_hdf5(path, data)
    else:
        model = _read_wire(path, data, start, max_layers)
    _refuse_duplicates(model)
    return model


def kind_of(path: Path) -> str:
    """What a file that is not a text is: "a caffemodel", or what it was made by; "" if nobody knows."""
    try:
        read(path)
    except NoWeights:
        return ""
    except CaffemodelError as error:
        return error.found
    return "a caffemodel"


def read_blob(path: Path) -> Blob:
    """A BlobProto alone, as mean files (.binaryproto) are. Raises CaffemodelError, or OSError."""
    path = Path(path)
    if path.stat().st_size == 0:
        raise CaffemodelError(f"{path}: the file is empty; get it again")
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        blob = _blob(data, 0, len(data), path.name)
    except WireError as error:
        raise CaffemodelError(f"{path}: not a mean file ({error}); get it again") from None
    if not blob.count:
        raise CaffemodelError(f"{path}: not a mean file (it holds no values); get it again")
    return blob


def _read_wire(path: Path, data: mmap.mmap, start: bytes, max_layers: int) -> Caffemodel:
    try:
        model = _net(path, data, max_layers)
    except WireError as error:
        found = describe(path, data, start)
        damaged = f"not a whole caffemodel ({error}); the file is damaged or cut: get it again"
        raise _refusal(path, found, damaged) from None
    if not any(layer.blobs for layer in model.layers):
        found = describe(path, data, start)
        empty = (
            "holds no weights at all (a definition or a damaged file); give the caffemodel, or none "
            "where the net has no parameters"
        )
        if not found and (model.layers or model.name):
            raise NoWeights(f"{path}: {empty}")
        raise _refusal(path, found, empty)
    return model


def _refusal(path: Path, found: tuple[str, str] | None, otherwise: str) -> CaffemodelError:
    """`found`: what else it is, and what to do."""
    if not found:
        return CaffemodelError(f"{path}: {otherwise}")
    return CaffemodelError("{}: not a caffemodel but {}; {}".format(path, *found), found[0])


def shown(text: str) -> str:
    """A name from a file as a message shows it: quoted, escaped, of bounded length."""
    return repr(text if len(text) <= 80 else text[:80] + "...")


def _net(path: Path, data: mmap.mmap, max_layers: int) -> Caffemodel:
    blobs = 0
    name = ""
    layers: list[Layer] = []
    eras: set[str] = set()
    for number, kind, first, after in fields(data, 0, len(data)):
        if number == 1 and kind == BYTES:
            name = _text(data, first, after)
        elif number in (NET_LAYERS_V1, NET_LAYER) and kind == BYTES:
            if len(layers) == max_layers:
                raise CaffemodelError(
                    f"{path}: more than {max_layers} layers; no real net has so many"
                )
            era, layer = _layer(data, first, after, number == NET_LAYER)
            eras.add(era)
            layers.append(layer)
            blobs += len(layer.blobs)
            if blobs > MAX_BLOBS:
                raise CaffemodelError(
                    f"{path}: more than {MAX_BLOBS} blobs; no real net has so many"
                )
    if "current" in eras and len(eras) > 1:
        raise CaffemodelError(
            f"{path}: holds both `layer` and `layers`, which Caffe refuses; save the net again"
        )
    era = "v0" if "v0" in eras else "v1" if "v1" in eras else "current"
    return Caffemodel(path, name, era, layers)


def _layer(data: mmap.mmap, start: int, end: int, current: bool) -> tuple[str, Layer]:
    """One layer of either list. V1: name 4, type 5 (enum), blobs 6; V0 sits inside field 1."""
    layer = Layer("", "", [])
    v1_type = 0
    inner: Layer | None = None
    name_at, type_at, blobs_at = (1, 2, 7) if current else (4, 5, 6)
    for number, kind, first, after in fields(data, start, end):
        if number == name_at and kind == BYTES:
            layer.name = _text(data, first, after)
        elif number == type_at and kind == BYTES and current:
            layer.type = _text(data, first, after)
        elif number == type_at and kind == VARINT and not current:
            v1_type = first
            layer.type = V1_TYPES.get(first, f"V1 type {first}" if first else "")
        elif number == blobs_at and kind == BYTES:
            _append(layer, data, first, after)
        elif number == 1 and kind == BYTES and not current:
            inner = _layer_v0(data, first, after)
    if inner is not None and layer.blobs:
        raise WireError(start, f"layer {shown(inner.name)}: blobs beside a V0 layer's own")
    if any(blob is not None and len(blob.shape) == 5 and blob.legacy for blob in layer.blobs):
        layer.type = C3D_TYPES.get(v1_type, layer.type)
    return ("current" if current else "v1" if inner is None else "v0"), inner or layer


def _append(layer: Layer, data: mmap.mmap, start: int, end: int) -> None:
    if len(layer.blobs) == MAX_LAYER_BLOBS:
        raise WireError(start, f"layer {shown(layer.name)}: more than {MAX_LAYER_BLOBS} blobs")
    layer.blobs.append(_blob(data, start, end, layer.name))


def _layer_v0(data: mmap.mmap, start: int, end: int) -> Layer:
    """V0LayerParameter: name 1, type 2 (a lower-case word), blobs 50."""
    layer = Layer("", "", [])
    for number, kind, first, after in fields(data, start, end):
        if number == 1 and kind == BYTES:
            layer.name = _text(data, first, after)
        elif number == 2 and kind == BYTES:
            word = _text(data, first, after)
            layer.type = V0_TYPES.get(word, word)
        elif number == 50 and kind == BYTES:
            _append(layer, data, first, after)
    return layer


def _text(data: mmap.mmap, start: int, end: int) -> str:
    try:
        return data[start:end].decode()
    except UnicodeDecodeError:
        raise WireError(start, "a name that is not UTF-8") from None


def _is_c3d(data: mmap.mmap, start: int, end: int) -> bool:
    """Whether field 5 is the width of C3D v1.0, one number, and not the values of stock Caffe."""
    for number, kind, _, _ in fields(data, start, end):
        if number >= C3D_WIDTH:
            return number == C3D_WIDTH and kind == VARINT
    return False


def _c3d_blob(data: mmap.mmap, start: int, end: int, layer: str) -> Blob:
    """BlobProto of C3D v1.0 (its caffe.proto): num, channels, length, height, width 1-5, data 6."""
    dims: dict[int, int] = {}
    runs: list[_Run] = []
    position = start
    while position < end:
        number, kind, first, after = next(fields(data, position, end))
        if number <= C3D_WIDTH and kind == VARINT:
            dims[number] = _dimension(first, position)
        elif number == C3D_DATA and kind in (BYTES, FIXED32):
            after = _take(data, runs, kind, position, first, after, end, 4)
        position = after
        if len(runs) > MAX_RUNS:
            raise WireError(start, f"layer {shown(layer)}: a blob in more than {MAX_RUNS} pieces")
    shape = tuple(dims.get(number, 0) for number in range(1, C3D_WIDTH + 1))
    blob = Blob(shape, True, "float", data, runs)
    _check_count(blob, start, layer)
    return blob


def _blob(data: mmap.mmap, start: int, end: int, layer: str) -> Blob:
    """BlobProto: num..width 1-4, data 5, shape 7, double_data 8; NVCaffe: raw type 10, raw data 12."""
    if _is_c3d(data, start, end):
        return _c3d_blob(data, start, end, layer)
    legacy: dict[int, int] = {}
    shape: list[int] | None = None
    runs: dict[str, list[_Run]] = {"float": [], "double": []}
    raw_type = None
    raw: list[tuple[int, int]] = []
    position = start
    while position < end:
        # one field at a time: a run of unpacked values is taken whole and passed over
        number, kind, first, after = next(fields(data, position, end))
        if number in (1, 2, 3, 4) and kind == VARINT:
            legacy[number] = _dimension(first, position)
        elif number == BLOB_SHAPE and kind == BYTES:
            shape = (shape or []) + _dims(data, first, after)
            if len(shape) > MAX_AXES:
                raise WireError(start, f"layer {shown(layer)}: a blob of more than {MAX_AXES} axes")
        elif number == BLOB_DATA and kind in (BYTES, FIXED32):
            after = _take(data, runs["float"], kind, position, first, after, end, 4)
        elif number == BLOB_DOUBLE and kind in (BYTES, FIXED64):
            after = _take(data, runs["double"], kind, position, first, after, end, 8)
        elif number == BLOB_RAW_TYPE and kind == VARINT:
            raw_type = first
        elif number == BLOB_RAW and kind == BYTES:
            raw = [*raw[-1:], (first, after)]
        position = after
        if any(len(found) > MAX_RUNS for found in runs.values()):
            raise WireError(start, f"layer {shown(layer)}: a blob in more than {MAX_RUNS} pieces")
    dims = tuple(legacy.get(n, 0) for n in (1, 2, 3, 4)) if legacy else tuple(shape or ())
    blob = Blob(dims, bool(legacy), "float", data)
    filled = [kind for kind, found in runs.items() if any(run.count for run in found)]
    held = filled + ["raw"] * any(first < after for first, after in raw)
    if len(held) > 1:
        raise WireError(start, f"layer {shown(layer)}: a blob with both {' and '.join(held)} data")
    if filled:
        blob.kind, blob._runs = filled[0], runs[filled[0]]
    elif held:
        _take_raw(blob, raw, raw_type, start, layer)
    _check_count(blob, start, layer)
    return blob


def _take_raw(
    blob: Blob, raw: list[tuple[int, int]], raw_type: int | None, position: int, layer: str
) -> None:
    """NVCaffe's bytes: one field of little-endian values, whose type stands in another."""
    kind = None if raw_type is None else RAW_KINDS.get(raw_type)
    if kind is None:
        found = "raw data without its type" if raw_type is None else f"raw data of type {raw_type}"
        raise WireError(position, f"layer {shown(layer)}: {found}, which NVCaffe refuses")
    if len(raw) > 1:
        raise WireError(position, f"layer {shown(layer)}: a blob with raw data twice")
    (first, after), width = raw[0], _DTYPES[kind].itemsize
    if (after - first) % width:
        raise WireError(position, f"{after - first} bytes of values {width} bytes wide")
    blob.kind, blob.raw = kind, True
    blob._runs = [_Run(first, (after - first) // width, width)]


def _check_count(blob: Blob, position: int, layer: str) -> None:
    expected = 1
    for dim in blob.shape:
        expected *= dim
    if expected != blob.count:
        shape = "x".join(map(str, blob.shape)) or "()"
        raise WireError(
            position, f"layer {shown(layer)}: a blob of shape {shape} holds {blob.count} values"
        )


def _dimension(value: int, position: int) -> int:
    if value >= 1 << 31:
        raise WireError(position, "a negative or huge dimension")
    return value


def _dims(data: mmap.mmap, start: int, end: int) -> list[int]:
    """BlobShape: dim 1, packed or not."""
    dims: list[int] = []
    for number, kind, first, after in fields(data, start, end):
        if number == 1 and kind == VARINT:
            dims.append(_dimension(first, start))
        elif number == 1 and kind == BYTES:
            while first < after:
                value, first = varint(data, first, after)
                dims.append(_dimension(value, start))
                if len(dims) > MAX_AXES:
                    raise WireError(start, f"more than {MAX_AXES} axes")
    return dims


def _take(
    data: mmap.mmap,
    runs: list[_Run],
    kind: int,
    position: int,
    first: int,
    after: int,
    end: int,
    width: int,
) -> int:
    """Note the values of a packed record, or of a whole run of unpacked ones; where it ends."""
    if kind == BYTES:
        if (after - first) % width:
            raise WireError(position, f"{after - first} bytes of values {width} bytes wide")
        runs.append(_Run(first, (after - first) // width, width))
        return after
    stride = after - position
    count = _unpacked(data, position, end, stride, first - position)
    runs.append(_Run(position, count, stride))
    return position + count * stride


def _unpacked(data: mmap.mmap, position: int, end: int, stride: int, key: int) -> int:
    """How many records with the key at `position` follow each other; sought in growing pieces."""
    wanted = np.frombuffer(data, np.uint8, key, position)
    count, most, some = 0, (end - position) // stride, 8
    while count < most:
        some = min(most - count, _CHUNK, 4 * some)
        block = np.frombuffer(data, np.uint8, some * stride, position + count * stride)
        same = (block.reshape(some, stride)[:, :key] == wanted).all(axis=1)
        if not same.all():
            return count + int(same.argmin())
        count += some
    return count


def _read_hdf5(path: Path, data: mmap.mmap) -> Caffemodel:
    """Caffe's own layout, /data/<layer>/<blob> (net.cpp, ToHDF5); layers come in no order."""
    from decant.dumper.hdf5_guard import UnsafeFile, read_tree

    try:
        # attributes stay unread: Caffe writes none
        _, arrays = read_tree(path, 2 * MAX_BLOBS, None, ("<f4", "<f8"))
    except (UnsafeFile, OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        damaged = f"not a caffemodel in HDF5 ({error}); get it again"
        raise _refusal(path, describe_hdf5(data), damaged) from None
    found: dict[str, dict[int, np.ndarray]] = {}
    for place, array in arrays.items():
        parts = place.split("/")
        if parts[0] == "diff":
            continue
        if len(parts) != 3 or parts[0] != "data" or not _BLOB_NUMBER.match(parts[2]):
            strange = f"/{shown(place)[1:-1]} is not Caffe's layout (/data/<layer>/<blob>)"
            raise _refusal(path, describe_hdf5(data), strange)
        found.setdefault(parts[1], {})[int(parts[2])] = array
    layers = [
        Layer(name, "", [_blob_or_none(blobs.get(n)) for n in range(max(blobs) + 1)])
        for name, blobs in found.items()
    ]
    if not layers:
        raise NoWeights(f"{path}: holds no weights at all; give the caffemodel")
    return Caffemodel(path, "", "hdf5", layers)


def _blob_or_none(array: np.ndarray | None) -> Blob | None:
    return None if array is None else blob_of(array)


def blob_of(array: np.ndarray) -> Blob:
    """A blob that holds these values (float32 or float64), in their shape."""
    kind = "float" if array.dtype.itemsize == 4 else "double"
    return Blob(array.shape, False, kind, array.reshape(-1), [_Run(0, array.size, 0)])


def _refuse_duplicates(model: Caffemodel) -> None:
    counts = Counter(layer.name for layer in model.layers if layer.blobs)
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        listed = ", ".join(map(shown, twice[:5]))
        raise CaffemodelError(
            f"{model.path}: holds weights twice for {listed}; Caffe would take the last: "
            "are these two files in one?"
        )


def not_finite(array: np.ndarray) -> str | None:
    """ "NaN" or "Inf" if the array holds one; in pieces, so that memory stays small."""
    flat = array.reshape(-1)
    for start in range(0, flat.size, _CHUNK):
        piece = flat[start : start + _CHUNK]
        if not np.isfinite(piece).all():
            return "NaN" if np.isnan(piece).any() else "Inf"
    return None
