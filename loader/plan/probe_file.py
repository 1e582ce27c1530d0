"""The probe of `--probe FILE.npz`: what does not fit the net is refused before anything runs."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from decant.loader.definition.graph import Net
from decant.loader.errors import BadInput, UsageError
from decant.loader.layers.layer_type import Role
from decant.loader.layers.rule import Rule, Shape, shown
from decant.loader.plan.meaning import InputUse, Walk
from decant.loader.plan.outline import BlobShapes, outline
from decant.loader.plan.probe import refuse_unknown, right

# what numpy and zipfile raise for files that are none of theirs, or broken ones
UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    RuntimeError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)


def read(
    net: Net,
    file: Path,
    shapes: Mapping[str, Shape] | None = None,
    rules: Mapping[str, Rule] | None = None,
    blobs: BlobShapes | None = None,
) -> dict[str, np.ndarray]:
    """One float32 array for each input, in the definition's order.

    `shapes`: what `--input` says; `blobs`: the shapes of the weights. Raises UsageError for names of
    no input and for shapes that contradict `--input`, BadInput for all that the net cannot take.
    """
    found = _arrays(net, file)
    refuse_unknown(net, found, "--probe")
    missing = [name for name in net.inputs if name not in found]
    if missing:
        raise BadInput(
            f"{file}: no array for input {', '.join(map(repr, missing))}; numpy.savez takes one for "
            "each"
        )
    arrays = {name: found[name] for name in net.inputs}
    for name, array in arrays.items():
        _refuse_array(net, file, name, array, (shapes or {}).get(name))
    _refuse_shapes(net, file, {name: array.shape for name, array in arrays.items()}, rules, blobs)
    _refuse_values(net, file, arrays, rules)
    return arrays


def _arrays(net: Net, file: Path) -> dict[str, np.ndarray]:
    first = next(iter(net.inputs), "data")
    try:
        archive = np.load(file, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise BadInput(
                f"{file}: one array without the name of its input; use numpy.savez(FILE, "
                f"{first}=array)"
            )
        with archive:
            return {name: _float32(file, name, archive[name]) for name in archive.files}
    except FileNotFoundError:
        raise BadInput(f"{file}: no such file; --probe takes an NPZ") from None
    except UNREADABLE as error:
        # numpy goes on to praise allow_pickle
        why = str(error).split(". If you")[0] or type(error).__name__
        raise BadInput(f"{file}: not an NPZ of plain arrays ({why}); use numpy.savez") from None


def _float32(file: Path, name: str, array: np.ndarray | bytes) -> np.ndarray:
    if isinstance(array, bytes):
        raise BadInput(f"{file}: {name!r} is not an array; use numpy.savez")
    if array.dtype.kind not in "fiub":
        raise BadInput(f"{file}: {name!r} holds {array.dtype}; a probe holds real numbers")
    with np.errstate(over="ignore"):
        return np.asarray(array, np.float32)


def _refuse_array(net: Net, file: Path, name: str, array: np.ndarray, asked: Shape | None) -> None:
    """An array that is wrong by itself, or beside what is said of its input."""
    declared = net.inputs[name]
    if not np.isfinite(array).all():
        raise BadInput(f"{file}: {name!r} holds NaN or Inf; a probe must be finite")
    if not array.size or not array.ndim:
        raise BadInput(f"{file}: {name!r} has shape {array.shape}; a probe holds a batch of values")
    if asked and tuple(asked) != array.shape:
        raise UsageError(
            f"--input {name}={','.join(map(str, asked))}: {file} has {shown(array.shape)}; give one "
            "of the two"
        )
    if declared and len(declared) != array.ndim:
        raise BadInput(
            f"{file}: {name!r} has shape {shown(array.shape)}; the net takes {len(declared)} axes, "
            f"as {shown(declared)}"
        )


def _refuse_shapes(
    net: Net,
    file: Path,
    shapes: Mapping[str, Shape],
    rules: Mapping[str, Rule] | None,
    blobs: BlobShapes | None,
) -> None:
    """Shapes at which layers refuse what they take at those of the definition."""
    declared = {name: net.inputs[name] or shape for name, shape in shapes.items()}
    if declared == shapes or min(map(min, declared.values()), default=0) < 1:
        return
    before = set(outline(net, declared, rules, blobs).refused)
    wrong = [line for line in outline(net, shapes, rules, blobs).refused if line not in before]
    if wrong:
        named = [name for name, shape in shapes.items() if shape != declared[name]]
        said = ", ".join(
            f"{name!r} of {shown(shapes[name])} (declared: {shown(declared[name])})"
            for name in named
        )
        raise BadInput(f"{file}: {said} does not fit the net: {wrong[0]}", wrong)


def _refuse_values(
    net: Net, file: Path, arrays: Mapping[str, np.ndarray], rules: Mapping[str, Rule] | None
) -> None:
    """Numbers with which Caffe aborts or reads what is not its own; selectors that keep nothing."""
    walk = Walk(net, {name: array.shape for name, array in arrays.items()}, rules)
    for name in walk.inputs:
        walk.of(name)[...] = arrays[name]
    for use in walk.uses():
        ours = use.moved.places >= 0
        values = walk.values[use.moved.places]
        who = f"layer {use.layer.name!r} ({use.layer.type})"
        if use.role is Role.INDEX and (wrong := values[ours & ~right(use, values)]).size:
            raise BadInput(
                f"{file}: {_named(walk, use)} holds {wrong[0]:g}; {who} takes whole numbers from "
                f"0 to {use.limit - 1}"
            )
        if use.role is Role.SELECTOR and ours.all() and not _read(use, values).any():
            raise BadInput(
                f"{file}: {_named(walk, use)} is 0 everywhere: {who} would keep no row, and "
                "nothing would be compared"
            )
        if use.role is Role.BOX and _outside(use, values):
            raise BadInput(
                f"{file}: {_named(walk, use)}: {who} takes rows of (picture, x1, y1, x2, y2), "
                f"pictures from 0 to {use.limit - 1}"
            )


def _read(use: InputUse, values: np.ndarray) -> np.ndarray:
    return np.asarray(values * use.moved.scale + use.moved.shift)


def _outside(use: InputUse, values: np.ndarray) -> bool:
    if values.size != 5 * len(values):
        return True
    pictures = _read(use, values).reshape(-1, 5)[:, 0]
    ours = use.moved.places.reshape(-1, 5)[:, 0] >= 0
    return bool((ours & ((pictures < 0) | (pictures >= use.limit))).any())


def _named(walk: Walk, use: InputUse) -> str:
    return ", ".join(map(repr, walk.names(use.moved.places)))
