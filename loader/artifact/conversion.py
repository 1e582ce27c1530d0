"""A dump as a PyTorch module: its source, its state, and which part of it is which Caffe layer.

Either a module of the zoo, which a catalog entry names, or one that is generated from the definition
in the dump. For the second no torch is imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from decant.dumper.dumpfile import Dump
from decant.loader.definition.graph import Net, net_from_text
from decant.loader.definition.naming import unique
from decant.loader.definition.reading import STOCK, Reading, from_text
from decant.loader.errors import BadInput
from decant.loader.layers.rule import Rule, Shape
from decant.loader.pictures.recipe import Recipe, recover
from decant.loader.plan.batch import input_shapes
from decant.loader.plan.deploy import deploy
from decant.loader.plan.outline import BlobShapes, outline
from decant.loader.plan.planning import plan
from decant.loader.plan.plugins import Plugins
from decant.loader.plan.steps import Plan
from decant.loader.source.axes import axes_of
from decant.loader.source.codegen import generate

if TYPE_CHECKING:
    from torch import nn

    from decant.loader.catalog.models import Model
    from decant.loader.source.tracing import CaffeMap

GENERATED = "generated"


@dataclass
class Conversion:
    """`origin`: key -> (layer, blob); `layers`: Caffe layer -> module path, None where it has none.

    `statements`, `fused`: as in CaffeMap. `inputs`: blob -> shape; `input_layers`: layer -> blobs.
    `outputs`: blob, layer and type of what the module returns. `net`: every layer, with its shapes.
    `tied`: key -> key of the parameter that it is. `batch`: the only one that the net takes.
    `reading`: how the definition was read.
    """

    source: str
    tensors: dict[str, np.ndarray]
    origin: dict[str, tuple[str, int]]
    layers: dict[str, str | None]
    inputs: dict[str, Shape]
    input_layers: dict[str, list[str]]
    statements: dict[str, list[str]] = field(default_factory=dict)
    fused: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    outputs: list[dict[str, str]] = field(default_factory=list)
    net: list[dict[str, object]] = field(default_factory=list)
    tied: dict[str, str] = field(default_factory=dict)
    batch: int | None = None
    reading: Reading = STOCK
    notes: list[str] = field(default_factory=list)
    recipe_notes: list[str] = field(default_factory=list)
    recipe: Recipe | None = None

    def caffe_map(self) -> CaffeMap:
        """For tracing."""
        from decant.loader.source.tracing import CaffeMap

        return CaffeMap(
            self.layers, self.statements, self.input_layers, list(self.inputs), self.fused
        )

    def build(self) -> nn.Module:
        """The module of `source` with these weights (copied: a map of a file is read-only)."""
        import torch

        from decant.loader.artifact.loading import module_from_source

        with torch.device("meta"):
            module = module_from_source(self.source)
        state = {
            key: torch.from_numpy(np.array(array, order="C")) for key, array in self.tensors.items()
        }
        module.load_state_dict(state, strict=True, assign=True)
        return module.eval().requires_grad_(False)


@dataclass(frozen=True)
class Checked:
    """A plan that `check` made: of `net`, at these shapes of its inputs."""

    net: Net
    inputs: Mapping[str, Shape]
    plan: Plan


def conversion_of(
    dump: Dump,
    model: Model | None,
    name: str,
    shapes: Mapping[str, Shape] | None = None,
    plugins: Plugins | None = None,
    beside: Path | None = None,
    written: Net | None = None,
    checked: Checked | None = None,
) -> Conversion:
    """`shapes`: of inputs that do not declare one, or are to have another. `beside`: the folder of the
    definition, where a training one's mean file may lie. `written`: the dump's definition, where it was
    read already; `checked`: the plan of the dump's very blobs, where one was made.

    Raises MappingError (zoo) or Unsupported (generated), with everything that is wrong.
    """
    written = written or written_net(dump)
    rules = plugins.rules if plugins else {}
    net = _deployed(written, dump, shapes or {}, beside, rules)
    if model is not None and model.module != GENERATED:
        return _from_zoo(dump, net, model)
    found = _generated(dump, net, name, shapes or {}, plugins or Plugins(), checked)
    if model is None:
        _recover(found, written, beside)
    return found


def _recover(found: Conversion, written: Net, beside: Path | None) -> None:
    """How its pictures are prepared, where a training definition says it."""
    if len(found.inputs) == 1 and len(next(iter(found.inputs.values()))) == 4:
        channels = next(iter(found.inputs.values()))[1]
        found.recipe, notes = recover(written, channels, beside)
        found.recipe_notes = notes


def check(
    net: Net,
    params: Sequence[Sequence[np.ndarray]],
    shapes: Mapping[str, Shape],
    plugins: Plugins | None,
) -> Checked:
    """Raise Unsupported for a net that cannot be generated; `params` by layer of `net`."""
    inputs = _settled({**net.inputs, **shapes})
    return Checked(net, inputs, plan(net, params, inputs, plugins.rules if plugins else {}))


def unsupported_layers(
    net: Net, blobs: BlobShapes, shapes: Mapping[str, Shape], plugins: Plugins | None
) -> list[str]:
    """What of the net cannot be converted whatever its weights are, as far as inputs have shapes.

    `blobs`: of the weights that are there.
    """
    known = _settled({**net.inputs, **shapes})
    if not all(known.values()):
        return []
    return outline(net, known, plugins.rules if plugins else {}, blobs).unsupported


def reading_of(dump: Dump) -> Reading:
    """How the dump says that its definition was read. Raises BadInput."""
    try:
        return from_text(dump.reading)
    except ValueError as error:
        raise BadInput(f"the dump's reading: {error}; dump the net again") from None


def written_net(dump: Dump) -> Net:
    """The dump's definition, read as it was for the dump."""
    return net_from_text(dump.prototxt, "the dump's prototxt", reading_of(dump))


def is_of(written: Net, dump: Dump) -> bool:
    """Whether it is the dump's definition, read as it was for the dump."""
    return written.text == dump.prototxt and written.reading == reading_of(dump)


def deploy_form(
    dump: Dump,
    shapes: Mapping[str, Shape],
    plugins: Plugins | None = None,
    beside: Path | None = None,
    written: Net | None = None,
) -> Net:
    """The dump's definition as it was run; `beside` and `written` as for `conversion_of`."""
    rules = plugins.rules if plugins else {}
    return _deployed(written or written_net(dump), dump, shapes, beside, rules)


def _deployed(
    written: Net,
    dump: Dump,
    shapes: Mapping[str, Shape],
    beside: Path | None = None,
    rules: Mapping[str, Rule] | None = None,
) -> Net:
    known = {**{name: array.shape for name, array in dump.probe.items()}, **shapes}
    return deploy(written, known, _blob_shapes(dump), beside, rules)


def _blob_shapes(dump: Dump) -> BlobShapes:
    return {layer.name: [x.shape for x in layer.params] for layer in dump.layers if layer.params}


def _settled(shapes: Mapping[str, Shape | None]) -> dict[str, Shape]:
    return {name: shape or () for name, shape in shapes.items()}


def _generated(
    dump: Dump,
    net: Net,
    name: str,
    shapes: Mapping[str, Shape],
    plugins: Plugins,
    checked: Checked | None,
) -> Conversion:
    learned = _blob_shapes(dump)
    given = {**{name: array.shape for name, array in dump.probe.items()}, **shapes}
    inputs = _settled(input_shapes(net, given, plugins.rules, learned))
    if checked is not None and checked.net is net and checked.inputs == inputs:
        planned = checked.plan
    else:
        planned = plan(net, blobs(net, dump), inputs, plugins.rules)
    axes = axes_of(net, inputs, plugins.rules, learned)
    made = generate(planned, name, plugins.sources(net), axes)
    fused = {part: step.layer for step in planned.steps for part in step.fused}
    return Conversion(
        source=made.source,
        tensors={
            step.key(key): array
            for step in planned.steps
            for key, array in step.written.tensors.items()
        },
        origin={
            step.key(key): place for step in planned.steps for key, place in step.origin.items()
        },
        layers=made.modules,
        inputs=inputs,
        input_layers=planned.input_layers,
        statements=made.statements,
        fused=fused,
        left_out={
            **net.left_out,
            **{key: why for key, why in planned.absent.items() if key not in fused},
        },
        outputs=[
            {"blob": blob, "layer": step.layer, "type": step.kind}
            for blob, value in planned.outputs.items()
            for step in planned.steps
            if value in step.outputs
        ],
        net=_graph(net, planned.tops),
        tied=dict(planned.tied),
        batch=axes.batch,
        reading=net.reading,
        notes=[*net.notes, *dump.notes],
    )


def blobs(net: Net, dump: Dump) -> list[Sequence[np.ndarray]]:
    """The parameters of each layer of `net`. The dump may have Caffe's Split layers in between."""
    found: list[Sequence[np.ndarray]] = []
    at = 0
    for layer in net.layers:
        while at < len(dump.layers) and (dump.layers[at].name, dump.layers[at].type) != (
            layer.name,
            layer.type,
        ):
            at += 1
        if at == len(dump.layers):
            raise BadInput(
                f"the dump has no layer {layer.name!r} ({layer.type}) where its prototxt has one; "
                "dump the net again"
            )
        found.append(dump.layers[at].params)
        at += 1
    return found


def _from_zoo(dump: Dump, net: Net, model: Model) -> Conversion:
    import torch

    from decant.loader import zoo
    from decant.loader.source.mapping import map_parameters

    with torch.device("meta"):
        module = zoo.build(model.module, model.arguments)
    layers: dict[str, str | None] = module.caffe_layers()  # type: ignore[operator]
    mapped = map_parameters(dump, module, layers)
    inputs = _settled(input_shapes(net, {}))
    return Conversion(
        source=zoo.source(model.module, model.arguments),
        tensors=mapped.tensors,
        origin=mapped.origin,
        layers=layers,
        inputs=inputs,
        input_layers={
            layer.name: list(layer.tops) for layer in net.layers if layer.type == "Input"
        },
        left_out={**net.left_out, **mapped.left_out},
        outputs=_last(net, layers),
        net=_graph(net, outline(net, inputs).tops),
        reading=net.reading,
        notes=[*net.notes, *dump.notes],
    )


def _last(net: Net, layers: Mapping[str, str | None]) -> list[dict[str, str]]:
    """What a module of the zoo returns: the last layer that it has."""
    last = [layer for layer in net.layers if layers.get(layer.name)][-1]
    return [{"blob": last.tops[0], "layer": last.name, "type": last.type}]


def _graph(net: Net, tops: Mapping[str, Sequence[Shape | None]]) -> list[dict[str, object]]:
    """The layers for manifest.json: name, type, bottoms, tops and their shapes."""
    names = unique(layer.name for layer in net.layers)
    return [
        {
            "name": name,
            "type": layer.type,
            "bottoms": list(layer.bottoms),
            "tops": list(layer.tops),
            "shapes": [list(shape) if shape is not None else None for shape in tops[name]],
        }
        for name, layer in zip(names, net.layers, strict=True)
    ]
