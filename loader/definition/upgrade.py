"""Caffe's upgrades of old definitions (util/upgrade_proto.cpp), in Caffe's order.

V0 -> V1 -> current, legacy inputs -> Input layer. Each change is noted in one line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from decant.loader.definition import forks
from decant.loader.definition.prototxt import Field, Message, integer
from decant.loader.definition.schema import ENUMS, FIELDS
from decant.loader.errors import BadInput
from decant.loader.weights.era import V0_TYPES, V1_TYPES

# C3D's types, on blobs of five axes
_VOLUMES = ("Convolution3D", "Deconvolution3D", "Pooling3D")
# Where V0's fields go, by V0 type: (field, message, new name); upgrade_proto.cpp:115-552.
_CONV = "convolution_param"
_IP = "inner_product_param"
_POOL = "pooling_param"
_SOURCES = {
    "data": "data_param",
    "hdf5_data": "hdf5_data_param",
    "images": "image_data_param",
    "window_data": "window_data_param",
    "infogain_loss": "infogain_loss_param",
}
_MOVES: dict[str, dict[str, tuple[str, str]]] = {
    "conv": {
        "num_output": (_CONV, "num_output"),
        "biasterm": (_CONV, "bias_term"),
        "weight_filler": (_CONV, "weight_filler"),
        "bias_filler": (_CONV, "bias_filler"),
        "pad": (_CONV, "pad"),
        "kernelsize": (_CONV, "kernel_size"),
        "stride": (_CONV, "stride"),
        "group": (_CONV, "group"),
    },
    "innerproduct": {
        "num_output": (_IP, "num_output"),
        "biasterm": (_IP, "bias_term"),
        "weight_filler": (_IP, "weight_filler"),
        "bias_filler": (_IP, "bias_filler"),
    },
    "pool": {
        "pad": (_POOL, "pad"),
        "kernelsize": (_POOL, "kernel_size"),
        "stride": (_POOL, "stride"),
        "pool": (_POOL, "pool"),
    },
    "dropout": {"dropout_ratio": ("dropout_param", "dropout_ratio")},
    "lrn": {name: ("lrn_param", name) for name in ("local_size", "alpha", "beta", "k")},
    "concat": {"concat_dim": ("concat_param", "concat_dim")},
}
_TRANSFORM = {
    "scale": "scale",
    "meanfile": "mean_file",
    "cropsize": "crop_size",
    "mirror": "mirror",
}
# of V1, whose layers held the transform themselves
_OF_DATA = {"data_param", "image_data_param", "window_data_param"}
_V1_NAMES = {
    word: V1_TYPES[value] for value, word in enumerate(ENUMS["LayerType"]) if value in V1_TYPES
}


def upgrade(net: Message, file: str) -> tuple[list[Message], list[str]]:
    """The layers in today's layout, an Input layer first where inputs were legacy; and the notes.

    A type that Caffe's V0 or V1 never had is a fork's: where it is known what became of it, that;
    else it stays, for the plan to name every one of them. Raises BadInput for what Caffe refuses:
    both lists, types that are misspelt, a padding layer that a layer other than conv or pool reads.
    """
    if net.has("layer") and net.has("layers"):
        raise BadInput(f"{file}: holds both `layer` and `layers`; Caffe refuses such a net")
    layers, notes = net.messages("layer"), []
    is_v0 = any(layer.has("layer") for layer in net.messages("layers"))
    if net.has("layers"):
        old = net.messages("layers")
        if is_v0:
            old = _fold_padding([_from_v0(layer, file) for layer in old], file)
            notes.append(f"{len(old)} layers upgraded from V0")
        layers = [_from_v1(layer, file) for layer in old]
        notes.append(f"{len(layers)} layers upgraded from V1")
        notes += [] if is_v0 else _of_forks(old)
    if is_v0 and net.has("input_shape"):
        # UpgradeV0Net takes input and input_dim along
        raise BadInput(
            f"{file}:{net.all('input_shape')[0].line}: input_shape in a net of V0 layers, which Caffe "
            "passes over; write four input_dim for each input"
        )
    legacy = _legacy_input(net, _axes(net, layers), file)
    if legacy is not None:
        layers = [legacy, *layers]
        notes.append("legacy `input` became an Input layer")
    return layers, notes


def _add(fields: list[Field], source: Field, place: str, name: str) -> None:
    """Put a copy of `source`, renamed, into the message `place` (made when it is not there)."""
    for item in fields:
        if item.name == place and isinstance(item.value, Message):
            item.value.fields.append(Field(name, source.value, source.line, source.quoted))
            return
    inner = Message([Field(name, source.value, source.line, source.quoted)], source.line)
    fields.append(Field(place, inner, source.line))


def _from_v0(outer: Message, file: str) -> Message:
    """V0's `layers { layer { ... } bottom top }` as a V1 layer; fields move as `_MOVES` says."""
    inner = outer.message("layer")
    word = inner.text("type")
    if word != word.lower() or not word:
        raise BadInput(
            f"{file}:{outer.line}: layer {inner.text('name')!r}: type {word!r} is not one of the words "
            f"that `layers {{ layer {{ ... }} }}` takes{_meant(word, V0_TYPES)}"
        )
    fields = [item for item in outer.fields if item.name in ("bottom", "top")]
    fields.append(Field("type", V0_TYPES.get(word, word), inner.line, quoted=True))
    for item in inner.fields:
        if item.name in ("name", "blobs", "blobs_lr", "weight_decay"):
            fields.append(item)
        elif item.name not in FIELDS["V0Layer"]:
            # a fork's: not to be lost before somebody refuses it
            fields.append(item)
        elif item.name in _MOVES.get(word, {}):
            _add(fields, item, *_MOVES[word][item.name])
        elif word == "padding" and item.name == "pad":
            fields.append(item)
        elif item.name == "source" and word in _SOURCES:
            _add(fields, item, _SOURCES[word], "source")
        elif item.name in _TRANSFORM and word in _SOURCES:
            _add(fields, item, "transform_param", _TRANSFORM[item.name])
        elif item.name == "batchsize" and word in _SOURCES:
            _add(fields, item, _SOURCES[word], "batch_size")
    return Message(fields, outer.line)


def _fold_padding(layers: list[Message], file: str) -> list[Message]:
    """Padding layers disappear into the conv or pool layer that reads them (:142-198)."""
    padding = {layer.text("top"): layer for layer in layers if layer.text("type") == "padding"}
    kept = []
    for layer in layers:
        if layer.text("type") == "padding":
            continue
        for bottom in layer.texts("bottom"):
            if bottom in padding:
                layer = _pad(layer, padding[bottom], file)
        kept.append(layer)
    return kept


def _pad(layer: Message, padding: Message, file: str) -> Message:
    place = {"Convolution": _CONV, "Pooling": _POOL}.get(layer.text("type"))
    if place is None or len(layer.texts("bottom")) != 1:
        raise BadInput(
            f"{file}:{layer.line}: layer {layer.text('name')!r} reads a padding layer; "
            "only a convolution or a pooling may"
        )
    if len(padding.texts("bottom")) != 1:
        raise BadInput(f"{file}:{padding.line}: a padding layer takes one bottom")
    # `set_pad` replaces the layer's own
    own = layer.message(place)
    kept = [item for item in own.fields if item.name != "pad"]
    pad = Field("pad", padding.text("pad", "0"), padding.line)
    fields = [item for item in layer.fields if item.name not in ("bottom", place)]
    fields.append(Field("bottom", padding.text("bottom"), padding.line, quoted=True))
    fields.append(Field(place, Message([*kept, pad], own.line), own.line))
    return Message(fields, layer.line)


def _from_v1(layer: Message, file: str) -> Message:
    """Enum -> type, `param: "w"` -> `param { name: "w" }`; the param messages keep their names.

    What a data layer's own param says of the transform goes before `transform_param`
    (UpgradeNetDataTransformation): of two Caffe keeps the former.
    """
    fields, transform = [], list[Field]()
    for item in layer.fields:
        if item.name == "type" and not item.quoted:
            fields.append(Field("type", _v1_type(item, layer, file), item.line, quoted=True))
        elif item.name == "param" and isinstance(item.value, str):
            inner = Message([Field("name", item.value, item.line, quoted=True)], item.line)
            fields.append(Field("param", inner, item.line))
        elif item.name in _OF_DATA and isinstance(item.value, Message):
            parts = item.value.fields
            transform += [part for part in parts if part.name in _TRANSFORM.values()]
            kept = [part for part in parts if part.name not in _TRANSFORM.values()]
            fields.append(Field(item.name, Message(kept, item.value.line), item.line))
        elif item.name not in ("blobs_lr", "weight_decay", "blob_share_mode"):
            fields.append(item)
    if transform:
        # the last one counts
        fields.append(Field("transform_param", Message(transform, layer.line), layer.line))
    return Message(fields, layer.line)


def _v1_type(item: Field, layer: Message, file: str) -> str:
    """Caffe's own, or a fork's; a word that no enum would have is a slip of the pen."""
    word = str(item.value)
    try:
        return _of_number(integer(word), layer) or f"V1 type {word}"
    except ValueError:
        pass
    if word != word.upper() or word == "NONE":
        raise BadInput(
            f"{file}:{item.line}: layer {layer.text('name')!r}: type {word} is not one of the words "
            f"that `layers` takes{_meant(word, _V1_NAMES)}"
        )
    return _V1_NAMES.get(word) or forks.V1_TYPES.get(word, word)


def _of_number(number: int, layer: Message) -> str | None:
    # 40 is CROP in the forks of FCN's time, PRELU in others
    if number == 40 and len(layer.texts("bottom")) == 2:
        return "Crop"
    return V1_TYPES.get(number)


def _of_forks(layers: list[Message]) -> list[str]:
    """Which words of forks were read, and as what."""
    words = dict.fromkeys(layer.text("type") for layer in layers)
    return [
        f"V1 type {word} of a fork read as {forks.V1_TYPES[word]}"
        for word in words
        if word in forks.V1_TYPES
    ]


def _meant(word: str, known: Iterable[str]) -> str:
    """`; is it CONVOLUTION?`, by letters alone."""
    letters = word.lower().replace("_", "")
    found = [name for name in known if name.lower().replace("_", "") == letters]
    return f"; is it {found[0]}?" if found else ""


def _axes(net: Message, layers: Sequence[Message]) -> int:
    """How many `input_dim`s an input has: four; five where there are as many in C3D, of volumes."""
    volumes = any(layer.text("type") in _VOLUMES for layer in layers)
    return 5 if volumes and len(net.all("input_dim")) == 5 * len(net.all("input")) else 4


def _legacy_input(net: Message, axes: int, file: str) -> Message | None:
    """`input` with `input_shape` or `axes` `input_dim`s each (:964-1002); neither: no layer."""
    names = net.texts("input")
    shapes = net.messages("input_shape")
    dims = net.integers("input_dim")
    if not names or not (shapes or dims):
        return None
    if not shapes:
        if len(dims) < axes * len(names):
            raise BadInput(f"{file}: {len(names)} inputs need {axes * len(names)} input_dim")
        groups = [dims[start : start + axes] for start in range(0, len(dims), axes)]
        shapes = [Message([Field("dim", str(dim), 1) for dim in group]) for group in groups]
    if len(shapes) < len(names):
        raise BadInput(f"{file}: {len(names)} inputs need {len(names)} input_shape")
    fields = [Field("name", "input", 1, quoted=True), Field("type", "Input", 1, quoted=True)]
    fields += [Field("top", name, 1, quoted=True) for name in names]
    # what is superfluous Caffe never reads
    param = Message([Field("shape", shape, shape.line) for shape in shapes[: len(names)]])
    return Message([*fields, Field("input_param", param, 1)])
