"""A net's layers between the values that they read and make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from decant.loader.definition.graph import Layer, Net, outputs
from decant.loader.definition.naming import unique
from decant.loader.errors import UsageError
from decant.loader.layers import type_of
from decant.loader.layers.rule import Shape
from decant.loader.plan.steps import Value


@dataclass(eq=False)
class Wired:
    """A layer between its values; shapes come later."""

    index: int
    name: str
    layer: Layer
    inputs: list[Value]
    outputs: list[Value]


def wire(
    net: Net, shapes: Mapping[str, Shape]
) -> tuple[list[Wired], dict[str, Value], dict[str, Value]]:
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
        wired.append(Wired(index, name, layer, inputs, tops))
    ends = {name: current[name] for name in outputs(net) if current[name] is not made.get(name)}
    return wired, made, ends or dict(made)


def _value(layer: Layer, index: int, number: int, inputs: Sequence[Value]) -> Value:
    top = layer.tops[number]
    in_place = number < len(layer.bottoms) and layer.bottoms[number] == top
    view = type_of(layer).view and len(inputs) == 1 and len(layer.tops) == 1
    memory = inputs[number].memory if in_place or view else object()
    return Value(top, (), memory, index)
