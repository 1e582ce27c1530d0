"""A net as steps in order: what each layer computes, from which values, written by its rule.

Caffe's blobs are overwritten by in-place layers; here every top is a value of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from decant.loader.layers.rule import Shape, Written


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
