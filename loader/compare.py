"""Two sides, layer by layer: any two of a dump, an artifact, and an NPZ of activations.

An artifact is run on the other side's probe; two artifacts on a seeded one. Where one side is Caffe's
dump and the other an artifact, each layer is also run alone on Caffe's own input.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from decant.dumper import dumpfile
from decant.loader.artifact import bundle
from decant.loader.definition.naming import unique
from decant.loader.errors import BadInput, UsageError
from decant.loader.parity.metrics import cosine, distance
from decant.loader.parity.verdict import BOUND, LayerParity

Tops = dict[str, list[np.ndarray]]


@dataclass
class Side:
    """`tops`: by layer, in order; none of an artifact, which computes them one after the other.

    `probe`: what it was run on. `types`: of the layers, "" where nobody says them.
    """

    path: Path
    kind: str
    tops: Tops
    probe: dict[str, np.ndarray]
    types: dict[str, str]


@dataclass
class Row:
    """One top of both sides; NaN stands for "not computed".

    `explained`: why the error is none, where one side is Caffe's dump and the other an artifact.
    """

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
    explained: str = ""


@dataclass
class Compared:
    """`missing`: layers that only one side has; `bound` on max|a - b| / max|b|."""

    rows: list[Row]
    missing: list[str]
    bound: float

    @property
    def wrong(self) -> list[Row]:
        """Those that diverge, in the order of the second side."""
        return [row for row in _beyond(self.rows, self.bound) if not row.explained]

    @property
    def first(self) -> Row | None:
        """The first of `wrong`."""
        return next(iter(self.wrong), None)


def _beyond(rows: Iterable[Row], bound: float) -> list[Row]:
    return [row for row in rows if row.reason or not row.error <= bound]


def open_side(path: Path) -> Side:
    """A dump, an artifact's folder, or an NPZ with one array a layer. Raises BadInput."""
    if path.is_dir():
        manifest = bundle.read_manifest(path)
        types = {layer.name: layer.type for layer in manifest.net}
        return Side(path, "artifact", {}, {}, types)
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
    probe = other.probe or one.probe
    if one.kind == other.kind == "artifact":
        probe = _seeded(other.path)
    mine, theirs = (
        _layers(side, against, probe, device) for side, against in ((one, other), (other, one))
    )
    rows = []
    for name in theirs.names:
        if name in mine.names:
            kind = other.types.get(name) or one.types.get(name, "")
            rows += _rows(name, kind, mine, theirs)
    if not rows:
        raise UsageError(f"{one.path} and {other.path} have no layer in common")
    if bound >= BOUND and _beyond(rows, bound):
        _explain(rows, one, other, device)
    there, here = set(theirs.names), set(mine.names)
    missing = [name for name in (*mine.names, *theirs.names) if (name in here) != (name in there)]
    return Compared(rows, missing, bound)


class _Layers:
    """A side's values, by layer, each asked for once and in order."""

    def __init__(self, names: Iterable[str], tops: Callable[[str], list[np.ndarray]]) -> None:
        self.names, self.tops = list(names), tops
        # of an artifact beside a dump: the layer fed with Caffe's own input
        self.alone: Callable[[str], list[np.ndarray]] | None = None


def _layers(side: Side, against: Side, probe: Mapping[str, np.ndarray], device: str) -> _Layers:
    if side.kind != "artifact":
        return _Layers(side.tops, side.tops.__getitem__)
    if not probe:
        raise UsageError(
            f"{side.path}: there is no input to run it on; the NPZ may hold it as probe/BLOB"
        )
    return _artifact(side.path, probe, device, against.path if against.kind == "dump" else None)


def _seeded(folder: Path) -> dict[str, np.ndarray]:
    manifest = bundle.read_manifest(folder)
    random = np.random.Generator(np.random.PCG64(0))
    return {
        item.blob: random.standard_normal(item.shape, np.float32) * np.float32(50)
        for item in manifest.inputs
    }


def _artifact(
    folder: Path, probe: Mapping[str, np.ndarray], device: str, caffe: Path | None
) -> _Layers:
    """The artifact run on `probe`; where `caffe` is a dump, each layer also on that one's inputs."""
    import torch

    from decant.loader.artifact.loading import load
    from decant.loader.parity.measuring import caffe_values
    from decant.loader.parity.running import Alone, Run, names
    from decant.loader.source.tracing import CaffeMap, Trace

    model, _ = load(folder.resolve())
    found: CaffeMap = model.__dict__["caffe_map"]
    _refuse_other_inputs(folder, found.blobs, probe)
    trace = Trace(model.requires_grad_(False).to(device), found)
    inputs = [torch.from_numpy(np.array(probe[blob])).to(device) for blob in found.blobs]
    forward = Run(trace, trace.module, inputs)

    def tops(name: str) -> list[np.ndarray]:
        values = _arrays(forward.tops(name))
        forward.done(name)
        return values

    layers = _Layers(names(trace), tops)
    if caffe:
        known = caffe_values(dumpfile.read(caffe), trace)
        alone = Alone(trace, trace.module, known, torch.zeros((), device=device))
        layers.alone = lambda name: _arrays(alone.tops(name))
    return layers


def _refuse_other_inputs(
    folder: Path, blobs: Sequence[str], probe: Mapping[str, np.ndarray]
) -> None:
    lacking = [blob for blob in blobs if blob not in probe]
    if lacking:
        raise UsageError(f"{folder}: no array for its input {lacking[0]!r}")
    manifest = bundle.read_manifest(folder)
    for item in manifest.inputs:
        given = probe[item.blob].shape
        whole = not manifest.batch or given[:1] == item.shape[:1]
        if not whole or len(given) != len(item.shape) or given[1:] != item.shape[1:]:
            raise UsageError(
                f"{folder}: takes {item.blob!r} of shape {item.shape}, and the other side "
                f"was given {given}: they cannot be compared"
            )


def _arrays(tops: Iterable[Any]) -> list[np.ndarray]:
    return [top.detach().float().cpu().numpy() for top in tops]


def _rows(name: str, kind: str, mine: _Layers, theirs: _Layers) -> list[Row]:
    """One for each top."""
    ours, reference = mine.tops(name), theirs.tops(name)
    apart = mine.alone or theirs.alone
    caffe = reference if mine.alone else ours
    alone = apart(name) if apart else []
    rows = [Row(name, kind, number) for number in range(max(len(ours), len(reference)))]
    for number, row in enumerate(rows):
        if number >= min(len(ours), len(reference)):
            row.reason = f"{len(ours)} tops and {len(reference)}"
            continue
        _fill(row, ours[number], reference[number])
        if number < min(len(alone), len(caffe)):
            by = distance(alone[number], caffe[number])
            row.isolated = math.inf if by.reason else by.error
    return rows


def _explain(rows: Sequence[Row], one: Side, other: Side, device: str) -> None:
    """What parity says of an artifact beside Caffe's dump: rounding, a near tie, or Caffe's own sums."""
    sides = {side.kind: side.path for side in (one, other)}
    if set(sides) != {"artifact", "dump"}:
        return
    from decant.loader.artifact.loading import load
    from decant.loader.parity.measuring import measure

    model, _ = load(sides["artifact"].resolve())
    found: dict[str, list[LayerParity]] = {}
    for layer in measure(
        dumpfile.read(sides["dump"]), model, model.__dict__["caffe_map"], device
    ).layers:
        found.setdefault(layer.layer, []).append(layer)
    for row in rows:
        verdicts = found.get(row.layer, [])[row.top : row.top + 1]
        if verdicts and verdicts[0].verdict in ("passed", "ill-conditioned"):
            row.explained = (
                verdicts[0].reason or "fed with Caffe's values of the layers before, it agrees"
            )


def _fill(row: Row, mine: np.ndarray, reference: np.ndarray) -> None:
    found = distance(mine, reference)
    row.max_abs, row.error = found.max_abs, found.error
    row.relative_l2, row.cosine, row.reason = found.relative_l2, found.cosine, found.reason
    if mine.shape == reference.shape:
        row.cosine_relu = cosine(mine.clip(min=0), reference.clip(min=0))
