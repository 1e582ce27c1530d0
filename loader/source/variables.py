"""Which variable of a forward holds which value, and when it is let go.

- `x` is whatever is being worked on: a value takes it where it is free, and hands it on to what is made
  of that value alone.
- While `x` is kept for later, a side chain works on `y`.
- What has to wait for others (a sum, an output) is called as Caffe calls its blob, never after a layer
  before it; layers in place keep the name.
- A value is let go when its last reader has run; a `y` that the next line fills again needs no `del`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from decant.loader.definition.naming import Names
from decant.loader.plan.steps import Value
from decant.loader.source.units import Block, Unit

MAIN, SIDE = "x", ("y", "z")


@dataclass(eq=False)
class Statement:
    """`expression` makes `made` from `used`; {0}, {1} ... stand for the unit's inputs."""

    unit: Unit
    expression: str
    used: list[Value]
    made: list[Value]


@dataclass
class Variables:
    """`names` of all values; `forgotten`: what is deleted behind each statement."""

    names: dict[Value, str] = field(default_factory=dict)
    forgotten: list[list[str]] = field(default_factory=list)


def assign(
    statements: Sequence[Statement],
    inputs: Sequence[Value],
    outputs: Iterable[Value],
    word: Callable[[Value], str],
    reserved: Iterable[str],
) -> Variables:
    """`word`: what a value is called that needs a name of its own; `reserved`: what none may have."""
    chooser = _Chooser(statements, inputs, set(outputs), word, reserved)
    for number in range(len(statements)):
        chooser.choose(number)
    return Variables(chooser.names, [chooser.gone(at) for at in range(len(statements))])


class _Chooser:
    def __init__(
        self,
        statements: Sequence[Statement],
        inputs: Sequence[Value],
        outputs: set[Value],
        word: Callable[[Value], str],
        reserved: Iterable[str],
    ) -> None:
        self.statements, self.inputs, self.outputs = statements, set(inputs), outputs
        self.word = word
        self.taken = Names(reserved)
        self.names: dict[Value, str] = {}
        for value in inputs:
            self.names[value] = self.taken.new(MAIN if len(inputs) == 1 else word(value))
        self.readers: dict[Value, list[int]] = {}
        self.made_at: dict[Value, int] = {}
        for number, statement in enumerate(statements):
            for value in statement.used:
                self.readers.setdefault(value, []).append(number)
            self.made_at.update(dict.fromkeys(statement.made, number))
        self.dead: list[list[str]] = []

    def choose(self, number: int) -> None:
        """Name what this statement makes; its operands end here where nobody reads them later."""
        statement = self.statements[number]
        dying = [value for value in statement.used if self._dies(value, number)]
        for value in dying:
            self.taken.free(self.names[value])
        if len(statement.made) == 1:
            self.names[statement.made[0]] = self._one(statement.made[0], statement, dying)
        elif not self._handed_on(number, dying):
            for value in statement.made:
                self.names[value] = self.taken.new(self.word(value))
        made = {self.names[value] for value in statement.made}
        dead = [self.names[value] for value in dying if self.names[value] not in made]
        # made for nobody
        unread = [v for v in statement.made if v not in self.readers and v not in self.outputs]
        for value in unread:
            self.taken.free(self.names[value])
        self.dead.append(list(dict.fromkeys([*dead, *(self.names[v] for v in unread)])))

    def gone(self, number: int) -> list[str]:
        """The names to delete; none behind the last statement, where all of them end."""
        if number == len(self.statements) - 1:
            return []
        filled = {self.names[value] for value in self.statements[number + 1].made} & set(SIDE)
        return [name for name in self.dead[number] if name not in filled]

    def _dies(self, value: Value, number: int) -> bool:
        return self.readers[value][-1] == number and value not in self.outputs

    def _one(self, value: Value, statement: Statement, dying: Sequence[Value]) -> str:
        """The variable of the only value that a statement makes."""
        source = dying[0] if len(statement.used) == 1 and dying else None
        before = self.names[source] if source else ""
        if before == MAIN or (before in SIDE and self._at_once(value)):
            return self.taken.take(before)
        if source and source.blob == value.blob and self._keeps_name(source):
            return self.taken.take(before)
        if not self.taken.has(MAIN):
            return self.taken.take(MAIN)
        return self._side() if self._begins_chain(value) else self.taken.new(self.word(value))

    def _keeps_name(self, source: Value) -> bool:
        """Whether a layer in place hands on the name of what it works on."""
        alone = len(self.readers[source]) == 1 and source not in self.inputs
        return alone and self.names[source] not in SIDE

    def _side(self) -> str:
        free = [name for name in SIDE if not self.taken.has(name)]
        return self.taken.take(free[0]) if free else self.taken.new(SIDE[0])

    def _begins_chain(self, value: Value) -> bool:
        """Whether it becomes another blob by and by, without waiting for anything."""
        following: Value | None = value
        while following is not None and following.blob == value.blob:
            if not self._at_once(following):
                return False
            following = self._link(following)
        return following is not None

    def _link(self, value: Value) -> Value | None:
        """What is made of this value alone, if nobody else reads it."""
        readers = self.readers.get(value, [])
        if len(readers) != 1 or value in self.outputs:
            return None
        reader = self.statements[readers[0]]
        return reader.made[0] if len(reader.used) == len(reader.made) == 1 else None

    def _at_once(self, value: Value) -> bool:
        """Whether the next statement is the last to read it."""
        readers = self.readers.get(value, [])
        return value not in self.outputs and readers[-1:] == [self.made_at[value] + 1]

    def _handed_on(self, number: int, dying: Sequence[Value]) -> bool:
        """A block's values are `x` and `y` where blocks of as many stand one behind the other."""
        statement = self.statements[number]
        if not isinstance(statement.unit, Block) or number + 1 == len(self.statements):
            return False
        following = self.statements[number + 1]
        chain = isinstance(following.unit, Block) and following.used == statement.made
        running = {self.names[value] for value in dying} >= {MAIN, SIDE[0]}
        free = [name for name in (MAIN, *SIDE) if not self.taken.has(name)]
        if not all(map(self._at_once, statement.made)) or len(free) < len(statement.made):
            return False
        if not (chain or running):
            return False
        for value, name in zip(statement.made, free, strict=False):
            self.names[value] = self.taken.take(name)
        return True
