"""Spellings of forks rewritten into stock Caffe's, so that real Caffe runs the net.

Each kind of change is noted once. What is not known to mean the same stays as it is, and is refused
by the rule that meets it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from decant.loader.definition.forks import changes_nothing, float_type
from decant.loader.definition.prototxt import Field, Message, number
from decant.loader.definition.reading import Reading
from decant.loader.definition.schema import FIELDS, MESSAGES, TYPES

_HOLES = {"Convolution", "ConvolutionDepthwise", "DepthwiseConvolution"}
_HOLE = ("hole", "hole_h", "hole_w")
# what a CPU build of Caffe has: with another word it aborts (layer_factory.cpp)
_ENGINES = {"DEFAULT", "CAFFE", "0", "1"}
# unknown fields of these are passed over in layers that read a blob
_TRAINING = {"Transformation", "Loss"}


def to_stock(
    layers: Sequence[Message], source: Message, reading: Reading
) -> tuple[list[Message], list[str]]:
    """The layers (in today's layout) as stock Caffe spells them; and the notes, none if it did.

    `source`: the text's tree, for what stands beside the layers. Raises ValueError for a number that
    is none.
    """
    counts: dict[str, int] = {}
    found = []
    for layer in layers:
        notes: list[str] = []
        changed = _layer(layer, reading, notes)
        found.append(changed if notes else layer)
        for note in dict.fromkeys(notes):
            counts[note] = counts.get(note, 0) + 1
    alone = dict.fromkeys(_left_out(item) for item in source.fields if _harmless("Net", item))
    told = [f"{note} ({number} layers)" if number > 1 else note for note, number in counts.items()]
    return found, [*alone, *told]


def _layer(layer: Message, reading: Reading, notes: list[str]) -> Message:
    if reading.float_weights:
        layer = _in_float(layer, notes)
    layer = _stripped(layer, "Layer", layer.has("bottom"), notes)
    kind = layer.text("type")
    if layer.has("convolution_param"):
        how = _dilated if kind in _HOLES else _without_holes_of_one
        return _rewritten(layer, "convolution_param", how, notes)
    if kind == "Pooling":
        return _rewritten(layer, "pooling_param", _rounded, notes)
    return _scaled(layer, notes) if kind == "Dropout" else layer


def _stripped(message: Message, kind: str, computes: bool, notes: list[str]) -> Message:
    """Without the fields that choose an implementation or steer training, at any depth.

    `computes`: the layer is not a data layer, whose pictures are prepared as transform_param says.
    """
    kept = []
    for item in message.fields:
        of = FIELDS[kind].get(item.name)
        passed_over = of is None and computes and kind in _TRAINING
        # of a field that stands twice, each value
        if passed_over or all(_harmless(kind, other) for other in message.all(item.name)):
            notes.append(_left_out(item))
            continue
        if of is not None and of.kind in MESSAGES and isinstance(item.value, Message):
            inner = _stripped(item.value, of.kind, computes, notes)
            item = replace(item, value=inner)
        kept.append(item)
    return Message(kept, message.line)


def _harmless(kind: str, item: Field) -> bool:
    value = "" if isinstance(item.value, Message) else item.value
    if item.name == "engine":
        return item.name not in FIELDS[kind] or value not in _ENGINES
    return item.name not in FIELDS[kind] and changes_nothing(kind, item.name, value)


def _left_out(item: Field) -> str:
    value = "" if isinstance(item.value, Message) else f": {item.value}"
    return f"{item.name}{value} is left out: a choice of implementation or of training"


def _rewritten(
    layer: Message,
    name: str,
    how: Callable[[Message, list[str]], Message],
    notes: list[str],
) -> Message:
    """The layer with its message `name` as `how` makes it."""
    return Message(
        [
            replace(item, value=how(item.value, notes))
            if item.name == name and isinstance(item.value, Message)
            else item
            for item in layer.fields
        ],
        layer.line,
    )


def _dilated(param: Message, notes: list[str]) -> Message:
    """DeepLab's hole, or hole_h and hole_w: the same numbers as dilation (its im2col.cpp)."""
    param = _without_holes_of_one(param, notes)
    holes = _once(param, _HOLE)
    names = [item.name for item in holes]
    if param.has("dilation") or names not in (["hole"], ["hole_h", "hole_w"]):
        return param
    notes.append(f"{' and '.join(names)} read as dilation")
    dilation = [replace(item, name="dilation") for item in holes]
    return Message([*_without(param, *names), *dilation], param.line)


def _without_holes_of_one(param: Message, notes: list[str]) -> Message:
    if {item.value for item in param.fields if item.name in _HOLE} != {"1"}:
        return param
    notes.append("hole of 1 is left out: it is none")
    return Message(_without(param, *_HOLE), param.line)


def _once(message: Message, names: Sequence[str]) -> list[Field]:
    """Those of the fields that are there, in this order; [] if one stands more than once."""
    found = [message.all(name) for name in names if message.has(name)]
    return [items[0] for items in found] if all(len(items) == 1 for items in found) else []


def _rounded(param: Message, notes: list[str]) -> Message:
    """ceil_mode: false of SSD's Caffe is round_mode: FLOOR of BVLC's master."""
    written = _once(param, ["ceil_mode"])
    if param.has("round_mode") or not written or param.boolean("ceil_mode"):
        return param
    notes.append("ceil_mode: false read as round_mode: FLOOR")
    floor = Field("round_mode", "FLOOR", written[0].line)
    return Message([*_without(param, "ceil_mode"), floor], param.line)


def _scaled(layer: Message, notes: list[str]) -> Message:
    """A Dropout of caffe-fast-rcnn with scale_train: false, as a Power.

    Its dropout_layer.cpp copies at TEST, and multiplies by 1. / scale_, scale_ being the float
    1. / (1. - ratio).
    """
    param = layer.message("dropout_param")
    in_training = layer.text("phase", "TEST") in ("TRAIN", "0")
    written = _once(param, ["scale_train"])
    if not written or param.boolean("scale_train") or in_training:
        return layer
    ratio = np.float32(number(param.text("dropout_ratio", "0.5")))
    if not 0 <= ratio < 1:
        return layer
    factor = np.float32(1.0 / float(np.float32(1.0 / (1.0 - float(ratio)))))
    notes.append(f"Dropout with scale_train: false read as a Power that multiplies by {factor}")
    line = written[0].line
    scale = Message([Field("scale", repr(float(factor)), line)], line)
    kept = _without(layer, "type", "dropout_param")
    kind = Field("type", "Power", layer.all("type")[0].line, quoted=True)
    return Message([kind, *kept, Field("power_param", scale, line)], layer.line)


def _in_float(layer: Message, notes: list[str]) -> Message:
    """Ristretto's layer types and quantization_param (Intel's too): the float layer of its weights."""
    fields = _without(layer, "quantization_param")
    if layer.has("quantization_param"):
        notes.append("quantization_param is left out: the float weights are taken (--float)")
    kind = layer.text("type")
    plain = float_type(kind)
    if plain != kind and plain in TYPES:
        notes.append(f"{kind} read as {plain}: the float weights are taken (--float)")
        fields = [replace(item, value=plain) if item.name == "type" else item for item in fields]
    return Message(fields, layer.line)


def _without(message: Message, *names: str) -> list[Field]:
    return [item for item in message.fields if item.name not in names]
