"""Repeats in a net, folded: Inception, residual, dense, fire and depthwise blocks become one class.

A block is a run of steps with one value going in and one coming out, that stands in the net at least
twice and differs in channels and strides only. Plain chains (VGG's) are left as they are: what
repeats must join branches or hold a depthwise convolution.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

from loader.naming import Names, identifier
from loader.ops import OPS
from loader.plan import Plan, Step, Value

SHORTEST, LONGEST, MOST_PARAMETERS = 4, 96, 12
# lines of a class that are not a step's
OVERHEAD = 8
_WORDS = {"Convolution": "conv", "InnerProduct": "fc", "Pooling": "pool", "BatchNorm": "bn"}


@dataclass(frozen=True)
class Call:
    """A constructor's call: `nn.Conv2d`, and (keyword or "", literal) for each argument."""

    callee: str
    arguments: tuple[tuple[str, str], ...]


@dataclass(eq=False)
class BlockClass:
    """`attributes`: of each step ("" for none); `modules`: constructors, parameters filled in.

    `steps` are those of the first block; `uses` names all of them.
    """

    name: str
    parameters: list[str]
    attributes: list[str]
    modules: list[str]
    steps: list[Step]
    uses: list[str]


@dataclass(eq=False)
class Block:
    """One use of a class: `steps` are the net's own, `values` what its parameters are here."""

    attribute: str
    of: BlockClass
    values: list[str]
    steps: list[Step]
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)


@dataclass(frozen=True)
class _Run:
    start: int
    length: int


def fold(plan: Plan) -> list[Step | Block]:
    """The plan's steps with repeats replaced; the attributes of the steps inside become `block.x`."""
    steps = plan.steps
    taken = [False] * len(steps)
    blocks: dict[int, Block] = {}
    names = Names(step.attribute for step in steps)
    groups = _groups(plan)
    while True:
        best = _best(steps, groups, taken)
        if best is None:
            break
        runs, labels = best
        for block in _fold(steps, runs, labels, names):
            start = steps.index(block.steps[0])
            taken[start : start + len(block.steps)] = [True] * len(block.steps)
            blocks[start] = block
    found: list[Step | Block] = []
    index = 0
    while index < len(steps):
        unit = blocks.get(index, steps[index])
        found.append(unit)
        index += len(unit.steps) if isinstance(unit, Block) else 1
    _number(dict.fromkeys(blocks[start].of for start in sorted(blocks)), _classes(steps))
    renamed = _nest(blocks.values())
    plan.tied = [(renamed.get(a, a), renamed.get(b, b)) for a, b in plan.tied]
    return found


def _nest(blocks: Iterable[Block]) -> dict[str, str]:
    """Put the block's name before its steps' attributes; old key -> new key."""
    renamed: dict[str, str] = {}
    for block in blocks:
        for step, attribute in zip(block.steps, block.of.attributes, strict=True):
            if attribute:
                old = [step.key(name) for name in step.written.tensors]
                step.attribute = f"{block.attribute}.{attribute}"
                new = [step.key(name) for name in step.written.tensors]
                renamed.update(zip(old, new, strict=True))
    return renamed


def _groups(plan: Plan) -> dict[int, list[_Run]]:
    """Closed runs by a hash of their structure."""
    steps = plan.steps
    made = {value: at for at, step in enumerate(steps) for value in step.outputs}
    last = dict.fromkeys(made, -1)
    for at, step in enumerate(steps):
        last.update((value, at) for value in step.inputs if value in made)
    last.update((value, len(steps)) for value in plan.outputs.values() if value in made)
    tied = {key for pair in plan.tied for key in pair}
    tokens = [_token(step) for step in steps]
    foldable = [not any(step.key(name) in tied for name in step.written.tensors) for step in steps]
    groups: dict[int, list[_Run]] = {}
    for start in range(len(steps)):
        for length, digest in _closed(steps, start, made, last, tokens, foldable):
            groups.setdefault(digest, []).append(_Run(start, length))
    return {digest: runs for digest, runs in groups.items() if len(runs) > 1}


def _closed(
    steps: Sequence[Step],
    start: int,
    made: dict[Value, int],
    last: dict[Value, int],
    tokens: Sequence[tuple[object, ...]],
    foldable: Sequence[bool],
) -> Iterator[tuple[int, int]]:
    """(length, hash) of every run from `start` with one value in, one out, and a join in it.

    Not of two such runs, one behind the other.
    """
    entry: Value | None = None
    latest, digest, worth, whole, twice = -1, 0, False, False, False
    for at in range(start, min(start + LONGEST, len(steps))):
        step = steps[at]
        if not foldable[at]:
            return
        wiring: list[tuple[int, int]] = []
        for value in step.inputs:
            if made.get(value, -1) >= start:
                source = steps[made[value]].outputs
                wiring.append((at - made[value], source.index(value)))
                continue
            entry = entry or value
            if value is not entry:
                return
            wiring.append((0, 0))
        digest = hash((digest, tokens[at], tuple(wiring)))
        joins = len(set(step.inputs)) > 1 or _depthwise(step)
        # what reads the entry belongs to what came before: nothing was whole yet
        whole, twice = (False, False) if (0, 0) in wiring else (whole, twice or (whole and joins))
        worth = worth or joins
        alone = len(step.outputs) == 1 and last[step.outputs[0]] > at
        if alone and entry is not None and latest <= at and worth:
            whole = True
            if at - start + 1 >= SHORTEST and not twice:
                yield at - start + 1, digest
        latest = max([latest, *(last[value] for value in step.outputs)])


def _depthwise(step: Step) -> bool:
    call = parse_call(step.written.module)
    return call.callee == "nn.Conv2d" and dict(call.arguments).get("groups") == call.arguments[0][1]


def _token(step: Step) -> tuple[object, ...]:
    """What must be equal: everything but channels and strides."""
    call = parse_call(step.written.module)
    free = _free(call)
    return (
        step.kind,
        len(step.outputs),
        step.calls,
        call.callee,
        tuple((name, "*" if (at in free) else text) for at, (name, text) in enumerate(_full(call))),
        tuple(step.written.tensors),
    )


@cache
def parse_call(text: str) -> Call:
    """`nn.Conv2d(3, 64, 7, stride=2)` in its parts; Call("", ()) for nothing."""
    if not text:
        return Call("", ())
    node = ast.parse(text, mode="eval").body
    assert isinstance(node, ast.Call)
    positional = [("", ast.unparse(item)) for item in node.args]
    named = [(str(item.arg), ast.unparse(item.value)) for item in node.keywords]
    return Call(ast.unparse(node.func), (*positional, *named))


def _full(call: Call) -> tuple[tuple[str, str], ...]:
    """With the stride written out, so that blocks of stride 1 and 2 are alike."""
    if not re.fullmatch(r"nn\.Conv\dd", call.callee) or "stride" in dict(call.arguments):
        return call.arguments
    return (*call.arguments[:3], ("stride", "1"), *call.arguments[3:])


def _free(call: Call) -> set[int]:
    """Positions of `_full(call)` that may differ from block to block."""
    if re.fullmatch(r"nn\.(Conv\dd|ConvTranspose\dd|Linear)", call.callee):
        named = [at for at, (name, _) in enumerate(_full(call)) if name in ("stride", "groups")]
        return {0, 1, *named}
    if re.fullmatch(r"nn\.(BatchNorm\dd|PReLU)|CentredBatchNorm", call.callee):
        return {0} if call.arguments else set()
    return set()


def _best(
    steps: Sequence[Step], groups: dict[int, list[_Run]], taken: Sequence[bool]
) -> tuple[list[_Run], list[str]] | None:
    """The repeat that saves most lines; one whose layers' names agree counts twice."""
    best: tuple[float, list[_Run], list[str]] | None = None
    for digest in list(groups):
        runs = _apart(groups[digest], taken)
        if len(runs) < 2:
            del groups[digest]
            continue
        saved = (len(runs) - 1) * runs[0].length - len(runs) - OVERHEAD
        if saved <= 0 or (best and 2 * saved < best[0]):
            continue
        labels = _labels([_names(steps, run) for run in runs])
        score = saved * (2.0 if labels else 1.0)
        if (best is None or score > best[0]) and _few_parameters(steps, runs):
            best = (score, runs, labels)
    return best and (best[1], best[2])


def _apart(runs: Sequence[_Run], taken: Sequence[bool]) -> list[_Run]:
    """From left to right, those that do not overlap."""
    found: list[_Run] = []
    for run in runs:
        free = not found or run.start >= found[-1].start + found[-1].length
        if free and not any(taken[run.start : run.start + run.length]):
            found.append(run)
    return found


def _few_parameters(steps: Sequence[Step], runs: Sequence[_Run]) -> bool:
    return len(_parameters([_part(steps, run) for run in runs])) <= MOST_PARAMETERS


def _part(steps: Sequence[Step], run: _Run) -> Sequence[Step]:
    return steps[run.start : run.start + run.length]


def _names(steps: Sequence[Step], run: _Run) -> list[str]:
    return [(step.fused or (step.layer,))[0] for step in _part(steps, run)]


def _labels(instances: Sequence[Sequence[str]]) -> list[str]:
    """What is each instance's own in all of its names (`inception_3a`); [] where that is no rule."""
    labels = [_label(names) for names in instances]
    if "" in labels or len(set(labels)) != len(labels):
        return []
    templates = {
        tuple(name.replace(label, "", 1) for name in names)
        for label, names in zip(labels, instances, strict=True)
    }
    return labels if len(templates) == 1 else []


def _label(names: Sequence[str]) -> str:
    """The longest part with a digit in it that all names have in common."""
    first = min(names, key=len)
    for length in range(len(first), 0, -1):
        for start in range(len(first) - length + 1):
            part = first[start : start + length]
            if any(letter.isdigit() for letter in part) and all(part in name for name in names):
                return part.strip("/_-.")
    return ""


def _parameters(
    instances: Sequence[Sequence[Step]],
) -> dict[tuple[str, ...], list[tuple[int, int]]]:
    """What differs: the values over the instances -> where they stand (step, argument)."""
    found: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    for number, step in enumerate(instances[0]):
        for at in sorted(_free(parse_call(step.written.module))):
            values = tuple(
                _full(parse_call(part[number].written.module))[at][1] for part in instances
            )
            if len(set(values)) > 1:
                found.setdefault(values, []).append((number, at))
    return found


def _fold(
    steps: Sequence[Step],
    runs: Sequence[_Run],
    labels: Sequence[str],
    names: Names,
) -> list[Block]:
    instances = [_part(steps, run) for run in runs]
    attributes = _attributes(steps, runs[0], labels[0] if labels else "")
    parameters = _parameters(instances)
    words = _parameter_names(parameters, instances[0], attributes)
    template = BlockClass(
        _class_name(instances[0], labels),
        words,
        attributes,
        _modules(instances[0], parameters, words),
        list(instances[0]),
        [],
    )
    blocks = []
    for number, part in enumerate(instances):
        label = labels[number] if labels else ""
        stem = label if label[:1].isalpha() else f"block{label or number + 1}"
        for step in part:
            names.free(step.attribute)
        template.uses.append(names.new(stem))
        blocks.append(
            Block(
                template.uses[-1],
                template,
                [values[number] for values in parameters],
                list(part),
                [_entry(part)],
                [part[-1].outputs[0]],
            )  # fmt: skip
        )
    return blocks


def _classes(steps: Sequence[Step]) -> set[str]:
    """Names that stand in the file already: ops, and plugins' classes."""
    callees = {parse_call(step.written.module).callee for step in steps}
    return {"Model", "OrderedDict", *OPS, *callees}


def _number(classes: Iterable[BlockClass], taken: set[str]) -> None:
    """Residual, Residual2, Residual3 ... in the order in which they are first used."""
    for of in classes:
        number, stem = 1, of.name
        while of.name in taken:
            number += 1
            of.name = f"{stem}{number}"
        taken.add(of.name)


def _entry(part: Sequence[Step]) -> Value:
    inside = {value for step in part for value in step.outputs}
    return next(value for step in part for value in step.inputs if value not in inside)


def _attributes(steps: Sequence[Step], run: _Run, label: str) -> list[str]:
    """Inside a class: the names without the instance's part, or type and number."""
    found, local = [], Names()
    for step, name in zip(_part(steps, run), _names(steps, run), strict=True):
        if not step.attribute:
            found.append("")
            continue
        word = _WORDS.get(step.kind, step.kind.lower())
        if step.fused:
            word = "bn"
        rest = name.replace(label, "", 1).strip("/_-.") if label else ""
        if not rest or not rest[0].isalpha():
            rest = f"{word}_{rest}" if rest else word
        found.append(local.new(identifier(rest)))
    return found


def _class_name(part: Sequence[Step], labels: Sequence[str]) -> str:
    """From the layers' own names, else from what closes the block."""
    word = re.match(r"[A-Za-z]{3,}", labels[0] if labels else "")
    if word and word[0].lower() not in ("conv", "layer", "block", "stage", "relu"):
        return word[0].capitalize()
    joins = [step for step in part if len(step.inputs) > 1]
    if joins and joins[-1].kind == "Eltwise":
        return "Residual"
    if joins and joins[-1].kind == "Concat":
        return "Dense" if _entry(part) in joins[-1].inputs else "Branches"
    return "Depthwise" if any(map(_depthwise, part)) else "Block"


def _parameter_names(
    parameters: dict[tuple[str, ...], list[tuple[int, int]]],
    part: Sequence[Step],
    attributes: Sequence[str],
) -> list[str]:
    names = Names(attributes)
    found = []
    for places in parameters.values():
        number, at = places[0]
        keyword = _full(parse_call(part[number].written.module))[at][0]
        if keyword:
            found.append(names.new(keyword))
        elif at == 0:
            found.append(names.new("channels" if number == 0 else f"{attributes[number]}_in"))
        else:
            found.append(names.new(f"{attributes[number]}_out"))
    return found


def _modules(
    part: Sequence[Step],
    parameters: dict[tuple[str, ...], list[tuple[int, int]]],
    words: Sequence[str],
) -> list[str]:
    """The constructors with names in place of what differs."""
    filled = {
        place: word
        for places, word in zip(parameters.values(), words, strict=True)
        for place in places
    }
    found = []
    for number, step in enumerate(part):
        call = parse_call(step.written.module)
        texts = []
        for at, (name, text) in enumerate(_full(call)):
            value = filled.get((number, at), text)
            if (name, text) not in call.arguments and value == text:
                continue
            texts.append(f"{name}={value}" if name else value)
        found.append(f"{call.callee}({', '.join(texts)})" if call.callee else "")
    return found
