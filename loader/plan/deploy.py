"""A training definition as its deploy form: data layers become inputs, losses what they contain.

What a person would otherwise do by hand before Caffe's `deploy.prototxt` exists; each change is one
line of `notes`. A definition without data layers and losses is returned as it is.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from decant.loader.definition.graph import Layer, Net, check_connections, outputs, rendered
from decant.loader.definition.prototxt import Field, Message
from decant.loader.definition.schema import TYPES
from decant.loader.errors import BadInput, UsageError
from decant.loader.layers import layer_type, type_of
from decant.loader.layers.layer_type import Parameters, Source
from decant.loader.plan.batch import changes, with_batch
from decant.loader.plan.losses import at_test, contained, is_dropped
from decant.loader.plan.rules import is_known, refuse_unknown_types
from decant.loader.weights import caffemodel

if TYPE_CHECKING:
    from decant.loader.layers.rule import Rule
    from decant.loader.plan.outline import BlobShapes

Shape = tuple[int, ...]

# C3D's; v1.0 has its fields in the other's message
VIDEO = ("video_data_param", "image_data_param")


def is_source(layer: Layer, plugins: Collection[str] = ()) -> bool:
    """Whether it brings data; a Python layer without bottoms that nobody knows can do nothing else."""
    if layer.type != "Python":
        return _source(layer) is not None
    return not layer.bottoms and not is_known(layer, plugins)


def _source(layer: Layer) -> Source | None:
    return layer_type(layer.type).source


def _brings_pictures(layer: Layer) -> bool:
    source = _source(layer)
    return source is not None and source.pictures


def prepares_pictures(layer: Layer) -> bool:
    """Whether it is a data layer whose definition says how each picture is prepared."""
    source = _source(layer)
    return source is not None and source.prepares


def _is_shaped(layer: Layer) -> bool:
    """Whether the definition says what the layer brings."""
    source = _source(layer)
    return source is None or source.shaped


def is_training(net: Net, plugins: Collection[str] = ()) -> bool:
    """Whether a data layer or a loss is in it."""
    return any(
        is_source(layer, plugins) or type_of(layer).contains or is_dropped(layer, plugins)
        for layer in at_test(net, plugins).layers
    )


def deploy(
    net: Net,
    shapes: Mapping[str, Shape],
    weights: BlobShapes,
    beside: Path | None = None,
    plugins: Mapping[str, Rule] | None = None,
) -> Net:
    """The deploy form of `net`.

    `shapes`: what `--input` says of an input; `weights`: from which the number of channels is known
    where the definition does not say it; `beside`: where a mean file may lie, the definition's folder
    unless given. Raises UsageError naming every data layer whose shape cannot be known, Unsupported
    where that depends on layers that nobody knows, BadInput for a number that is none.
    """
    beside = beside or Path(net.file).parent
    try:
        if not is_training(net, plugins or {}):
            return net
        simpler = at_test(net, plugins or {})
        found = _deployed(simpler, shapes, weights, beside, plugins)
        counted = _counted_on(found, simpler, shapes, weights, plugins)
        if counted:
            found = _deployed(simpler, {**shapes, **counted}, weights, beside, plugins)
    except ValueError as error:
        raise BadInput(f"{net.file}: {error}") from None
    return replace(found, notes=[*found.notes, *_changed_outputs(net, found)])


def _deployed(
    net: Net,
    shapes: Mapping[str, Shape],
    weights: BlobShapes,
    beside: Path,
    plugins: Mapping[str, Rule] | None,
) -> Net:
    labels = _labels(net, plugins or {})
    layers: list[Layer] = []
    made = {top for layer in net.layers for top in layer.tops}
    inputs: dict[str, Shape | None] = {
        blob: shape for blob, shape in net.inputs.items() if blob not in made
    }
    transforms: dict[str, Message] = {}
    notes, unknown = list(net.notes), []
    left_out = dict(net.left_out)
    # values that go with the losses: their own, and all that is made of them
    gone = set(labels)
    for layer in net.layers:
        if is_source(layer, plugins or {}):
            tops = [top for top in layer.tops if top not in labels]
            for number, top in enumerate(tops):
                at = layer.tops.index(top)
                found = shapes.get(top) or _shape(net, layer, at, weights, beside)
                if found is None:
                    unknown.append(f"line {layer.line}: layer {layer.name!r}: {top!r}")
                inputs[top] = found
                if at == 0 and _brings_pictures(layer):
                    transforms[top] = layer.fields.message("transform_param")
                name = layer.name if number == 0 else f"{layer.name}_{top}"
                layers.append(_input(layer, name, top, found or (1,)))
            if tops:
                notes.append(f"{layer.name}: {layer.type} became an input ({', '.join(tops)})")
        elif type_of(layer).contains and layer.bottoms[0] not in gone:
            kept = contained(layer, {top for other in layers for top in other.tops})
            layers.append(kept)
            gone.update(layer.tops[:1])
            gone -= set(layer.tops[1:])
            notes.append(f"{layer.name}: {layer.type} became {kept.type}")
        elif layer.type == "Silence" and set(layer.bottoms) - gone:
            layers.append(_reading(layer, [name for name in layer.bottoms if name not in gone]))
        elif is_dropped(layer, plugins or {}) or gone & set(layer.bottoms):
            gone.update(layer.tops)
            left_out[layer.name] = f"{layer.type} dropped"
            notes.append(f"{layer.name}: {layer.type} dropped{_with_its_own(layer)}")
        else:
            layers.append(layer)
            inputs.update((top, net.inputs[top]) for top in layer.tops if layer.type == "Input")
    if unknown:
        # whether it is a label depends on what reads it
        refuse_unknown_types(net.file, layers, plugins or {})
        blob = next(top for top, shape in inputs.items() if shape is None and top in made)
        raise UsageError(
            f"{net.file}: the shape of an input is nowhere in the definition ({unknown[0]}); give "
            f"its own: --input {blob}=1,{_taken(net, blob, weights) or 3},224,224",
            unknown,
        )
    changed = replace(
        net,
        layers=tuple(layers),
        inputs=inputs,
        notes=notes,
        left_out=left_out,
        transforms=transforms,
    )
    check_connections(changed)
    return replace(changed, run_text=rendered(changed))


def _with_its_own(layer: Layer) -> str:
    """Of forks some have weights or centres."""
    return "" if layer.type in TYPES else ", and the parameters that it may have"


def _changed_outputs(net: Net, found: Net) -> list[str]:
    """What a person who knows Caffe's outputs would miss, in one line."""
    before, after = outputs(net), outputs(found)
    # by what a layer makes: names may stand twice
    kinds = {(layer.name, *layer.tops[:1]): layer.type for layer in net.layers}
    data = {top for layer in net.layers if is_source(layer) for top in layer.tops}
    parts = [
        f"{layer.tops[0]!r} has the values of {layer.type}, where Caffe gives the loss, one number"
        for layer in found.layers
        if layer_type(kinds.get((layer.name, *layer.tops[:1]), "")).contains
    ]
    lost = [repr(blob) for blob in before if blob not in (*after, *data)]
    new = [repr(blob) for blob in after if blob not in before]
    parts += [f"{', '.join(lost)} left out"] if lost else []
    parts += [f"{', '.join(new)} {'is one' if len(new) == 1 else 'are such'} now"] if new else []
    return [f"outputs: {'; '.join(parts)}"] if parts else []


def _counted_on(
    changed: Net,
    net: Net,
    given: Mapping[str, Shape],
    weights: BlobShapes,
    plugins: Mapping[str, Rule] | None,
) -> dict[str, Shape]:
    """The inputs with the data layer's own batch, where the net takes no other."""
    data = next(filter(prepares_pictures, net.layers), None)
    shapes = {top: shape for top, shape in changed.inputs.items() if shape}
    if data is None or not data.tops or data.tops[0] in given or len(shapes) < len(changed.inputs):
        return {}
    batch = own_message(data).integer("batch_size", 1)
    # their batch of one is ours; other inputs say their own
    ours = {top: shapes[top] for top in data.tops if top in shapes and top not in given}
    counted = {**shapes, **with_batch(ours, 1, batch)}
    return counted if batch > 1 and changes(changed, counted, shapes, plugins, weights) else {}


def _labels(net: Net, plugins: Collection[str]) -> set[str]:
    """Tops of the data layers that only losses and their like read, by themselves or made over."""
    found = set()
    for layer in net.layers:
        if is_source(layer, plugins):
            for number, top in enumerate(layer.tops):
                second = _brings_pictures(layer) and number > 0
                unread = not (_is_shaped(layer) or any(top in x.bottoms for x in net.layers))
                if unread or _Label(net, second, plugins).is_label(top, set()):
                    found.add(top)
    return found


@dataclass(frozen=True)
class _Label:
    """`second`: behind the pictures, where a label is what one expects: also unread, also first."""

    net: Net
    second: bool
    plugins: Collection[str]

    def is_label(self, blob: str, seen: set[str]) -> bool:
        """Whether all that reads it takes it for one."""
        takers = [x for x in self.net.layers if blob in x.bottoms]
        readers = [x for x in takers if x.type != "Silence"]
        if not readers or blob in seen:
            # what is made of it and read by nobody is an output of the net, unless it is silenced
            return blob in seen or bool(seen and takers) or (self.second and not seen)
        return all(self._reads_a_label(layer, blob, seen | {blob}) for layer in readers)

    def _reads_a_label(self, layer: Layer, blob: str, seen: set[str]) -> bool:
        of = type_of(layer)
        if of.contains:
            return layer.bottoms[0] != blob
        if is_dropped(layer, self.plugins):
            return self.second or layer.bottoms[0] != blob
        # what has weights computes something of the net's own
        return of.parameters is Parameters.NEVER and all(
            top in layer.bottoms or self.is_label(top, seen) for top in layer.tops
        )


def _shape(net: Net, layer: Layer, number: int, weights: BlobShapes, beside: Path) -> Shape | None:
    if layer.type == "MemoryData":
        param = layer.fields.message("memory_data_param")
        names = ("batch_size", "channels", "height", "width")
        return tuple(param.integer(name) for name in names)
    if layer.type == "DummyData":
        return _dummy(layer, number)
    if number > 0 or not _is_shaped(layer):
        return None
    mean = _mean_shape(layer, beside)
    own, transform = own_message(layer), layer.fields.message("transform_param")
    crop = transform.integer("crop_size") or own.integer("crop_size")
    resized = transform.message("resize_param")
    height = crop or own.integer("new_height") or resized.integer("height")
    width = crop or own.integer("new_width") or resized.integer("width")
    channels = _channels(net, layer, transform, weights)
    if mean:
        channels, height, width = channels or mean[0], height or mean[1], width or mean[2]
    if not channels and (source := _source(layer)) and source.coloured:
        channels = 3 if own.boolean("is_color", True) else 1
    length = (own.integer("new_length"),) if layer.type == "VideoData" else ()
    shape = (1, channels, *length, height, width)
    return shape if all(shape) else None


def own_message(layer: Layer) -> Message:
    """The message of the layer's own type."""
    if layer.type != "VideoData":
        return layer.fields.message(layer_type(layer.type).message)
    name = next((name for name in VIDEO if layer.fields.has(name)), VIDEO[0])
    return layer.fields.message(name)


def mean_file(layer: Layer, beside: Path) -> Path | None:
    """A data layer's mean file, if it is at hand: where it says, or in the folder `beside`."""
    name = layer.fields.message("transform_param").text("mean_file")
    places = (Path(name), beside / name, beside / Path(name).name) if name else ()
    return next((path for path in places if os.path.isfile(path)), None)


def _mean_shape(layer: Layer, beside: Path) -> Shape:
    """(C, H, W) of the mean file, if it is at hand."""
    path = mean_file(layer, beside)
    if path is None:
        return ()
    try:
        shape = caffemodel.read_blob(path).shape
    except caffemodel.CaffemodelError as error:
        raise BadInput(str(error)) from None
    # C3D's is a volume
    return (shape[1], *shape[3:]) if len(shape) == 5 else shape[-3:]


def _dummy(layer: Layer, number: int) -> Shape | None:
    """One shape for all tops or one for each; or num, channels, height, width."""
    param = layer.fields.message("dummy_data_param")
    shapes = [tuple(shape.integers("dim")) for shape in param.messages("shape")]
    if not shapes:
        columns = [param.integers(name) for name in ("num", "channels", "height", "width")]
        if not all(columns):
            return None
        shapes = list(zip(*columns, strict=True)) if len({*map(len, columns)}) == 1 else []
    return shapes[number if len(shapes) > 1 else 0] if shapes else None


def _channels(net: Net, layer: Layer, transform: Message, weights: BlobShapes) -> int:
    """As the layer says, or as the first convolution's weights do; 0 where neither does."""
    if transform.boolean("force_gray"):
        return 1
    if transform.boolean("force_color") or len(transform.all("mean_value")) == 3:
        return 3
    return _taken(net, layer.tops[0], weights)


def _taken(net: Net, blob: str, weights: BlobShapes) -> int:
    """The channels of `blob` that the first convolution on it takes; 0 where there is none."""
    for reader in net.layers:
        if blob in reader.bottoms and reader.type in ("Convolution", "Convolution3D"):
            shape = next(iter(weights.get(reader.name, ())), ())
            return shape[1] * _groups(reader) if len(shape) >= 4 else 0
    return 0


def _groups(layer: Layer) -> int:
    """C3D's Convolution3D has a field for it that does nothing."""
    if layer.type == "Convolution":
        return layer.fields.message("convolution_param").integer("group", 1)
    param = layer.fields.message("convolution3d_param")
    return param.integer("group", 1) if param.has("kernel_l") else 1


def _field(name: str, value: str | Message, line: int, quoted: bool = False) -> Field:
    return Field(name, value, line, quoted)


def _input(layer: Layer, name: str, top: str, shape: Sequence[int]) -> Layer:
    line = layer.line
    dims = Message([_field("dim", str(size), line) for size in shape], line)
    param = Message([_field("shape", dims, line)], line)
    fields = Message(
        [
            _field("name", name, line, True),
            _field("type", "Input", line, True),
            _field("top", top, line, True),
            _field("input_param", param, line),
        ],
        line,
    )
    return Layer(name, "Input", (), (top,), (), fields, line)


def with_shapes(net: Net, shapes: Mapping[str, Shape]) -> Net:
    """The net as if its definition declared these shapes of its inputs."""
    layers = tuple(_declaring(layer, shapes) for layer in net.layers)
    changed = replace(net, layers=layers, inputs={**net.inputs, **shapes})
    return replace(changed, run_text=rendered(changed))


def _declaring(layer: Layer, shapes: Mapping[str, Shape]) -> Layer:
    """An Input layer with a shape for each of its tops; any other as it is."""
    if layer.type != "Input":
        return layer
    line = layer.line
    found = [
        _field(
            "shape", Message([_field("dim", str(size), line) for size in shapes[top]], line), line
        )
        for top in layer.tops
    ]
    others = [item for item in layer.fields.fields if item.name != "input_param"]
    fields = Message([*others, _field("input_param", Message(found, line), line)], line)
    return replace(layer, fields=fields)


def _reading(layer: Layer, bottoms: Sequence[str]) -> Layer:
    """The same layer with fewer bottoms."""
    others = [item for item in layer.fields.fields if item.name != "bottom"]
    fields = [_field("bottom", name, layer.line, True) for name in bottoms]
    return replace(layer, bottoms=tuple(bottoms), fields=Message([*others, *fields], layer.line))
