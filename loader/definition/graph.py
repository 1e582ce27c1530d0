"""A net as Caffe would build it from a prototxt: layers at TEST, inputs, owners of shared blobs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from decant.loader.definition import crop, prior_sizes, rpn
from decant.loader.definition.conformance import refuse_broken, refuse_misspelt
from decant.loader.definition.dialect import to_stock
from decant.loader.definition.not_a_net import refuse_other_file, without_layers
from decant.loader.definition.phases import (
    included,
    options,
    refuse_unknown_stages,
    who_makes,
    without_rules,
)
from decant.loader.definition.prototxt import Message, parse, to_text
from decant.loader.definition.reading import STOCK, Reading
from decant.loader.definition.schema import TYPES, faults
from decant.loader.definition.upgrade import upgrade
from decant.loader.errors import BadInput, Unsupported

Shape = tuple[int, ...]
Answer = TypeVar("Answer")
# ten times the deepest net that was published (ResNet-1001), and text at ten times its size
MAX_LAYERS = 10_000
MAX_BYTES = 64 << 20
BOM = "\ufeff"
# The first line of a definition that was found in a caffemodel: the text says itself where it is from.
INSIDE = "# The definition inside a caffemodel, read by Decant.\n"

# a prototxt is a program: what building a net would read, write or run
SIDE_EFFECTS = {"Python", "Data", "ImageData", "WindowData", "HDF5Data", "HDF5Output"}
PATHS = {"source", "mean_file", "meanfile", "root_folder", "file_name", "module"}
# layers that no rule of loader/layers looks at, by what Caffe's layer.hpp would refuse
_BOTTOMS = {
    "Accuracy", "ContrastiveLoss", "EuclideanLoss", "HDF5Output", "HingeLoss", "InfogainLoss",
    "MultinomialLogisticLoss", "SigmoidCrossEntropyLoss", "Silence", "SoftmaxWithLoss", "Split",
}  # fmt: skip
_NO_BOTTOMS = {"Data", "DummyData", "HDF5Data", "ImageData", "Input", "MemoryData", "WindowData"}
_TOPS, _NO_TOPS = {*_NO_BOTTOMS, "Split"}, {"HDF5Output", "Silence"}


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

    `left_out`: layers of the definition that the net lacks, by name, and why. `run_text`: these layers
    as text, "" where Caffe makes the same net of `text` itself. `transforms`: input blob ->
    the `transform_param` of the data layer that it was. `answers`: what was worked out of it already.
    """

    file: str
    name: str
    layers: tuple[Layer, ...]
    inputs: dict[str, tuple[int, ...] | None]
    text: str
    source: Message
    notes: list[str] = field(default_factory=list)
    run_text: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)
    reading: Reading = STOCK
    transforms: dict[str, Message] = field(default_factory=dict)
    answers: dict[Hashable, Any] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def once(self, question: Hashable, answer: Callable[[], Answer]) -> Answer:
        """What `answer` gives, worked out the first time that `question` is asked of this net."""
        if question not in self.answers:
            self.answers[question] = answer()
        found: Answer = self.answers[question]
        return found


def read_net(path: Path, reading: Reading = STOCK) -> Net:
    """Read a definition. Raises BadInput with the file and the line."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadInput(f"{path}: larger than any prototxt; is it the caffemodel?")
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise BadInput(f"{path}: UTF-16 text; save it as UTF-8")
    refuse_other_file(path, data)
    net = net_from_text(data.decode(errors="replace"), str(path), reading)
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


def net_from_text(text: str, file: str, reading: Reading = STOCK) -> Net:
    """The net that Caffe would build of the layers that `reading` includes."""
    source = parse(text.removeprefix(BOM), file)
    refuse_broken(source, file)
    try:
        return _net(source, text, file, reading)
    except ValueError as error:
        raise BadInput(f"{file}: {error}") from None


def _net(source: Message, text: str, file: str, reading: Reading) -> Net:
    messages, notes = upgrade(source, file)
    if text.startswith(INSIDE):
        notes = ["the definition is the one inside the caffemodel", *notes]
    if not reading.of_caffe:
        words = " ".join(options(STOCK, reading))
        notes = [*notes, f"the layers are those of {words}, computed as at TEST"]
    # pycaffe sets phase and level, and adds its stages to the text's own (net.cpp:31-45)
    state = replace(reading, stages=(*source.message("state").texts("stage"), *reading.stages))
    refuse_unknown_stages(reading, messages, file)
    kept: list[Message] = []
    left_out: list[Message] = []
    for layer in messages:
        (kept if included(layer, file, state) else left_out).append(layer)
    refuse_misspelt(source, lambda layer: included(layer, file, state), file)
    kept, changes = to_stock(kept, source, reading)
    changes += _beside_the_layers(kept, source, text)
    if not kept:
        none = f"no layers at {reading.phase}; give the net's definition (deploy.prototxt)"
        raise BadInput(f"{file}: {without_layers(source) or none}")
    if len(kept) > MAX_LAYERS:
        raise BadInput(f"{file}: more than {MAX_LAYERS} layers; no real net has so many")
    layers = tuple(_layer(message, file) for message in kept)
    inputs = _inputs(kept, source)
    layers, said = _cropped(layers, inputs, file, reading)
    names = {layer.text("name") for layer in left_out} - {layer.name for layer in layers}
    net = Net(
        file, source.text("name"), layers, inputs, text, source,
        [
            *notes, *changes, *said, *prior_sizes.notes(layers, reading),
            *rpn.notes(layers, dict(reading.rpn)),
        ],
        left_out=dict.fromkeys(sorted(names), f"not included at {reading.phase}"), reading=reading,
    )  # fmt: skip
    check_connections(net, lambda blob: who_makes(blob, left_out, file, state))
    net.notes.extend(
        f"{top}: only a Silence reads it; it is the net's output" for top in _silenced(net)
    )
    given = changes or _given_instead(net, left_out)
    return replace(net, run_text=rendered(net)) if given else net


def _cropped(
    layers: tuple[Layer, ...], inputs: Mapping[str, Shape | None], file: str, reading: Reading
) -> tuple[tuple[Layer, ...], list[str]]:
    """The layers with the offsets that `reading` gives each Crop, and what is to be said of it."""
    found = crop.missing_offsets(layers, inputs)
    if reading.crop == "aligned":
        return crop.aligned(layers, found, file)
    return layers, crop.notes(layers, found)


def _given_instead(net: Net, left_out: Sequence[Message]) -> bool:
    """Whether Caffe would include other layers of the text, or stop at what is not theirs."""
    if not net.reading.of_caffe or net.reading.crop == "aligned":
        return True
    foreign = any(layer.text("type") not in TYPES for layer in left_out)
    unknown = any(fault.fork for fault in faults(net.source, "Net"))
    return unknown or bool(left_out) and bool(foreign or side_effects(left_out))


def rendered(net: Net) -> str:
    """The net's layers in today's layout, as text without rules; every top of theirs is made again."""
    layers = [without_rules(layer.fields) for layer in net.layers]
    bare = [name for name in net.inputs if name not in _made(layers)]
    return to_text(net.name, layers, bare)


def _beside_the_layers(layers: list[Message], source: Message, text: str) -> list[str]:
    """What Caffe passes over, or stops at, and is left out: a note for each."""
    notes = []
    if text.startswith(BOM):
        notes.append("the mark of UTF-8 at the beginning is left out; Caffe stops at it")
    if not (source.has("input_shape") or source.has("input_dim")):
        notes += [
            f"input {name!r} is left out, as in Caffe: a layer makes it"
            for name in source.texts("input")
            if name in _made(layers)
        ]
    return notes


def _made(layers: list[Message]) -> set[str]:
    """The tops that are not made in place."""
    return {
        top for layer in layers for top in layer.texts("top") if top not in layer.texts("bottom")
    }


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
    found.update((name, None) for name in source.texts("input") if name not in _made(layers))
    return found


def check_connections(net: Net, hints: Callable[[str], list[str]] | None = None) -> None:
    """Bottoms exist, and nobody but an in-place layer makes a blob again (net.cpp, AppendTop).

    `hints`: who would make a blob that nobody makes.
    """
    # a legacy input without a shape has no Input layer
    made = set(net.inputs) - {
        top for layer in net.layers if layer.type == "Input" for top in layer.tops
    }
    wrong = []
    for layer in net.layers:
        wrong += _miscounted(layer)
        for bottom in dict.fromkeys(layer.bottoms):
            if bottom not in made:
                line = f"line {layer.line}: layer {layer.name!r} reads {bottom!r}, which no layer makes"
                others = hints(bottom) if hints else []
                wrong.append(
                    f"{line} at {net.reading.phase}: {', '.join(others)}" if others else line
                )
        for number, top in enumerate(layer.tops):
            in_place = number < len(layer.bottoms) and layer.bottoms[number] == top
            if top in made and not in_place:
                wrong.append(f"line {layer.line}: layer {layer.name!r} makes {top!r} a second time")
            made.add(top)
    if wrong:
        advice = "; give --prototxt FILE" if net.text.startswith(INSIDE) else ""
        raise BadInput(f"{net.file}: {wrong[0]}; Caffe refuses this net{advice}", wrong)


def _miscounted(layer: Layer) -> list[str]:
    """A line if the layer has bottoms or tops where Caffe allows none, or lacks what it wants."""
    parts = [
        f"has no {what}" if wanted else f"has a {what}, and takes none"
        for what, blobs, some, none in (
            ("bottom", layer.bottoms, _BOTTOMS, _NO_BOTTOMS),
            ("top", layer.tops, _TOPS, _NO_TOPS),
        )
        if (wanted := layer.type in some and not blobs) or (layer.type in none and blobs)
    ]
    name = f"line {layer.line}: layer {layer.name!r} ({layer.type})"
    return [f"{name} {' and '.join(parts)}"] if parts else []


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
    wrong = side_effects([layer.fields for layer in net.layers], known)
    if not net.run_text:
        wrong += side_effects(net.source.messages("layer") + net.source.messages("layers"), known)
    if wrong:
        raise Unsupported(
            f"{net.file}: Caffe would read or write files or run code ({wrong[0]}); use the deploy "
            "file, or replace the data layer by an Input layer",
            sorted(set(wrong)),
        )


def side_effects(layers: Sequence[Message], known: Collection[str] = ()) -> list[str]:
    """Types that read or write files or run code, and fields that name a file, a line each."""
    found = [
        f"line {layer.line}: layer {layer.text('name')!r}: type {layer.text('type')}"
        for layer in layers
        if layer.text("type") in SIDE_EFFECTS and layer.text("name") not in known
    ]
    stack: list[tuple[Message, str]] = [(layer, "") for layer in layers]
    while stack:
        message, name = stack.pop()
        name = message.text("name") or name
        for item in message.fields:
            if isinstance(item.value, Message):
                stack.append((item.value, name))
            elif item.name in PATHS and item.value and name not in known:
                found.append(f"line {item.line}: layer {name!r}: {item.name}: {item.value!r}")
    return found
