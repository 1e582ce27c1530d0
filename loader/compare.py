"""Two sides, layer by layer: any two of a dump, an artifact, and an NPZ of activations.

An artifact is run on the other side's probe; two artifacts on a seeded one. Where one side is Caffe's
dump and the other an artifact, each layer is also run alone on Caffe's own input.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from dumper import dumpfile
from loader import artifact
from loader.errors import BadInput, UsageError
from loader.metrics import cosine, distance
from loader.naming import unique

Tops = dict[str, list[np.ndarray]]


@dataclass
class Side:
    """`tops`: by layer; None until an artifact has been run. `probe`: what it was run on."""

    path: Path
    kind: str
    tops: Tops | None
    probe: dict[str, np.ndarray]
    types: dict[str, str]


@dataclass
class Row:
    """One top of both sides; NaN stands for "not computed"."""

    layer: str
    type: str
    top: int
    max_abs: float = math.nan
    error: float = math.nan
    relative_l2: float = math.nan
    cosine: float = math.nan
    cosine_relu: float = math.nan
    isolated: float = math.nan
    reason: str = ""


@dataclass
class Compared:
    """`missing`: layers that only one side has; `bound` on max|a - b| / max|b|."""

    rows: list[Row]
    missing: list[str]
    bound: float

    @property
    def first(self) -> Row | None:
        """The first diverging layer, in the order of the second side."""
        return next((row for row in self.rows if row.reason or not row.error <= self.bound), None)


def open_side(path: Path) -> Side:
    """A dump, an artifact's folder, or an NPZ with one array a layer. Raises BadInput."""
    if path.is_dir():
        manifest = artifact.read_manifest(path)
        types = {layer["name"]: layer["type"] for layer in manifest["net"]}
        return Side(path, "artifact", None, {}, types)
    if not path.is_file():
        raise BadInput(f"{path}: no such file; give a dump, an artifact or an NPZ of activations")
    try:
        dump = dumpfile.read(path)
    except dumpfile.DumpError as error:
        if path.suffix != ".npz":
            raise BadInput(str(error)) from None
        return _npz(path)
    if not dump.has_activations:
        raise BadInput(
            f"{path}: a dump without activations (engine {dump.engine}); use engine caffe"
        )
    names = unique(layer.name for layer in dump.layers)
    tops, types = {}, {}
    for name, layer in zip(names, dump.layers, strict=True):
        if layer.type not in ("Split", "Silence"):
            tops[name], types[name] = list(layer.activations), layer.type
    return Side(path, "dump", tops, dict(dump.probe), types)


def _npz(path: Path) -> Side:
    """Arrays by layer; inputs may be there as `probe/BLOB`, more tops as `LAYER:1`."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: _plain(archive[name]) for name in archive.files}
    # what numpy and zipfile raise for files that are damaged, or something else
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        EOFError,
        BadZipFile,
    ) as error:
        raise BadInput(f"{path}: not an NPZ of plain arrays ({error}); use numpy.savez") from None
    probe = {name[6:]: array for name, array in arrays.items() if name.startswith("probe/")}
    tops: Tops = {}
    numbered = [(*_place(name), array) for name, array in arrays.items() if name[:6] != "probe/"]
    for layer, _, array in sorted(numbered, key=lambda item: item[1]):
        tops.setdefault(layer, []).append(array)
    tops = {layer: tops[layer] for layer, _, _ in numbered}
    return Side(path, "activations", tops, probe, dict.fromkeys(tops, ""))


def _plain(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "biuf":
        raise TypeError(f"an array of {array.dtype}")
    return np.asarray(array, np.float32)


def _place(name: str) -> tuple[str, int]:
    """`conv:1` -> ("conv", 1)."""
    layer, _, number = name.rpartition(":")
    return (layer, int(number)) if layer and number.isdecimal() else (name, 0)


def compare(one: Side, other: Side, bound: float, device: str = "cpu") -> Compared:
    """`other` is the reference: errors are parts of its largest values."""
    alone: Tops = {}
    probe = other.probe or one.probe
    if one.kind == other.kind == "artifact":
        probe = _seeded(other.path)
    for side in (one, other):
        if side.tops is None:
            if not probe:
                raise UsageError(
                    f"{side.path}: there is no input to run it on; the NPZ may hold it as probe/BLOB"
                )
            against = other if side is one else one
            caffe = against.path if against.kind == "dump" else None
            side.tops, alone = _run(side.path, probe, device, caffe)
    assert one.tops is not None and other.tops is not None
    mine, theirs = one.tops, other.tops
    caffe_tops = mine if one.kind == "dump" else theirs
    apart = {name: (tops, caffe_tops.get(name, [])) for name, tops in alone.items()}
    rows = [
        _row(name, other.types.get(name) or one.types.get(name, ""), number, mine, theirs, apart)
        for name, tops in theirs.items()
        if name in mine
        for number in range(max(len(tops), len(mine[name])))
    ]
    if not rows:
        raise UsageError(f"{one.path} and {other.path} have no layer in common")
    missing = [name for name in (*mine, *theirs) if (name in mine) != (name in theirs)]
    return Compared(rows, missing, bound)


def _seeded(folder: Path) -> dict[str, np.ndarray]:
    manifest = artifact.read_manifest(folder)
    random = np.random.Generator(np.random.PCG64(0))
    return {
        item["blob"]: random.standard_normal(item["shape"], np.float32) * np.float32(50)
        for item in manifest["inputs"]
    }


def _run(
    folder: Path, probe: Mapping[str, np.ndarray], device: str, caffe: Path | None
) -> tuple[Tops, Tops]:
    """(every layer's tops, and each layer's alone on the inputs of the dump `caffe`)."""
    import torch

    from loader.loading import load
    from loader.parity import alone
    from loader.tracing import CaffeMap, Trace

    model, _ = load(folder.resolve())
    found: CaffeMap = model.__dict__["caffe_map"]
    lacking = [blob for blob in found.blobs if blob not in probe]
    if lacking:
        raise UsageError(f"{folder}: no array for its input {lacking[0]!r}")
    manifest = artifact.read_manifest(folder)
    fixed = manifest["batch"]
    for item in manifest["inputs"]:
        given = probe[item["blob"]].shape
        whole = not fixed or list(given[:1]) == item["shape"][:1]
        if not whole or len(given) != len(item["shape"]) or list(given[1:]) != item["shape"][1:]:
            raise UsageError(
                f"{folder}: takes {item['blob']!r} of shape {tuple(item['shape'])}, and the other side "
                f"was given {given}: they cannot be compared"
            )
    with torch.no_grad():
        trace = Trace(model.to(device), found)
        inputs = [torch.from_numpy(np.array(probe[blob])).to(device) for blob in found.blobs]
        whole = _arrays(trace.run(inputs))
        apart = _arrays(alone(dumpfile.read(caffe), trace, device)) if caffe else {}
    return whole, apart


def _arrays(tops: Mapping[str, Any]) -> Tops:
    return {name: [top.float().cpu().numpy() for top in found] for name, found in tops.items()}


def _row(
    name: str,
    kind: str,
    number: int,
    mine: Tops,
    theirs: Tops,
    apart: Mapping[str, tuple[list[np.ndarray], list[np.ndarray]]],
) -> Row:
    """`apart`: each layer alone on Caffe's input, and what Caffe made of it."""
    row = Row(name, kind, number)
    if number >= len(mine[name]) or number >= len(theirs[name]):
        row.reason = f"{len(mine[name])} tops and {len(theirs[name])}"
        return row
    a, b = mine[name][number], theirs[name][number]
    found = distance(a, b)
    row.max_abs, row.error = found.max_abs, found.error
    row.relative_l2, row.cosine, row.reason = found.relative_l2, found.cosine, found.reason
    if a.shape == b.shape:
        row.cosine_relu = cosine(a.clip(min=0), b.clip(min=0))
    ours, caffe = apart.get(name, ([], []))
    if number < min(len(ours), len(caffe)):
        apart_by = distance(ours[number], caffe[number])
        row.isolated = math.inf if apart_by.reason else apart_by.error
    return row
