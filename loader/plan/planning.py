"""A net and its weights as a plan: every layer written by its rule, or one refusal for all.

Everything that cannot be converted exactly is collected, and refused once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from decant.loader.definition.graph import Net
from decant.loader.errors import BadInput, Unsupported
from decant.loader.layers.rule import Rule, Shape
from decant.loader.plan.memory import kept_in_place, overwritten
from decant.loader.plan.rules import unsupported
from decant.loader.plan.steps import Plan
from decant.loader.plan.tying import tied
from decant.loader.plan.wiring import wire
from decant.loader.plan.writer import Writer


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
    wired, made, ends = wire(net, shapes)
    if all(value in made.values() for value in ends.values()):
        raise Unsupported(
            f"{net.file}: the net computes nothing; give the definition that was trained"
        )
    writer = Writer(net, blobs, plugins or {}, wired, set(ends.values()))
    steps = [step for item in wired for step in writer.step(item)]
    writer.wrong += overwritten(wired, ends) + kept_in_place(wired)
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
        tied=tied(net, wired, blobs, steps),
        input_layers={
            item.name: [value.blob for value in item.outputs]
            for item in wired
            if item.layer.type == "Input"
        },
        absent=writer.absent,
        tops={item.name: [value.shape for value in item.outputs] for item in wired},
    )
