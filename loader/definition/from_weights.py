"""The definition inside a caffemodel, as a prototxt: Caffe saves the whole net with its weights.

The file holds the net that was saved, which mostly is the one of training: its data layer, its losses,
the Split layers that Caffe put in (insert_splits.cpp), and the phase of each layer (net.cpp, Init).
What Caffe put in is taken out again; what the author wrote stays, for loader/plan/deploy.py as in a
text. A field that has no name here stays as `field_N`: where the layer is used it is refused by that
name.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from decant.loader.definition.field_numbers import (
    BY_NUMBER,
    ENUMS_OF_FORKS,
    OF_TYPES,
    STOCK_OF_TYPES,
    WHOLE_IN_FORKS,
    WIRING_ENDS,
)
from decant.loader.definition.graph import INSIDE
from decant.loader.definition.phases import RULES, without_rules
from decant.loader.definition.prototxt import Field, Message, to_text
from decant.loader.definition.schema import ENUMS, TYPES, FieldType
from decant.loader.definition.upgrade import upgrade
from decant.loader.errors import BadInput
from decant.loader.weights import caffemodel
from decant.loader.weights.wire import BYTES, FIXED32, FIXED64, VARINT, WireError, fields, varint

# (start, end) in the file
Place = tuple[int, int]
MAX_FIELDS = 500_000
# what a person can look up in a hex dump
SHOWN_BYTES = 16


def definition_of(path: Path) -> str:
    """The prototxt. Raises BadInput for a file that holds none, or is not a caffemodel."""
    nothing = "holds weights and no definition (no layer has a bottom); give --prototxt FILE"
    nothing = f"{path}: {nothing}"
    try:
        hdf5 = caffemodel.read(path).era == "hdf5"
    except caffemodel.NoWeights as error:
        # a net without parameters is a definition all the same
        hdf5, nothing = _is_hdf5(path), str(error)
    except caffemodel.CaffemodelError as error:
        raise BadInput(str(error)) from None
    if path.stat().st_size == 0:
        raise BadInput(nothing)
    if hdf5:
        raise BadInput(f"{path}: weights in HDF5 hold no definition; give --prototxt FILE")
    try:
        net = _Reader(path).net()
    except WireError as error:
        raise BadInput(
            f"{path}: its definition is damaged ({error}); give --prototxt FILE"
        ) from None
    layers, _ = upgrade(net, str(path))
    if not any(layer.has("bottom") for layer in layers):
        raise BadInput(nothing)
    layers = [_as_written(layer) for layer in _without_splits(layers)]
    if _is_one_net(layers, net.texts("input")):
        layers = [without_rules(layer) for layer in layers]
    made = {top for layer in layers for top in layer.texts("top")}
    inputs = [blob for blob in net.texts("input") if blob not in made]
    beside = [item for item in net.fields if item.name.startswith("field_")]
    return INSIDE + to_text(net.text("name"), layers, inputs) + _beside(beside)


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(caffemodel.HDF5_SIGNATURE)) == caffemodel.HDF5_SIGNATURE


def _beside(items: list[Field]) -> str:
    """Fields of the net itself that have no name."""
    return "".join(f'{item.name}: "{item.value}"\n' for item in items)


def _as_written(layer: Message) -> Message:
    """Without what Caffe adds when it makes a net of it."""
    kept = [item for item in layer.fields if item.name not in ("phase", "blobs")]
    return Message(kept, layer.line)


def _without_splits(layers: list[Message]) -> list[Message]:
    """Readers of a split's tops read its bottom again (NAME_split, NAME_split_0, ...)."""
    renamed: dict[str, str] = {}
    found = []
    for layer in layers:
        name, tops = layer.text("name"), layer.texts("top")
        if layer.text("type") == "Split" and tops == [f"{name}_{at}" for at in range(len(tops))]:
            bottom = layer.text("bottom")
            renamed.update(dict.fromkeys(tops, renamed.get(bottom, bottom)))
            continue
        read = [
            replace(item, value=renamed.get(str(item.value), item.value))
            if item.name == "bottom"
            else item
            for item in layer.fields
        ]
        found.append(Message(read, layer.line))
    return found


def _is_one_net(layers: list[Message], inputs: list[str]) -> bool:
    """Whether all of them were there at once, as in what Caffe saves; then their rules are done with.

    A file that a script made may hold the layers of both phases.
    """
    made = set(inputs)
    for layer in layers:
        bottoms, tops = layer.texts("bottom"), layer.texts("top")
        if not made.issuperset(bottoms):
            return False
        for number, top in enumerate(tops):
            if top in made - set(inputs) and bottoms[number : number + 1] != [top]:
                return False
        made.update(tops)
    return any(layer.has(rule) for layer in layers for rule in RULES)


class _Reader:
    """Messages of a mapped file, without the blobs."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self.data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.count = 0

    def net(self) -> Message:
        """The whole file."""
        return self._message([(0, len(self.data))], "Net")

    def _message(self, places: Sequence[Place], kind: str) -> Message:
        """What stands at all `places` is one message, as protobuf merges them."""
        known: Mapping[int, tuple[str, FieldType]] = BY_NUMBER[kind]
        if kind == "Layer":
            known = _of_layer(known, self._type(places))
        found: list[Field] = []
        # singular fields: the place in `found`, and of messages all that belong to it
        single: dict[str, int] = {}
        parts: dict[str, list[Place]] = {}
        for number, wire, first, after in self._fields(places):
            name, of = known.get(number, ("", FieldType("", False, False)))
            if of.kind == "BlobProto":
                continue
            values: list[str | Message | None] = [None]
            if of.kind in BY_NUMBER and not of.repeated and wire == BYTES:
                parts.setdefault(name, []).append((first, after))
                values = [self._message(parts[name], of.kind)]
            elif name:
                values = list(self._values(of, wire, first, after))
            if None in values:
                found.append(self._without_name(kind, number, wire, first, after))
                continue
            fields = [Field(name, x, 1, of.kind == "text") for x in values if x is not None]
            if name in single:
                found[single[name]] = fields[0]
                continue
            if not of.repeated:
                single[name] = len(found)
            found += fields
        return Message(found)

    def _fields(self, places: Sequence[Place]) -> Iterator[tuple[int, int, int, int]]:
        for start, end in places:
            for item in fields(self.data, start, end):
                self.count += 1
                if self.count > MAX_FIELDS:
                    raise WireError(start, f"more than {MAX_FIELDS} fields; no net has so many")
                yield item

    def _type(self, places: Sequence[Place]) -> str:
        for number, wire, first, after in self._fields(places):
            if number == 2 and wire == BYTES:
                return self._text(first, after)
        return ""

    def _values(
        self, of: FieldType, wire: int, first: int, after: int
    ) -> Iterator[str | Message | None]:
        """None for what is not encoded as its kind is: protobuf takes it for an unknown field."""
        if of.kind in BY_NUMBER:
            yield self._message([(first, after)], of.kind) if wire == BYTES else None
        elif of.kind == "text":
            yield self._text(first, after) if wire == BYTES else None
        elif of.kind in ("f32", "f64"):
            yield from self._floats(of, wire, first, after)
        elif wire == VARINT:
            yield _whole(first, of.kind)
        elif wire == BYTES and of.repeated:
            while first < after:
                value, first = varint(self.data, first, after)
                yield _whole(value, of.kind)
        else:
            yield None

    def _floats(self, of: FieldType, wire: int, first: int, after: int) -> Iterator[str | None]:
        width, own = (4, FIXED32) if of.kind == "f32" else (8, FIXED64)
        if (
            wire not in (own, BYTES)
            or (wire == BYTES and not of.repeated)
            or (after - first) % width
        ):
            yield None
            return
        for (value,) in struct.iter_unpack("<f" if width == 4 else "<d", self.data[first:after]):
            # the shortest text that is this very number
            yield str(np.float32(value) if width == 4 else np.float64(value))

    def _text(self, first: int, after: int) -> str:
        try:
            return self.data[first:after].decode()
        except UnicodeDecodeError:
            raise WireError(first, "text that is not UTF-8") from None

    def _without_name(self, kind: str, number: int, wire: int, first: int, after: int) -> Field:
        if wire == VARINT and (kind, number) in WHOLE_IN_FORKS:
            return Field(WHOLE_IN_FORKS[kind, number], str(first), 1)
        if wire == VARINT:
            return Field(f"field_{number}", str(first), 1, True)
        raw = self.data[first : min(after, first + SHOWN_BYTES)]
        more = " ..." if after - first > SHOWN_BYTES else ""
        return Field(f"field_{number}", f"{after - first} bytes: {raw.hex()}{more}", 1, True)


def _of_layer(
    known: Mapping[int, tuple[str, FieldType]], kind: str
) -> Mapping[int, tuple[str, FieldType]]:
    """Under a type of a fork, stock Caffe's numbers may stand for other messages of that fork."""
    if kind in TYPES:
        return known
    own = STOCK_OF_TYPES.get(kind, "")
    found = {at: of for at, of in known.items() if at < WIRING_ENDS or of[0] == own}
    for number, (name, message) in OF_TYPES.get(kind, {}).items():
        found[number] = (name, FieldType(message, False, False))
    return found


def _whole(value: int, kind: str) -> str:
    """A bool, an enum's name or a number; negative ones are written as 64 bits."""
    if kind == "bool":
        return "true" if value else "false"
    names: tuple[str, ...] = ENUMS.get(kind) or ENUMS_OF_FORKS.get(kind) or ()
    if value < len(names) and names[value]:
        return names[value]
    return str(value - (1 << 64) if value >> 63 else value)
