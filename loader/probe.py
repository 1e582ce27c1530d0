"""The probe: the reproducible input on which Caffe and PyTorch are both run."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from loader.batch import input_shapes
from loader.errors import BadInput, UsageError
from loader.graph import Net

# about the spread of mean-free pictures, 0..255
DEVIATION = 50.0
MAX_BYTES = 4 << 30


def make_probe(
    net: Net,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    file: Path | None = None,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """One float32 array for each input blob, the same on every machine.

    `shapes` overrides declared shapes, whose batch becomes one where the net takes any; `file` is an
    NPZ that holds all inputs. Raises UsageError for inputs that need `--input` or `--probe`.
    """
    shapes = dict(shapes or {})
    refuse_unknown(net, shapes, "--input")
    if file is not None:
        return _read(net, file)
    generator = np.random.Generator(np.random.PCG64(seed))
    known = input_shapes(net, shapes)
    return {name: _make(net, name, known[name], generator) for name in net.inputs}


def _make(
    net: Net, name: str, shape: tuple[int, ...] | None, generator: np.random.Generator
) -> np.ndarray:
    if shape is None or min(shape) < 1:
        raise UsageError(
            f"{net.file}: input {name!r} has no shape; give --input {name}=1,3,224,224"
        )
    if int(np.prod(shape, dtype=object)) * 4 > MAX_BYTES:
        raise UsageError(f"{net.file}: input {name!r} of shape {shape} is larger than 4 GiB")
    reader = _reader(net, name)
    if name == "cont":
        return np.ones(shape, np.float32)
    if name == "im_info" and shape[-1] >= 3:
        return np.resize(np.array([224, 224, 1], np.float32), list(shape))
    if reader in _INDEX_READERS:
        rows = _rows(net, reader, name)
        return generator.integers(0, rows, shape).astype(np.float32)
    if reader is not None and "ROI" in reader:
        raise UsageError(f"{net.file}: input {name!r} holds boxes; give --probe FILE.npz")
    return generator.standard_normal(shape, np.float32) * np.float32(DEVIATION)


_INDEX_READERS = {"Embed", "BatchReindex", "Filter"}


def _reader(net: Net, name: str) -> str | None:
    """The type of layer that takes `name` as its indices or boxes, if one does."""
    for layer in net.layers:
        if name in layer.bottoms:
            position = layer.bottoms.index(name)
            if layer.type == "Embed" or (position > 0 and layer.type in _INDEX_READERS):
                return layer.type
            if position > 0 and "ROI" in layer.type:
                return layer.type
    return None


def _rows(net: Net, reader: str, name: str) -> int:
    for layer in net.layers:
        if layer.type == reader == "Embed" and name in layer.bottoms:
            return max(1, layer.fields.message("embed_param").integer("input_dim", 1))
    return 1


def refuse_unknown(net: Net, names: Mapping[str, object], option: str) -> None:
    """Raise UsageError where `names`, said with `option`, are no inputs of the net."""
    for name in names:
        if name not in net.inputs:
            near = get_close_matches(name, list(net.inputs), 1)
            hint = f"; is it {near[0]!r}?" if near else ""
            raise UsageError(
                f"{option} {name}: the net has no such input (it has "
                f"{', '.join(map(repr, net.inputs))}){hint}"
            )


def _read(net: Net, file: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {name: np.asarray(archive[name], np.float32) for name in archive.files}
    except (OSError, ValueError, KeyError) as error:
        # numpy goes on to praise allow_pickle
        why = str(error).split(". If you")[0]
        raise BadInput(f"{file}: not an NPZ of plain arrays ({why}); use numpy.savez") from None
    refuse_unknown(net, arrays, "--probe")
    missing = [name for name in net.inputs if name not in arrays]
    if missing:
        raise BadInput(f"{file}: no array for input {', '.join(map(repr, missing))}")
    wrong = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if wrong:
        raise BadInput(f"{file}: {wrong[0]!r} holds NaN or Inf; a probe must be finite")
    empty = [name for name, array in arrays.items() if not array.size or not array.ndim]
    if empty:
        raise BadInput(
            f"{file}: {empty[0]!r} has shape {arrays[empty[0]].shape}; a probe holds a batch of values"
        )
    return {name: arrays[name] for name in net.inputs}
