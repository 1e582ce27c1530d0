"""A plan as one readable file: model.py, which imports torch only.

`__init__` declares modules with literal arguments, `forward` reads top to bottom in the net's order,
one statement a layer, and a value is let go as soon as nobody needs it. Formatted here, to 100
columns, as the usual formatters would do it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from decant.loader import ops
from decant.loader.layers.pretty import FIRM, comment, forget, literal, statement
from decant.loader.plan.steps import Plan, Value
from decant.loader.source.axes import Axes, Words
from decant.loader.source.blocks import classes_of, fold
from decant.loader.source.units import Block, BlockClass, Unit, constructor, statements, steps_of
from decant.loader.source.variables import Statement, Variables, assign

# what a local variable must not hide
RESERVED = {"torch", "nn", "self", "OrderedDict", *ops.OPS}
# what the letters in a shape stand for, besides N
LETTERS = {"T": "T: time steps", "K": "K: depends on the data"}


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


def generate(
    plan: Plan,
    name: str,
    plugins: Mapping[str, str] | None = None,
    axes: Axes | None = None,
) -> Generated:
    """`plugins`: source of the users' own classes, by name. `axes`: what the axes are called."""
    units = fold(plan)
    file = _File()
    texts = ops.sources({op for step in plan.steps for op in step.written.ops})
    imports = ops.imports(texts)
    if len(plan.outputs) > 1:
        imports.setdefault("collections", set()).add("OrderedDict")
    file.add(*_head(plan, name, imports))
    for text in [*(plugins or {}).values(), *texts]:
        file.add("", "", text)
    lines: dict[BlockClass, list[list[int]]] = {}
    for of in classes_of(units):
        file.add("", "")
        lines[of] = _block_class(file, of)
    file.add("", "")
    shapes = _Shapes(plan, axes or Axes())
    numbers = _model(file, plan, units, shapes)
    found = Generated(file.text())
    for unit, own in zip(units, numbers, strict=True):
        if isinstance(unit, Block):
            places = _places(unit.of, unit.attribute, lines)
            steps = steps_of([unit])
            found.statements.update(zip((x.layer for x in steps), places, strict=True))
        else:
            found.statements[unit.layer] = [str(line) for line in own]
    for step in plan.steps:
        found.modules[step.layer] = step.attribute or None
        found.modules.update(dict.fromkeys(step.fused))
    found.modules.update(dict.fromkeys(plan.absent))
    return found


def _places(
    of: BlockClass, path: str, lines: Mapping[BlockClass, list[list[int]]]
) -> Iterable[list[str]]:
    """`path@LINE` of each layer's statements, in a block of this class that stands at `path`."""
    for unit, attribute, numbers in zip(of.units, of.attributes, lines[of], strict=True):
        if isinstance(unit, Block):
            yield from _places(unit.of, f"{path}.{attribute}", lines)
        else:
            yield [f"{path}@{line}" for line in numbers]


def _head(plan: Plan, name: str, imports: Mapping[str, set[str]]) -> list[str]:
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
    lines += [f"import {module}" for module in sorted(imports) if not imports[module]]
    for module in sorted(module for module in imports if imports[module]):
        lines.append(f"from {module} import {', '.join(sorted(imports[module]))}")
    return [*lines, *([""] if imports else []), "import torch", "from torch import nn"]


class _Shapes:
    """Values' shapes as words: `N x 64 x 56 x 56`."""

    def __init__(self, plan: Plan, axes: Axes) -> None:
        self.words: dict[Value, Words] = {
            value: axes.inputs[blob] for blob, value in plan.inputs.items() if blob in axes.inputs
        }
        for step in plan.steps:
            tops = axes.tops.get(step.layer, [])
            self.words.update(zip(step.outputs, tops, strict=False))

    def __getitem__(self, value: Value) -> str:
        words = self.words.get(value) or tuple(map(str, value.shape))
        return " x ".join(words) or "()"

    def of_net(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> str:
        """`N x 3 x 224 x 224 -> N x 1000`, and what other letters stand for; no shape is broken."""
        ends = [
            ", ".join(self[value].replace(" ", FIRM) for value in ends)
            for ends in (inputs, outputs)
        ]
        text = f"{ends[0] or 'no input'} -> {ends[1]}"
        used = {letter for word in re.findall(r"[A-Z]+", text) for letter in word}
        return "; ".join([text, *(LETTERS[letter] for letter in LETTERS if letter in used)])


def _model(file: _File, plan: Plan, units: Sequence[Unit], shapes: _Shapes) -> list[list[int]]:
    """Write class Model; the line of each unit's statements in forward."""
    inputs, outputs = list(plan.inputs.values()), list(plan.outputs.values())
    file.add("class Model(nn.Module):")
    file.add(*comment(shapes.of_net(inputs, outputs), "    ", docstring=True))
    file.add("", "    def __init__(self) -> None:", "        super().__init__()")
    _modules(file, plan, units)
    made = _statements(units, {})
    names = assign(made, inputs, outputs, lambda value: value.blob, RESERVED)
    arguments = [f"{names.names[value]}: torch.Tensor" for value in inputs]
    kind = "OrderedDict[str, torch.Tensor]" if len(outputs) > 1 else "torch.Tensor"
    file.add("", *_signature("forward", ["self", *arguments], kind))
    body = _Body(file, names, shapes)
    returned = body.write(made, units, [unit.attribute for unit in units], outputs)
    words = [names.names[value] for value in outputs]
    if len(outputs) > 1:
        pairs = [f"({literal(blob)}, {end})" for blob, end in zip(plan.outputs, words, strict=True)]
        file.add(*statement("return", f"OrderedDict([{', '.join(pairs)}])", 8))
    elif not returned:
        file.add(f"        return {words[0]}")
    return body.numbers


def _modules(file: _File, plan: Plan, units: Sequence[Unit]) -> None:
    """Write the statements of Model.__init__."""
    for unit in units:
        if isinstance(unit, Block) and unit.same:
            file.add(*statement(f"self.{unit.attribute}", f"self.{unit.same.attribute}", 8))
        elif unit.attribute:
            file.add(*statement(f"self.{unit.attribute}", constructor(unit, 0, {}), 8))
    for key, owner in _tied_alone(plan, units):
        file.add(*statement(f"self.{key}", f"self.{owner}", 8))


def _tied_alone(plan: Plan, units: Iterable[Unit]) -> list[tuple[str, str]]:
    """(key, owner's key) of shared parameters that are not those of one module under two names."""
    same = {
        step.key(name)
        for unit in units
        if isinstance(unit, Block) and unit.same
        for step in steps_of([unit])
        for name in step.written.tensors
    }
    return [(key, owner) for key, owner in plan.tied if key not in same]


def _signature(name: str, arguments: Sequence[str], kind: str) -> list[str]:
    line = f"    def {name}({', '.join(arguments)}) -> {kind}:"
    if len(line) <= 100:
        return [line]
    inner = f"        {', '.join(arguments)}"
    parts = [inner] if len(inner) <= 100 else [f"        {part}," for part in arguments]
    return [f"    def {name}(", *parts, f"    ) -> {kind}:"]


def _block_class(file: _File, of: BlockClass) -> list[list[int]]:
    """Write a block's class; the lines of each unit's statements."""
    file.add(f"class {of.name}(nn.Module):")
    uses = of.uses if len(of.uses) < 9 else [*of.uses[:4], "...", *of.uses[-2:]]
    same = ", with the same parameters" if of.tied else ""
    text = f"{len(of.uses)} times in this net{same}: {', '.join(uses)}"
    file.add(*comment(text, "    ", docstring=True), "")
    arguments = [f"{word}: {_type(values)}" for word, values in of.parameters.items()]
    file.add(*_signature("__init__", ["self", *arguments], "None"))
    file.add("        super().__init__()")
    for number, (unit, attribute) in enumerate(zip(of.units, of.attributes, strict=True)):
        if attribute:
            text = constructor(unit, number, of.filled)
            file.add(*statement(f"self.{attribute}", text, 8))
    made = _statements(of.units, of.filled)
    file.add(*(f"        self.{word} = {word}" for word in _kept(of, made)))
    names = assign(made, of.inputs, of.outputs, of.words.__getitem__, RESERVED)
    arguments = [f"{names.names[value]}: torch.Tensor" for value in of.inputs]
    outputs = ", ".join(["torch.Tensor"] * len(of.outputs))
    kind = f"tuple[{outputs}]" if len(of.outputs) > 1 else outputs
    file.add("", *_signature("forward", ["self", *arguments], kind))
    body = _Body(file, names, None)
    if not body.write(made, of.units, of.attributes, of.outputs):
        file.add(f"        return {', '.join(names.names[value] for value in of.outputs)}")
    return body.numbers


def _type(values: Iterable[str]) -> str:
    """Of a parameter: `int`, or with a tuple for each axis."""
    counts = {text.count(",") + 1 for text in values if text.startswith("(")}
    kinds = ["tuple[int, ...]"] if counts else []
    return " | ".join([*(["int"] if any(text[0] != "(" for text in values) else []), *kinds])


def _kept(of: BlockClass, made: Sequence[Statement]) -> list[str]:
    """Parameters that forward reads: where Slices cut."""
    return [word for word in of.parameters if any(f"self.{word}," in x.expression for x in made)]


def _statements(units: Iterable[Unit], filled: Mapping[tuple[int, int], str]) -> list[Statement]:
    """One for each call of each unit."""
    found = []
    for number, unit in enumerate(units):
        calls = statements(unit, number, filled)
        for at, call in enumerate(calls):
            used = [value for place, value in enumerate(unit.inputs) if f"{{{place}}}" in call]
            made = list(unit.outputs) if len(calls) == 1 else [unit.outputs[at]]
            found.append(Statement(unit, call, list(dict.fromkeys(used)), made))
    return found


class _Body:
    """Writes the statements of a forward. `numbers`: the lines of each unit's own."""

    def __init__(self, file: _File, variables: Variables, shapes: _Shapes | None) -> None:
        self.file, self.variables, self.shapes = file, variables, shapes
        self.shape = ""
        self.numbers: list[list[int]] = []

    def write(
        self,
        made: Sequence[Statement],
        units: Sequence[Unit],
        attributes: Sequence[str],
        outputs: Sequence[Value],
    ) -> bool:
        """Whether the last of them is the return statement."""
        names = self.variables.names
        paths = dict(zip(map(id, units), attributes, strict=True))
        lines: dict[int, list[int]] = {id(unit): [] for unit in units}
        returned = False
        for at, item in enumerate(made):
            text = item.expression.replace("{self}", f"self.{paths[id(item.unit)]}")
            for place, value in enumerate(item.unit.inputs):
                text = text.replace(f"{{{place}}}", names[value])
            # two names of one value are two outputs
            returned = at == len(made) - 1 and len(outputs) == 1 and list(outputs) == item.made
            targets = ", ".join(names[value] for value in item.made)
            written = statement("return" if returned else targets, text, 8, self._note(item))
            line = self.file.add(*written)
            lines[id(item.unit)].append(line + (1 if written[0].lstrip()[:1] == "#" else 0))
            if self.variables.forgotten[at]:
                self.file.add(*forget(self.variables.forgotten[at], 8))
        self.numbers = [lines[id(unit)] for unit in units]
        return returned

    def _note(self, item: Statement) -> str:
        """The shape, where it changes; of all that a block makes."""
        if self.shapes is None or (len(item.made) != 1 and not isinstance(item.unit, Block)):
            return ""
        shape = ", ".join(self.shapes[value] for value in item.made)
        if shape == self.shape:
            return ""
        self.shape = shape
        return shape
