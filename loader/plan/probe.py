"""The probe: the reproducible input on which Caffe and PyTorch are both run.

What an input gets follows from who reads it (loader.meaning), from what the definition says of its
pictures, and last from its shape. docs/parity.md says how.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from decant.loader.definition.graph import Net
from decant.loader.definition.prototxt import Message, number
from decant.loader.errors import BadInput, UsageError
from decant.loader.layers.layer_type import Role
from decant.loader.layers.rule import Rule, Shape, shown
from decant.loader.plan.batch import input_shapes
from decant.loader.plan.meaning import InputUse, Walk

# of pictures, 0..255: about their mean and their spread
CENTRE, DEVIATION = 128.0, 50.0
# as much as a probe may hold: a mistyped --input asks for more
MAX_BYTES = 4 << 30


@dataclass(frozen=True)
class Spread:
    """Normal numbers around `centre`; `said`: a definition or the catalog names the range."""

    centre: float
    deviation: float
    said: bool = False


PICTURE, FEATURES = Spread(0.0, DEVIATION), Spread(0.0, 1.0)


@dataclass(frozen=True)
class Probe:
    """One float32 array for each input blob, and in words what it was taken for."""

    arrays: dict[str, np.ndarray]
    about: dict[str, str]

    def __str__(self) -> str:
        return "; ".join(f"{name} {words}" for name, words in self.about.items())


def make_probe(
    net: Net,
    shapes: Mapping[str, Shape] | None = None,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """The arrays of `choose`."""
    return choose(net, shapes, seed=seed).arrays


def choose(
    net: Net,
    shapes: Mapping[str, Shape] | None = None,
    *,
    pictures: Mapping[str, Spread] | None = None,
    seed: int = 0,
    rules: Mapping[str, Rule] | None = None,
) -> Probe:
    """The same on every machine.

    `shapes` overrides declared shapes, whose batch becomes one where the net takes any; `pictures`:
    the catalog's word on an input. Raises UsageError for inputs that need `--input` or `--probe`,
    BadInput for a number in the definition that is none.
    """
    shapes = dict(shapes or {})
    refuse_unknown(net, shapes, "--input")
    known = _made(net, input_shapes(net, shapes, rules))
    try:
        walk, about = Walk(net, known, rules), dict[str, list[str]]()
        random = np.random.Generator(np.random.PCG64([seed, 1]))
        for use in walk.uses():
            _write(net, walk, use, random)
            for name in walk.names(use.moved.places):
                about.setdefault(name, []).append(_words(walk, use))
        said = {**spreads(net), **(pictures or {})}
    except ValueError as error:
        raise BadInput(f"{net.file}: {error}") from None
    return _filled(net, walk, about, said, seed)


def _made(net: Net, shapes: Mapping[str, Shape | None]) -> dict[str, Shape]:
    """The shapes, all of them known and of a size that can be made."""
    for name, shape in shapes.items():
        if shape is None or min(shape, default=0) < 1:
            raise UsageError(
                f"{net.file}: input {name!r} has no shape; give --input {name}=1,3,224,224"
            )
        if math.prod(shape) * 4 > MAX_BYTES:
            raise UsageError(f"{net.file}: input {name!r} of shape {shape} is larger than 4 GiB")
    return {name: shape for name, shape in shapes.items() if shape is not None}


def _filled(
    net: Net,
    walk: Walk,
    about: Mapping[str, Sequence[str]],
    said: Mapping[str, Spread],
    seed: int,
) -> Probe:
    """Normal numbers, and over them what the walk set."""
    random = np.random.Generator(np.random.PCG64(seed))
    arrays, words = {}, {}
    for name in net.inputs:
        shape, roles = walk.shapes[name], list(dict.fromkeys(about.get(name, ())))
        own = walk.of(name) if name in walk.inputs else None
        if own is not None and not np.isnan(own).any():
            arrays[name], words[name] = own.copy(), ", ".join(roles)
            continue
        spread, what = _spread(name, shape, said.get(name), Role.FEATURE.value in roles)
        found = random.standard_normal(shape, np.float32) * np.float32(spread.deviation)
        if spread.centre:
            found += np.float32(spread.centre)
        parts = [role for role in roles if role != Role.FEATURE.value]
        if own is not None:
            found = np.where(np.isnan(own), found, own)
        arrays[name] = found
        words[name] = ", ".join([_normal(spread, what), *(f"in part {role}" for role in parts)])
    return Probe(arrays, words)


def _spread(name: str, shape: Shape, said: Spread | None, recurrent: bool) -> tuple[Spread, str]:
    looks = len(shape) > 3 and shape[1] in (1, 3) and min(shape[2:]) > 1 and not recurrent
    if said and (looks or said.said):
        return said, "a picture"
    return (PICTURE, "a picture") if looks else (FEATURES, "features")


def _normal(spread: Spread, what: str) -> str:
    around = f" around {spread.centre:g}" if spread.centre else ""
    return f"normal{around}, deviation {spread.deviation:g} ({what})"


def spreads(net: Net) -> dict[str, Spread]:
    """What the definition says of its pictures: by input, where there is a transform_param."""
    found = {
        top: layer.fields.message("transform_param")
        for layer in net.layers
        for top in layer.tops
        if layer.type == "Input" and layer.fields.has("transform_param")
    }
    made = {name: _transformed(param) for name, param in {**found, **net.transforms}.items()}
    return {name: spread for name, spread in made.items() if spread is not None}


def _transformed(param: Message) -> Spread | None:
    mean = param.has("mean_file") or any(number(text) for text in param.texts("mean_value"))
    said = mean or param.has("scale")
    return transformed(number(param.text("scale", "1")), mean, said)


def transformed(scale: float, mean: bool, said: bool = True) -> Spread | None:
    """Of pictures as a net gets them: (x - mean) * scale; None for a scale that leaves nothing."""
    if not scale or not math.isfinite(scale):
        return None
    return Spread(0.0 if mean else CENTRE * scale, DEVIATION * abs(scale), said)


def _words(walk: Walk, use: InputUse) -> str:
    """What the use's values were made."""
    if use.role is Role.INDEX:
        return f"indices from 0 to {use.limit - 1}"
    if use.role not in (Role.MARKER, Role.SELECTOR):
        return str(use.role.value)
    moved = use.moved
    found = walk.values[moved.places[moved.places >= 0]] * moved.scale + moved.shift
    zeros = int((found == 0).sum())
    rest = f", and 0 in {zeros} of {found.size}" if zeros else ""
    return f"{use.role.value} (1{rest})"


def _write(net: Net, walk: Walk, use: InputUse, random: np.random.Generator) -> None:
    """Set the values that the use asks for, but for those that are right for it already."""
    if use.role is Role.FEATURE:
        return
    moved = use.moved
    wanted = _wanted(net, walk, use, random).astype(np.float64).ravel()
    places = moved.places.ravel()
    ours = (places >= 0) & ~right(use, walk.values[places])
    walk.values[places[ours]] = ((wanted - moved.shift) / moved.scale)[ours]


def right(use: InputUse, values: np.ndarray) -> np.ndarray:
    """Which of these values of inputs (NaN where nobody set one) the reader can take."""
    read = values * use.moved.scale + use.moved.shift
    if use.role is Role.INDEX:
        return np.asarray((read == np.floor(read)) & (read >= 0) & (read < use.limit))
    if use.role in (Role.MARKER, Role.SELECTOR):
        return np.asarray((read == 0) | (read == 1))
    return np.asarray(~np.isnan(read))


def _wanted(net: Net, walk: Walk, use: InputUse, random: np.random.Generator) -> np.ndarray:
    """What the reader is to read, in the shape in which it reads."""
    shape = use.moved.places.shape
    if use.role is Role.INDEX:
        return _indices(shape, use.limit, random)
    if use.role is Role.MARKER:
        return _markers(shape)
    if use.role is Role.SELECTOR:
        # kept, dropped, kept, kept, dropped ...
        return np.asarray(np.arange(math.prod(shape)) % 3 != 1)
    if use.role is Role.SIZE:
        return np.resize(np.array([*_picture_size(walk), 1]), shape)
    return _boxes(net, use, random)


def _indices(shape: Shape, rows: int, random: np.random.Generator) -> np.ndarray:
    """The last row, the first, others; one of them twice, where there is room."""
    # float32 holds whole numbers up to there
    rows = min(rows, 1 << 24)
    found = random.integers(0, rows, math.prod(shape))
    found[:2] = [rows - 1, 0][: len(found)]
    if len(found) > 2:
        found[-1] = rows - 1
    return found


def _markers(shape: Shape) -> np.ndarray:
    """T x N: all go on, but that in the middle every other sequence begins anew."""
    found = np.ones(math.prod(shape)).reshape(shape[0], -1)
    # of one sequence of two steps the state that is kept says more than one that is lost
    found[shape[0] // 2, (0 if shape[0] > 2 else 1) :: 2] = 0
    return found.reshape(shape)


def _picture_size(walk: Walk) -> tuple[int, int]:
    """(H, W) of the first input that has them."""
    found = [shape[2:] for shape in walk.shapes.values() if len(shape) == 4]
    return (found[0][0], found[0][1]) if found else (224, 224)


def _boxes(net: Net, use: InputUse, random: np.random.Generator) -> np.ndarray:
    """Rows of (picture, x1, y1, x2, y2) in pixels of the picture: the whole of it, then parts."""
    shape, features = use.moved.places.shape, use.shapes[0]
    if math.prod(shape[1:]) != 5 or features is None or len(features) != 4:
        raise UsageError(
            f"{net.file}: layer {use.layer.name!r} ({use.layer.type}) takes "
            f"{shown(shape)} for boxes; give --probe FILE.npz"
        )
    rows = shape[0]
    edge = np.array(features[:1:-1]) / _spatial_scale(use) - 1
    corners = np.sort(np.floor(random.uniform(0, 1, (rows, 2, 2)) * (edge + 1)), 1)
    corners[0] = [[0, 0], np.maximum(np.floor(edge), 0)]
    pictures = np.arange(rows)[:, None] % features[0]
    return np.concatenate([pictures, corners.reshape(rows, 4)], 1)


def _spatial_scale(use: InputUse) -> float:
    """Features a pixel, in whichever message the layer has it."""
    for field in use.layer.fields.fields:
        if isinstance(field.value, Message) and field.value.has("spatial_scale"):
            return number(field.value.text("spatial_scale")) or 1.0
    return 1.0


def refuse_unknown(net: Net, names: Mapping[str, object], option: str) -> None:
    """Raise UsageError where `names`, said with `option`, are not inputs of the net."""
    for name in names:
        if name not in net.inputs:
            near = get_close_matches(name, list(net.inputs), 1)
            hint = f"; is it {near[0]!r}?" if near else ""
            raise UsageError(
                f"{option} {name}: the net has no such input (it has "
                f"{', '.join(map(repr, net.inputs))}){hint}"
            )
