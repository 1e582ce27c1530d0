"""A plan as one readable file: model.py, which imports torch only.

`__init__` declares modules with literal arguments, `forward` reads top to bottom in the net's order,
one statement a layer, and a value is let go as soon as nobody needs it. Formatted here, to 100
columns, as the usual formatters would do it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from loader import ops
from loader.blocks import Block, BlockClass, fold
from loader.layers.rule import Shape
from loader.naming import Names
from loader.plan import Plan, Step, Value
from loader.pretty import comment, forget, literal, statement

Unit = Step | Block
# what a local variable must not hide
RESERVED = {"torch", "nn", "self", "OrderedDict", *ops.OPS}


@dataclass
class Generated:
    """model.py and what of it stands for which layer.

    `modules`: Caffe layer -> path of its module, None where it has none. `statements`: Caffe layer ->
    its statements in order, `LINE` of Model.forward or `path@LINE` of the forward of a block.
    """

    source: str
    modules: dict[str, str | None] = field(default_factory=dict)
    statements: dict[str, list[str]] = field(default_factory=dict)


class _File:
    """Lines of source, numbered as they are written."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, *lines: str) -> int:
        """The number of the first of these lines."""
        first = len(self.lines) + 1
        self.lines += [part for line in lines for part in line.split("\n")]
        return first

    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


def generate(plan: Plan, name: str, plugins: Mapping[str, str] | None = None) -> Generated:
    """`plugins`: source of the users' own classes, by name."""
    units = fold(plan)
    file = _File()
    classes = list(dict.fromkeys(unit.of for unit in units if isinstance(unit, Block)))
    several = len(plan.outputs) > 1
    file.add(*_head(plan, name, several))
    for text in (plugins or {}).values():
        file.add("", "", text)
    used = {op for step in plan.steps for op in step.written.ops}
    for text in ops.sources(used):
        file.add("", "", text)
    lines: dict[BlockClass, list[list[int]]] = {}
    for of in classes:
        file.add("", "")
        lines[of] = _block_class(file, of)
    file.add("", "")
    statements = _model(file, plan, units, name)
    found = Generated(file.text())
    for unit, own in zip(units, statements, strict=True):
        if isinstance(unit, Block):
            for step, numbers in zip(unit.steps, lines[unit.of], strict=True):
                found.statements[step.layer] = [f"{unit.attribute}@{line}" for line in numbers]
        else:
            found.statements[unit.layer] = [str(line) for line in own]
    for step in plan.steps:
        found.modules[step.layer] = step.attribute or None
        found.modules.update(dict.fromkeys(step.fused))
    found.modules.update(dict.fromkeys(plan.absent))
    return found


def _head(plan: Plan, name: str, several: bool) -> list[str]:
    title = f"{name}: a Caffe net" + (f" ({plan.name})" if plan.name not in ("", name) else "")
    title = title.replace("\\", "\\\\").replace('"', '\\"')
    title = "".join(letter if letter.isprintable() else "?" for letter in title)
    lines = [
        f'"""{title}, converted by Decant.',
        "",
        "model = Model().eval()",
        'model.load_state_dict(safetensors.torch.load_file("model.safetensors"))',
        '"""',
        "",
        "from __future__ import annotations",
        "",
    ]
    if several:
        lines += ["from collections import OrderedDict", ""]
    return [*lines, "import torch", "from torch import nn"]


def _model(file: _File, plan: Plan, units: Sequence[Unit], name: str) -> list[list[int]]:
    """Write class Model; the line of each unit's statements in forward."""
    inputs = ", ".join(shown(value.shape) for value in plan.inputs.values())
    outputs = ", ".join(shown(value.shape) for value in plan.outputs.values())
    file.add("class Model(nn.Module):")
    file.add(*comment(f"{inputs} -> {outputs}", "    ", docstring=True))
    file.add("", "    def __init__(self) -> None:", "        super().__init__()")
    for unit in units:
        if isinstance(unit, Block):
            text = f"{unit.of.name}({', '.join(unit.values)})"
            file.add(*statement(f"self.{unit.attribute}", text, 8))
        elif unit.attribute:
            file.add(*statement(f"self.{unit.attribute}", unit.written.module, 8))
    for key, owner in plan.tied:
        file.add(f"        self.{key} = self.{owner}")
    several = len(plan.outputs) > 1
    kind = "OrderedDict[str, torch.Tensor]" if several else "torch.Tensor"
    body = _Body(list(plan.inputs.values()), list(plan.outputs.values()))
    arguments = [f"{body.variables[value]}: torch.Tensor" for value in plan.inputs.values()]
    file.add("", *_signature(["self", *arguments], kind))
    numbers = body.write(file, units, comments=True)
    ends = [body.variables[value] for value in plan.outputs.values()]
    if several:
        pairs = [f"({literal(blob)}, {end})" for blob, end in zip(plan.outputs, ends, strict=True)]
        file.add(*statement("return", f"OrderedDict([{', '.join(pairs)}])", 8))
    elif not body.returned:
        file.add(f"        return {ends[0]}")
    return numbers


def _signature(arguments: Sequence[str], kind: str) -> list[str]:
    line = f"    def forward({', '.join(arguments)}) -> {kind}:"
    if len(line) <= 100:
        return [line]
    inner = f"        {', '.join(arguments)}"
    parts = [inner] if len(inner) <= 100 else [f"        {part}," for part in arguments]
    return ["    def forward(", *parts, f"    ) -> {kind}:"]


def _block_class(file: _File, of: BlockClass) -> list[list[int]]:
    """Write a block's class; the lines of each step's statements."""
    part = of.steps
    file.add(f"class {of.name}(nn.Module):")
    uses = of.uses if len(of.uses) < 9 else [*of.uses[:4], "...", *of.uses[-2:]]
    text = f"{len(of.uses)} times in this net: {', '.join(uses)}"
    file.add(*comment(text, "    ", docstring=True), "")
    arguments = ", ".join(["self", *(f"{word}: int" for word in of.parameters)])
    line = f"    def __init__({arguments}) -> None:"
    if len(line) > 100:
        inner = [f"        {word}," for word in arguments.split(", ")]
        joined = f"        {arguments}"
        inner = [joined] if len(joined) <= 100 else inner
        file.add("    def __init__(", *inner, "    ) -> None:")
    else:
        file.add(line)
    file.add("        super().__init__()")
    for attribute, module in zip(of.attributes, of.modules, strict=True):
        if attribute:
            file.add(*statement(f"self.{attribute}", module, 8))
    inside = {value for step in part for value in step.outputs}
    entry = next(value for step in part for value in step.inputs if value not in inside)
    body = _Body([entry], [part[-1].outputs[0]])
    file.add("", *_signature(["self", "x: torch.Tensor"], "torch.Tensor"))
    local = dict(zip(map(id, part), of.attributes, strict=True))
    numbers = body.write(file, list(part), comments=False, attributes=local)
    return numbers


class _Body:
    """The statements of a forward: which variable holds which value, and for how long."""

    def __init__(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> None:
        self.outputs = set(outputs)
        # two names of one value are two outputs
        self.single = len(outputs) == 1
        self.names = Names(RESERVED)
        self.variables: dict[Value, str] = {}
        for value in inputs:
            self.variables[value] = self.names.new("x" if len(inputs) == 1 else value.blob)
        self.inputs = set(inputs)
        self.readers: Counter[Value] = Counter()
        self.inside = self.returned = False
        self.shape: Shape = ()

    def write(
        self,
        file: _File,
        units: Sequence[Unit],
        comments: bool,
        attributes: Mapping[int, str] | None = None,
    ) -> list[list[int]]:
        """One statement for each call of each unit; their line numbers."""
        calls = [call for unit in units for call in self._calls(unit)]
        last: dict[Value, int] = {}
        self.inside = attributes is not None
        self.readers.update(value for _, _, used, _ in calls for value in used)
        for number, (_, _, used, made) in enumerate(calls):
            last.update((value, number) for value in [*used, *made])
        numbers: dict[int, list[int]] = {id(unit): [] for unit in units}
        # an input that nobody reads stays
        for number, (unit, call, used, made) in enumerate(calls):
            dying = [value for value in used if last[value] == number and value not in self.outputs]
            names = [self.variables[value] for value in unit.inputs]
            attribute = (attributes or {}).get(id(unit), getattr(unit, "attribute", ""))
            text = call.replace("{self}", f"self.{attribute}")
            for at, name in enumerate(names):
                text = text.replace(f"{{{at}}}", name)
            for value in dying:
                self.names.free(self.variables[value])
            freed = {self.variables[value] for value in dying}
            targets = self._targets(made, used, dying, attribute)
            note = self._note(made) if comments else ""
            last_one = number == len(calls) - 1 and self.single and self.outputs == set(made)
            self.returned = last_one
            target = "return" if last_one else ", ".join(targets)
            line = file.add(*statement(target, text, 8, note))
            numbers[id(unit)].append(line + (1 if file.lines[line - 1].lstrip()[:1] == "#" else 0))
            unused = [
                target
                for value, target in zip(made, targets, strict=True)
                if last[value] == number and value not in self.outputs
            ]
            gone = [name for name in _ordered(names, freed) if name not in targets] + unused
            if gone and not last_one:
                file.add(*forget(gone, 8))
                for name in unused:
                    self.names.free(name)
        return [numbers[id(unit)] for unit in units]

    def _calls(self, unit: Unit) -> list[tuple[Unit, str, list[Value], list[Value]]]:
        """(unit, expression, values read, values made) of each statement."""
        if isinstance(unit, Block):
            return [(unit, "{self}({0})", list(unit.inputs), list(unit.outputs))]
        calls = unit.calls
        found: list[tuple[Unit, str, list[Value], list[Value]]] = []
        for number, call in enumerate(calls):
            used = [v for at, v in enumerate(unit.inputs) if f"{{{at}}}" in call]
            made = list(unit.outputs) if len(calls) == 1 else [unit.outputs[number]]
            found.append((unit, call, list(dict.fromkeys(used)), made))
        return found

    def _targets(
        self,
        made: Sequence[Value],
        used: Sequence[Value],
        dying: Sequence[Value],
        attribute: str,
    ) -> list[str]:
        """A value that ends here gives its variable to the one that is made of it alone."""
        targets = []
        for value in made:
            free = [self.variables[old] for old in dying if self._passes_on(old)]
            if len(made) == 1 and len(used) == 1 and free:
                name = self.names.take(free[0])
            elif len(made) == 1 and not self.names.has("x"):
                name = self.names.take("x")
            else:
                name = self.names.new(attribute if self.inside and attribute else value.blob)
            self.variables[value] = name
            targets.append(name)
        return targets

    def _passes_on(self, value: Value) -> bool:
        """Its name says nothing, or it was on its way to one reader only."""
        alone = self.readers[value] == 1 and value not in self.inputs
        return self.variables[value] == "x" or alone

    def _note(self, made: Sequence[Value]) -> str:
        """The shape, where it changes."""
        if len(made) != 1 or made[0].shape == self.shape:
            return ""
        self.shape = made[0].shape
        return shown(self.shape)


def _ordered(names: Iterable[str], wanted: set[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name in wanted]


def shown(shape: Shape) -> str:
    """`N x 64 x 56 x 56`: any batch; other numbers of axes as they are."""
    if not shape:
        return "()"
    first = "N" if shape[0] == 1 and len(shape) in (2, 4) else str(shape[0])
    return " x ".join([first, *map(str, shape[1:])])
