"""A net as steps in order: what each layer computes, from which values, written by its rule.

Caffe's blobs are overwritten by in-place layers; here every top is a value of its own. Everything
that cannot be converted exactly is collected, and refused once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from decant.loader.definition.graph import Layer, Net, outputs, owners
from decant.loader.definition.naming import Names, unique
from decant.loader.definition.schema import MESSAGES
from decant.loader.errors import BadInput, Unsupported, UsageError
from decant.loader.layers import (
    LAYER_TYPES,
    PYTHON,
    REFUSED_FIELDS,
    TRAINING_PYTHON,
    layer_type,
    type_of,
)
from decant.loader.layers.in_place import grows_in_place, never_in_place
from decant.loader.layers.normalisation import fused_batch_norm
from decant.loader.layers.rule import WIRING, Refused, Rule, Shape, Site, Written, WrongBlobs

# of the weights: the shapes of a layer's first blobs, by its name
BlobShapes = Mapping[str, Sequence[Shape]]
_OF_CAFFE = {word.split(":")[0] for word in MESSAGES["Layer"].split()}


def python_type(layer: Layer) -> str:
    """`Python:ProposalLayer` for a Python layer, "" for others."""
    if layer.type != "Python":
        return ""
    return f"Python:{layer.fields.message('python_param').text('layer')}"


def is_known(layer: Layer, plugins: Collection[str] = ()) -> bool:
    """Whether a rule or a plugin computes it."""
    own = {layer.type, python_type(layer)} & set(plugins)
    return bool(own) or own_rule(layer) is not None


def known_python(layer: Layer) -> Rule | None:
    """The rule of a Python layer that is known by its module and class."""
    if layer.type != "Python":
        return None
    param = layer.fields.message("python_param")
    known = PYTHON.get(f"{param.text('module')}:{param.text('layer')}")
    return known.rule if known else None


def own_rule(layer: Layer) -> Rule | None:
    """The type's rule, or that of a Python layer that is known; None where there is none."""
    return layer_type(layer.type).rule or known_python(layer)


def rule_of(layer: Layer, plugins: Mapping[str, Rule]) -> Rule | None:
    """A plugin's, for the Python class or the type, else the type's own."""
    return plugins.get(python_type(layer)) or plugins.get(layer.type) or own_rule(layer)


@dataclass(eq=False)
class Value:
    """One top, once: `blob` is the name that Caffe has for it.

    `memory`: the same for values that Caffe keeps in one place, as of a Reshape's bottom and top.
    `made`: the place of the layer that makes it, -1 for an input.
    """

    blob: str
    shape: Shape
    memory: object = field(default_factory=object)
    made: int = -1


@dataclass(eq=False)
class Step:
    """One layer (or a BatchNorm and its Scale): `calls` make `outputs` from `inputs`.

    `attribute` is the module's name in the net ("" for none); `tensors` and `origin` go by what
    stands behind it in the state's key. `fused`: layers whose work is done here as well.
    """

    layer: str
    kind: str
    line: int
    inputs: list[Value]
    outputs: list[Value]
    attribute: str
    written: Written
    origin: dict[str, tuple[str, int]]
    fused: tuple[str, ...] = ()

    @property
    def calls(self) -> tuple[str, ...]:
        """One expression for all outputs, or one for each."""
        return self.written.calls()

    def key(self, name: str) -> str:
        """The state's key of tensor `name`."""
        return f"{self.attribute}.{name}" if name else self.attribute


@dataclass
class Plan:
    """`inputs` in the order of the definition; `outputs`: Caffe's output blobs and their values.

    `tops`: every layer's shapes, by unique name.
    """

    name: str
    inputs: dict[str, Value]
    outputs: dict[str, Value]
    steps: list[Step]
    tied: list[tuple[str, str]] = field(default_factory=list)
    input_layers: dict[str, list[str]] = field(default_factory=dict)
    # layers without a line of their own, and why
    absent: dict[str, str] = field(default_factory=dict)
    tops: dict[str, list[Shape]] = field(default_factory=dict)


@dataclass
class Outline:
    """What can be said of a definition alone: by unique layer name, in order.

    `tops`: shapes, None where a layer before could not be worked out. `blobs`: parameter shapes.
    `refused`: as `plan` would say it; `unsupported`: what of it no other weights would change.
    """

    tops: dict[str, list[Shape | None]]
    blobs: dict[str, list[Shape]]
    refused: list[str]
    unsupported: list[str]


class _Asking(Site):
    """A site without weights: takes down which blobs its rule asks for. They hold no memory."""

    def filed(self, *otherwise: Shape) -> list[np.ndarray]:
        if not self.blobs:
            self.blobs = [_weightless(shape) for shape in otherwise]
        return self.blobs

    def blob(self, number: int, *shape: int) -> np.ndarray:
        if number == len(self.blobs):
            self.blobs.append(_weightless(shape))
        return super().blob(number, *shape)

    def expect(self, *, bottoms: int | None = None, tops: int | None = None, blobs: int) -> None:
        super().expect(bottoms=bottoms, tops=tops, blobs=len(self.blobs))


def _weightless(shape: Shape) -> np.ndarray:
    """An array of ones of this shape that holds a single number."""
    return np.broadcast_to(np.float32(1), shape)


def outline(
    net: Net,
    shapes: Mapping[str, Shape],
    plugins: Mapping[str, Rule] | None = None,
    blobs: BlobShapes | None = None,
) -> Outline:
    """Shapes of all tops and parameters, as far as the definition goes, and `blobs` of the weights.

    Worked out once for each question; not to be changed. Raises UsageError only.
    """
    known = [[tuple(shape) for shape in (blobs or {}).get(x.name, ())] for x in net.layers]
    question = (
        "outline",
        tuple((name, tuple(shapes.get(name) or ())) for name in net.inputs),
        tuple(map(tuple, known)),
        tuple(sorted((plugins or {}).items())),
    )
    return net.once(question, lambda: _outline(net, shapes, plugins, known))


def _outline(
    net: Net,
    shapes: Mapping[str, Shape],
    plugins: Mapping[str, Rule] | None,
    known: Sequence[Sequence[Shape]],
) -> Outline:
    arrays = [[_weightless(shape) for shape in blobs] for blobs in known]
    wired, _, ends = _wire(net, shapes)
    writer = _Writer(net, arrays, plugins or {}, wired, set(ends.values()), _Asking)
    for item in wired:
        writer.step(item)
    tops: dict[str, list[Shape | None]] = {
        item.name: [None if value in writer.unknown else value.shape for value in item.outputs]
        for item in wired
    }
    taken = {
        name: [tuple(blob.shape) for blob in site.blobs] for name, site in writer.sites.items()
    }
    return Outline(tops, taken, writer.wrong + writer.misfits, writer.wrong)


@dataclass(eq=False)
class _Wired:
    """A layer between its values; shapes come later."""

    index: int
    name: str
    layer: Layer
    inputs: list[Value]
    outputs: list[Value]


def plan(
    net: Net,
    blobs: Sequence[Sequence[np.ndarray]],
    shapes: Mapping[str, Shape],
    plugins: Mapping[str, Rule] | None = None,
) -> Plan:
    """`blobs`: each layer's parameters, in the order of net.layers; `shapes`: of the inputs.

    Raises Unsupported with every layer and parameter that cannot be converted exactly, and BadInput
    where it is only that the blobs are not this definition's.
    """
    wired, made, ends = _wire(net, shapes)
    if all(value in made.values() for value in ends.values()):
        raise Unsupported(
            f"{net.file}: the net computes nothing; give the definition that was trained"
        )
    writer = _Writer(net, blobs, plugins or {}, wired, set(ends.values()))
    steps = [step for item in wired for step in writer.step(item)]
    writer.wrong += _overwritten(wired, ends) + _kept(wired)
    if writer.wrong:
        raise unsupported(net.file, writer.wrong, writer.misfits)
    if writer.misfits:
        raise BadInput(
            f"{net.file}: does not fit the weights: {writer.misfits[0]}; give the definition that they "
            "were trained with, or the --input",
            writer.misfits,
        )
    return Plan(
        name=net.name,
        inputs=made,
        outputs=ends,
        steps=steps,
        tied=_tied(net, wired, blobs, steps) + _worked_out(net, wired, blobs, steps),
        input_layers={
            item.name: [value.blob for value in item.outputs]
            for item in wired
            if item.layer.type == "Input"
        },
        absent=writer.absent,
        tops={item.name: [value.shape for value in item.outputs] for item in wired},
    )


def _wire(
    net: Net, shapes: Mapping[str, Shape]
) -> tuple[list[_Wired], dict[str, Value], dict[str, Value]]:
    """(layers between values, inputs, outputs)."""
    unknown = [name for name in net.inputs if not shapes.get(name)]
    if unknown:
        raise UsageError(
            f"{net.file}: input {unknown[0]!r} has no shape; give --input {unknown[0]}=1,3,224,224",
            [f"input {name!r} has no shape" for name in unknown],
        )
    made = {name: Value(name, tuple(shapes[name])) for name in net.inputs}
    current, wired = dict(made), []
    names = unique(layer.name for layer in net.layers)
    for index, (name, layer) in enumerate(zip(names, net.layers, strict=True)):
        inputs = [current[bottom] for bottom in layer.bottoms]
        if layer.type == "Input":
            tops = [made[top] for top in layer.tops]
        elif layer.type == "Split":
            tops = [inputs[0]] * len(layer.tops)
        else:
            tops = [_value(layer, index, number, inputs) for number in range(len(layer.tops))]
        current.update(zip(layer.tops, tops, strict=True))
        wired.append(_Wired(index, name, layer, inputs, tops))
    ends = {name: current[name] for name in outputs(net) if current[name] is not made.get(name)}
    return wired, made, ends or dict(made)


def _value(layer: Layer, index: int, number: int, inputs: Sequence[Value]) -> Value:
    top = layer.tops[number]
    in_place = number < len(layer.bottoms) and layer.bottoms[number] == top
    view = type_of(layer).view and len(inputs) == 1 and len(layer.tops) == 1
    memory = inputs[number].memory if in_place or view else object()
    return Value(top, (), memory, index)


def _works_in_place(item: _Wired) -> list[Value]:
    """What it changes in its bottom's memory; a Dropout changes nothing at TEST."""
    of = type_of(item.layer)
    if of.keeps_values or of.view or of.transparent:
        return []
    return [x for x in item.outputs if any(x.memory is old.memory for old in item.inputs)]


def _kept(wired: Sequence[_Wired]) -> list[str]:
    """In-place layers on what Caffe keeps for the next forward, and would find changed then.

    parameter_layer.hpp: the top is the blob itself. recurrent_layer.cpp: of one time step the top is
    an LSTM's state.
    """
    kept: dict[object, _Wired] = {}
    wrong = []
    for item in wired:
        for value in _works_in_place(item):
            if value.memory in kept:
                wrong.append(
                    f"line {item.layer.line}: layer {item.name!r} ({item.layer.type}): works in place "
                    f"on what layer {kept[value.memory].name!r} keeps for the next forward; give its "
                    "top a name of its own"
                )
        one_step = item.layer.type == "LSTM" and item.inputs and item.inputs[0].shape[:1] == (1,)
        if item.layer.type == "Parameter" or one_step:
            # the state is also what expose_hidden shows
            kept.update((value.memory, item) for value in item.outputs[:2])
    return wrong


def _overwritten(wired: Sequence[_Wired], ends: Mapping[str, Value]) -> list[str]:
    """In-place layers that change what others read: Caffe keeps a view in its bottom's memory."""
    wrong = []
    writers: dict[object, tuple[_Wired, Value]] = {}
    reads = [(item, item.inputs) for item in wired]
    for item, values in [*reads, (None, list(ends.values()))]:
        for value in values:
            if value.memory in writers and writers[value.memory][1] is not value:
                writer = writers[value.memory][0]
                if value.made < writer.index:
                    reader = f"layer {item.name!r}" if item else "the net's output"
                    wrong.append(
                        f"line {writer.layer.line}: layer {writer.name!r} ({writer.layer.type}): works "
                        f"in place on memory that {value.blob!r} shares, which {reader} reads later; "
                        "give its top a name of its own"
                    )
        if item is not None:
            writers.update((value.memory, (item, value)) for value in _works_in_place(item))
    return list(dict.fromkeys(wrong))


class _Writer:
    """Applies the rules in order, and keeps what they refuse."""

    def __init__(
        self,
        net: Net,
        blobs: Sequence[Sequence[np.ndarray]],
        plugins: Mapping[str, Rule],
        wired: Sequence[_Wired],
        ends: set[Value],
        site: type[Site] | None = None,
    ) -> None:
        self.net, self.blobs, self.plugins = net, blobs, plugins
        self.names = Names()
        self.wrong: list[str] = []
        # of these the weights are the fault, not the definition
        self.misfits: list[str] = []
        self.absent: dict[str, str] = {}
        # values whose shape is not known because the layer that makes them was refused
        self.unknown: set[Value] = set()
        # a Scale that is written already, with the BatchNorm before it
        self.fused: dict[_Wired, Step] = {}
        self.readers: dict[Value, list[_Wired]] = {}
        for item in wired:
            for value in item.inputs:
                self.readers.setdefault(value, []).append(item)
        self.ends = ends
        self.site = site or Site
        self.sites: dict[str, Site] = {}

    def step(self, item: _Wired) -> list[Step]:
        """The layer's step; none for an invisible one, or where it is refused."""
        layer, of = item.layer, type_of(item.layer)
        if of.transparent:
            if layer.type != "Input":
                self.absent[item.name] = f"{layer.type}: computes nothing"
            return []
        if item in self.fused:
            return [self.fused[item]]
        rule = rule_of(layer, self.plugins)
        if rule is None:
            self._refuse(item, _unsupported(layer))
            return []
        if self.unknown & set(item.inputs):
            self.unknown.update(item.outputs)
            return []
        # a plugin says itself what it computes
        own = rule is of.rule and layer.type != "Python"
        if own and (reason := never_in_place(layer, of)):
            self._refuse(item, reason)
            return []
        site = self._site(item)
        try:
            written = self._with_scale(item, site) or rule(site)
        except WrongBlobs as error:
            self._refuse(item, str(error), into=self.misfits)
            return []
        except (Refused, ValueError, ArithmeticError) as error:
            self._refuse(item, str(error))
            return []
        if item.name in self.absent:
            return []
        if own and grows_in_place(layer, of, site.bottoms, written.shapes):
            self._refuse(
                item, "works in place and changes the shape; give its top a name of its own"
            )
            return []
        self._account(item, site)
        return [self._finish(item, written, site)]

    def _site(self, item: _Wired) -> Site:
        shapes = [value.shape for value in item.inputs]
        site = self.site(item.layer, shapes, self.blobs[item.index])
        site.reading = self.net.reading
        self.sites[item.name] = site
        return site

    def _finish(self, item: _Wired, written: Written, site: Site) -> Step:
        if len(written.shapes) != len(item.outputs):
            self._refuse(item, f"makes {len(written.shapes)} tops, and has {len(item.outputs)}")
        for value, shape in zip(item.outputs, written.shapes, strict=False):
            value.shape = tuple(shape)
        attribute = self.names.new(item.name) if written.module else ""
        named = [name for name in written.tensors if name != "num_batches_tracked"]
        origin = {
            name: (item.name, written.blobs.get(name, number)) for number, name in enumerate(named)
        }
        return Step(
            item.name, item.layer.type, item.layer.line, item.inputs, item.outputs, attribute,
            written, origin,
        )  # fmt: skip

    def _with_scale(self, item: _Wired, site: Site) -> Written | None:
        """A BatchNorm whose value only a Scale reads: both as one step, in the Scale's place."""
        if item.layer.type != "BatchNorm" or len(item.outputs) != 1:
            return None
        if {"BatchNorm", "Scale"} & set(self.plugins):
            return None
        readers = self.readers.get(item.outputs[0], [])
        if item.outputs[0] in self.ends or [x.layer.type for x in readers] != ["Scale"]:
            return None
        follower = readers[0]
        if follower.inputs[0] is not item.outputs[0]:
            return None
        item.outputs[0].shape = site.bottom()
        scale = self._site(follower)
        written = fused_batch_norm(site, scale)
        if written is None:
            return None
        self._account(item, site)
        self._account(follower, scale)
        follower.outputs[0].shape = site.bottom()
        origin = {"weight": (follower.name, 0), "running_mean": (item.name, 0)}
        origin["running_var"] = (item.name, 1)
        if len(self.blobs[follower.index]) > 1:
            origin["bias"] = (follower.name, 1)
        self.fused[follower] = Step(
            follower.name, "Scale", follower.layer.line, item.inputs, follower.outputs,
            self.names.new(item.name), written, origin, (item.name,),
        )  # fmt: skip
        self.absent[item.name] = f"fused with {follower.name}"
        return written

    def _account(self, item: _Wired, site: Site) -> None:
        """Refuse what was written and not looked at."""
        for name in site.unread():
            self._refuse(item, f"{name} is not supported")
        if type_of(item.layer).by_phase and item.layer.fields.text("phase") in ("TRAIN", "0"):
            self._refuse(
                item, "phase: TRAIN asks Caffe for what it does in training; drop it from the layer"
            )
        for part in item.layer.fields.fields:
            known = WIRING | site.messages_asked | _OF_CAFFE
            if part.name not in known:
                hint = f": {REFUSED_FIELDS[part.name]}" if part.name in REFUSED_FIELDS else ""
                self._refuse(item, f"{part.name} is not supported{hint}", part.line)

    def _refuse(
        self, item: _Wired, reason: str, line: int = 0, into: list[str] | None = None
    ) -> None:
        layer = item.layer
        self.unknown.update(item.outputs)
        found = self.wrong if into is None else into
        found.append(f"line {line or layer.line}: layer {item.name!r} ({layer.type}): {reason}")


def refuse_unknown_types(file: str, layers: Sequence[Layer], plugins: Mapping[str, Rule]) -> None:
    """Raise Unsupported with every layer of a type that no rule and no plugin computes."""
    wrong = [
        f"line {layer.line}: layer {layer.name!r} ({layer.type}): {_unsupported(layer)}"
        for layer in layers
        if not type_of(layer).transparent and not is_known(layer, plugins)
    ]
    if wrong:
        raise unsupported(file, wrong)


def unsupported(file: str, wrong: Sequence[str], also: Sequence[str] = ()) -> Unsupported:
    """The refusal of what cannot be converted exactly; `also`: what else the weights lack."""
    more = f"; the weights do not fit either: {also[0]}" if also else ""
    return Unsupported(
        f"{file}: cannot be converted exactly: {wrong[0]}; drop the layer, or give --layer-plugin "
        f"module:Class for it{more}",
        [*wrong, *also],
    )


def _unsupported(layer: Layer) -> str:
    hint = layer_type(layer.type).refused
    program = ""
    if layer.type == "Python":
        param = layer.fields.message("python_param")
        program = f" (module {param.text('module')!r}, layer {param.text('layer')!r})"
        # what to do about a program is said once, for all of them
        hint = TRAINING_PYTHON.get(param.text("module"), "")
    lower = layer.type.lower()
    meant = [name for name, of in LAYER_TYPES.items() if of.rule and name.lower() == lower]
    hint = f": {hint}" if hint else f"; is it {meant[0]}?" if meant else ""
    return f"the type is not supported{program}{hint}"


def _tied(
    net: Net,
    wired: Sequence[_Wired],
    blobs: Sequence[Sequence[np.ndarray]],
    steps: Sequence[Step],
) -> list[tuple[str, str]]:
    """(key, owner's key) of parameters that Caffe shares by name; not where their shapes differ."""
    by_name = {step.layer: step for step in steps}
    keys: dict[tuple[int, int], tuple[str, Shape, Shape]] = {}
    found = []
    shared = owners(net)
    for item in wired:
        step = by_name.get(item.name)
        if step is None:
            continue
        for name, array in step.written.tensors.items():
            for number, blob in enumerate(blobs[item.index]):
                if blob.size == 0 or not np.may_share_memory(array, blob):
                    continue
                place = (item.index, number)
                owner = shared.get(place)
                # a transposed InnerProduct holds the same blob in another order
                if owner in keys and keys[owner][1:] == (array.shape, array.strides):
                    found.append((step.key(name), keys[owner][0]))
                keys.setdefault(place, (step.key(name), array.shape, array.strides))
                break
    return found


def _worked_out(
    net: Net,
    wired: Sequence[_Wired],
    blobs: Sequence[Sequence[np.ndarray]],
    steps: Sequence[Step],
) -> list[tuple[str, str]]:
    """The same of tensors that are not blobs, but made of shared ones alone: BatchNorm's statistics."""
    shared = owners(net)
    index = {item.name: item.index for item in wired}
    of = {index[name]: step for step in steps for name in (step.layer, *step.fused)}
    found = []
    for step in steps:
        own = [index[name] for name in (step.layer, *step.fused)]
        places = {(at, number): blob for at in own for number, blob in enumerate(blobs[at])}
        ends = {place: shared.get(place, (-1, -1)) for place in places}
        others = {of.get(at) for at, _ in ends.values()}
        other = others.pop() if len(others) == 1 else None
        if other is None or any(place[1] != end[1] for place, end in ends.items()):
            continue
        alike = step.written.module == other.written.module and step.calls == other.calls
        for name, array in step.written.tensors.items():
            made = not any(np.may_share_memory(array, blob) for blob in places.values())
            if alike and made and name in other.written.tensors:
                found.append((step.key(name), other.key(name)))
    return found
