"""What a net's source is written of: layers, and blocks of layers that became a class."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from decant.loader.layers.call import Argument
from decant.loader.layers.pretty import literal
from decant.loader.plan.steps import Step, Value
from decant.loader.source.constructor import free, full, is_depthwise


@dataclass(eq=False)
class BlockClass:
    """`units` are those of its first use, `attributes` what each is called inside ("" for none).

    `parameters`: name -> its value in each use; `filled`: (unit, slot) -> the parameter that stands
    there. `words`: what values are called inside. `uses`: paths in the net. `tied`: all have the same
    parameters.
    """

    name: str
    units: list[Unit]
    attributes: list[str]
    inputs: list[Value]
    outputs: list[Value]
    parameters: dict[str, tuple[str, ...]] = field(default_factory=dict)
    filled: dict[tuple[int, int], str] = field(default_factory=dict)
    words: dict[Value, str] = field(default_factory=dict)
    uses: list[str] = field(default_factory=list)
    tied: bool = False


@dataclass(eq=False)
class Block:
    """One use of a class: `units` are the net's own, `values` what its parameters are here.

    `same`: the block that has this one's module already, where Caffe shares all parameters.
    """

    attribute: str
    of: BlockClass
    values: list[str]
    units: list[Unit]
    inputs: list[Value]
    outputs: list[Value]
    same: Block | None = None

    @property
    def calls(self) -> tuple[str, ...]:
        """As a step's."""
        return (f"{{self}}({', '.join(f'{{{at}}}' for at in range(len(self.inputs)))})",)


Unit = Step | Block


def steps_of(units: Iterable[Unit]) -> Iterator[Step]:
    """The layers, in order."""
    for unit in units:
        if isinstance(unit, Block):
            yield from steps_of(unit.units)
        else:
            yield unit


def slots(unit: Unit) -> Sequence[Argument]:
    """(keyword or "", literal) of everything that could differ: arguments, and a Slice's points."""
    if isinstance(unit, Block):
        return [("", value) for value in unit.values]
    # where a Slice cuts: written in a statement, not in a constructor, and free all the same
    points = [("points", literal(unit.written.points))] if unit.written.points else []
    return [*full(unit.written.module), *points]


def free_slots(unit: Unit) -> list[int]:
    """Which of them may differ from block to block."""
    if isinstance(unit, Block):
        return list(range(len(unit.values)))
    call = unit.written.module
    return [*sorted(free(call)), *range(len(full(call)), len(slots(unit)))]


def free_values(unit: Unit) -> tuple[tuple[int, str], ...]:
    """(slot, literal) of what may differ."""
    own = free_slots(unit)
    written = slots(unit) if own else ()
    return tuple((at, written[at][1]) for at in own)


def token(unit: Unit) -> tuple[object, ...]:
    """What must be equal for two units to be alike: everything but what is free."""
    if isinstance(unit, Block):
        return (unit.of, len(unit.outputs))
    open_slots = set(free_slots(unit))
    return (
        unit.kind,
        len(unit.outputs),
        unit.written.calls("*"),
        unit.written.module.target if unit.written.module else "",
        tuple(
            (name, "*" if at in open_slots else text) for at, (name, text) in enumerate(slots(unit))
        ),
        tuple(unit.written.tensors),
    )


def constructor(unit: Unit, number: int, filled: Mapping[tuple[int, int], str]) -> str:
    """The module's constructor, parameters of the class around it in place of what is `filled`."""
    if isinstance(unit, Block):
        values = [filled.get((number, at), text) for at, text in enumerate(unit.values)]
        return f"{unit.of.name}({', '.join(values)})"
    if not any(place[0] == number for place in filled):
        return str(unit.written.module)
    call = unit.written.module
    assert call is not None
    texts = []
    for at, (name, text) in enumerate(full(call)):
        value = filled.get((number, at), text)
        # a stride of 1 is not written
        if (name, text) in call.arguments or value != text:
            texts.append(f"{name}={value}" if name else value)
    return f"{call.target}({', '.join(texts)})"


def statements(unit: Unit, number: int, filled: Mapping[tuple[int, int], str]) -> tuple[str, ...]:
    """The unit's calls, with the class's own points where a Slice cuts at `filled` ones."""
    if isinstance(unit, Block):
        return unit.calls
    word = filled.get((number, len(full(unit.written.module))))
    return unit.written.calls(f"self.{word}") if word else unit.calls


def joins(unit: Unit) -> bool:
    """It has several inputs, or is a depthwise convolution: no link of a plain chain."""
    if len(set(unit.inputs)) > 1:
        return True
    return isinstance(unit, Step) and is_depthwise(unit.written.module)
