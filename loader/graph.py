"""A net as Caffe would build it from a prototxt: layers at TEST, inputs, owners of shared blobs."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from loader.errors import BadInput, Unsupported
from loader.prototxt import Message, parse
from loader.upgrade import upgrade

MAX_LAYERS = 10_000
MAX_BYTES = 64 << 20

# a prototxt is a program: what building a net would read, write or run
SIDE_EFFECTS = {"Python", "Data", "ImageData", "WindowData", "HDF5Data", "HDF5Output"}
PATHS = {"source", "mean_file", "meanfile", "root_folder", "file_name", "module"}


@dataclass(frozen=True)
class Layer:
    """One layer in today's layout; `fields` is the whole message, `param_names` as in `param`."""

    name: str
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    param_names: tuple[str, ...]
    fields: Message
    line: int


@dataclass(frozen=True)
class Net:
    """`inputs`: input blob -> declared shape, None where it has none. `source`: the text's own tree.

    `run_text`: the deploy form as text, "" where `text` is one already. `transforms`: input blob ->
    the `transform_param` of the data layer that it was.
    """

    file: str
    name: str
    layers: tuple[Layer, ...]
    inputs: dict[str, tuple[int, ...] | None]
    text: str
    source: Message
    notes: list[str] = field(default_factory=list)
    run_text: str = ""
    transforms: dict[str, Message] = field(default_factory=dict)


def read_net(path: Path) -> Net:
    """Read a definition. Raises BadInput with the file and the line."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadInput(f"{path}: larger than any prototxt; is it the caffemodel?")
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    if re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]", data):
        raise BadInput(f"{path}: not a text; is it the caffemodel?")
    net = net_from_text(data.decode(errors="replace"), str(path))
    _refuse_other_encodings(net.source, path, data)
    return net


def _refuse_other_encodings(source: Message, path: Path, data: bytes) -> None:
    """Comments may be in any encoding, as Caffe passes over them; names and values may not."""
    try:
        data.decode()
        return
    except UnicodeDecodeError:
        pass
    stack = [source]
    while stack:
        for item in stack.pop().fields:
            if isinstance(item.value, Message):
                stack.append(item.value)
            elif "\ufffd" in item.value:
                raise BadInput(f"{path}:{item.line}: {item.name} is not UTF-8; rename it")


def net_from_text(text: str, file: str) -> Net:
    """The net that Caffe would build at TEST, level 0."""
    source = parse(text, file)
    try:
        messages, notes = upgrade(source, file)
        # pycaffe sets phase and level, and adds its stages to the text's own (net.cpp:31-45)
        stages = frozenset(source.message("state").texts("stage"))
        kept = [layer for layer in messages if included(layer, file, stages)]
        layers = tuple(_layer(message, file) for message in kept)
        inputs = _inputs(kept, source)
    except ValueError as error:
        raise BadInput(f"{file}: {error}") from None
    if not layers:
        raise BadInput(f"{file}: no layers at TEST; give the net's definition (deploy.prototxt)")
    if len(layers) > MAX_LAYERS:
        raise BadInput(f"{file}: more than {MAX_LAYERS} layers; no real net has so many")
    net = Net(file, source.text("name"), layers, inputs, text, source, notes)
    check_connections(net)
    notes += [f"{top}: only a Silence reads it; it is the net's output" for top in _silenced(net)]
    return net


def _silenced(net: Net) -> list[str]:
    quiet = {name for layer in net.layers if layer.type == "Silence" for name in layer.bottoms}
    return [top for top in outputs(net) if top in quiet]


def _layer(message: Message, file: str) -> Layer:
    kind = message.text("type")
    names = [message.text("name"), *message.texts("bottom"), *message.texts("top")]
    if any("\0" in name for name in (kind, *names)):
        raise BadInput(f"{file}:{message.line}: a name with a zero byte; rename the layer")
    if not kind:
        raise BadInput(f"{file}:{message.line}: layer {message.text('name')!r} has no type")
    return Layer(
        name=message.text("name"),
        type=kind,
        bottoms=tuple(message.texts("bottom")),
        tops=tuple(message.texts("top")),
        param_names=tuple(param.text("name") for param in message.messages("param")),
        fields=message,
        line=message.line,
    )


def included(layer: Message, file: str, stages: frozenset[str] = frozenset()) -> bool:
    """FilterNet (net.cpp:269-352) at phase TEST, level 0, with the net's own stages."""
    include, exclude = layer.messages("include"), layer.messages("exclude")
    if include and exclude:
        raise BadInput(
            f"{file}:{layer.line}: layer {layer.text('name')!r} has include and exclude rules; "
            "Caffe allows one kind"
        )
    if exclude:
        return not any(_met(rule, file, stages) for rule in exclude)
    return not include or any(_met(rule, file, stages) for rule in include)


def _met(rule: Message, file: str, stages: frozenset[str]) -> bool:
    """All parts of a rule hold (StateMeetsRule)."""
    phase = rule.text("phase", "TEST")
    if phase not in ("TRAIN", "TEST", "0", "1"):
        raise BadInput(f"{file}:{rule.line}: phase {phase!r} is neither TRAIN nor TEST")
    try:
        lowest, highest = rule.integer("min_level"), rule.integer("max_level")
    except ValueError as error:
        raise BadInput(f"{file}:{rule.line}: a level: {error}") from None
    return (
        phase in ("TEST", "1")
        and lowest <= 0 <= highest
        and stages.issuperset(rule.texts("stage"))
        and stages.isdisjoint(rule.texts("not_stage"))
    )


def _inputs(layers: list[Message], source: Message) -> dict[str, tuple[int, ...] | None]:
    """Tops of Input layers with their shapes: one for all, one for each, or none."""
    found: dict[str, tuple[int, ...] | None] = {}
    for layer in layers:
        if layer.text("type") != "Input":
            continue
        tops = layer.texts("top")
        shapes = [
            tuple(shape.integers("dim")) for shape in layer.message("input_param").messages("shape")
        ]
        if len(shapes) not in (0, 1, len(tops)):
            raise ValueError(
                f"layer {layer.text('name')!r}: {len(shapes)} shapes, {len(tops)} tops"
            )
        for number, top in enumerate(tops):
            found[top] = shapes[number if len(shapes) > 1 else 0] if shapes else None
    for name in source.texts("input"):
        found.setdefault(name, None)
    return found


def check_connections(net: Net) -> None:
    """Bottoms exist, and nobody but an in-place layer makes a blob again (net.cpp, AppendTop)."""
    # a legacy input without a shape has no Input layer
    made = set(net.inputs) - {
        top for layer in net.layers if layer.type == "Input" for top in layer.tops
    }
    wrong = []
    for layer in net.layers:
        for bottom in layer.bottoms:
            if bottom not in made:
                wrong.append(
                    f"line {layer.line}: layer {layer.name!r} reads {bottom!r}, which no layer makes"
                )
        for number, top in enumerate(layer.tops):
            in_place = number < len(layer.bottoms) and layer.bottoms[number] == top
            if top in made and not in_place:
                wrong.append(f"line {layer.line}: layer {layer.name!r} makes {top!r} a second time")
            made.add(top)
    if wrong:
        raise BadInput(f"{net.file}: {wrong[0]}; Caffe refuses this net", wrong)


def outputs(net: Net) -> list[str]:
    """Tops that nobody reads, in the order in which they were made.

    Where a net computes none, those that only a Silence reads: such a net is asked for its blobs.
    """
    found = _unread(net.layers)
    computed = {top for layer in net.layers if layer.type != "Input" for top in layer.tops}
    if computed.isdisjoint(found):
        heard = tuple(layer for layer in net.layers if layer.type != "Silence")
        found = [top for top in _unread(heard) if top in computed] or found
    return found


def _unread(layers: tuple[Layer, ...]) -> list[str]:
    open_tops: dict[str, None] = {}
    for layer in layers:
        for bottom in layer.bottoms:
            open_tops.pop(bottom, None)
        open_tops.update(dict.fromkeys(layer.tops))
    return list(open_tops)


def owners(net: Net) -> dict[tuple[int, int], tuple[int, int]]:
    """(layer, blob) -> its owner, for blobs shared by `param { name }` (net.cpp, AppendParam)."""
    first: dict[str, tuple[int, int]] = {}
    shared = {}
    for index, layer in enumerate(net.layers):
        for number, name in enumerate(layer.param_names):
            if not name:
                continue
            owner = first.setdefault(name, (index, number))
            if owner != (index, number):
                shared[index, number] = owner
    return shared


def refuse_side_effects(net: Net, known: Collection[str] = ()) -> None:
    """Raise Unsupported for every layer that would read or write files or run code in Caffe.

    Looks at the text's own tree as well, if Caffe gets that: upgrades drop fields that it acts on.
    `known`: names of Python layers that keep the net from Caffe, and are computed here.
    """
    wrong = [
        f"line {layer.line}: layer {layer.name!r}: type {layer.type}"
        for layer in net.layers
        if layer.type in SIDE_EFFECTS and layer.name not in known
    ]
    given = (
        [layer.fields for layer in net.layers]
        if net.run_text
        else net.source.messages("layer") + net.source.messages("layers")
    )
    stack: list[tuple[Message, str]] = [(layer, "") for layer in given]
    while stack:
        message, name = stack.pop()
        name = message.text("name") or name
        for item in message.fields:
            if isinstance(item.value, Message):
                stack.append((item.value, name))
            elif item.name in PATHS and item.value and name not in known:
                wrong.append(f"line {item.line}: layer {name!r}: {item.name}: {item.value!r}")
    if wrong:
        raise Unsupported(
            f"{net.file}: Caffe would read or write files or run code ({wrong[0]}); use the deploy "
            "file, or replace the data layer by an Input layer",
            sorted(set(wrong)),
        )
