"""Which layers a net has: Caffe's FilterNet (net.cpp:269-352), and what takes one that it left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from decant.loader.definition.prototxt import Message
from decant.loader.definition.reading import STOCK, Reading
from decant.loader.errors import BadInput, UsageError

# of Caffe's enum Phase
NUMBERS = {"TRAIN": "0", "TEST": "1"}
RULES = ("include", "exclude")


def included(layer: Message, file: str, state: Reading = STOCK) -> bool:
    """Whether the layer's rules keep it at `state`'s phase and level, in its stages."""
    include, exclude = layer.messages("include"), layer.messages("exclude")
    if include and exclude:
        raise BadInput(
            f"{file}:{layer.line}: layer {layer.text('name')!r} has include and exclude rules; "
            "Caffe allows one kind"
        )
    if exclude:
        return not any(_met(rule, file, state) for rule in exclude)
    return not include or any(_met(rule, file, state) for rule in include)


def _met(rule: Message, file: str, state: Reading) -> bool:
    """All parts of a rule hold (StateMeetsRule)."""
    try:
        phase = _phase(rule, state.phase)
        lowest = rule.integer("min_level", state.level)
        highest = rule.integer("max_level", state.level)
    except KeyError as error:
        message = f"phase {error.args[0]!r} is neither TRAIN nor TEST"
        raise BadInput(f"{file}:{rule.line}: {message}") from None
    except ValueError as error:
        raise BadInput(f"{file}:{rule.line}: a level: {error}") from None
    return (
        phase == state.phase
        and lowest <= state.level <= highest
        and set(state.stages).issuperset(rule.texts("stage"))
        and set(state.stages).isdisjoint(rule.texts("not_stage"))
    )


def _phase(rule: Message, default: str) -> str:
    """By name or number; KeyError for neither."""
    word = rule.text("phase", default)
    return {**{name: name for name in NUMBERS}, **{at: name for name, at in NUMBERS.items()}}[word]


def refuse_unknown_stages(reading: Reading, layers: Sequence[Message], file: str) -> None:
    """Raise UsageError for a stage that no layer's rule names: it is misspelt, or of another net."""
    named = {
        stage
        for layer in layers
        for kind in RULES
        for rule in layer.messages(kind)
        for stage in (*rule.texts("stage"), *rule.texts("not_stage"))
    }
    unknown = [stage for stage in reading.stages if stage not in named]
    if unknown:
        there = ", ".join(sorted(named)) or "none"
        raise UsageError(f"--stage {unknown[0]}: no layer of {file} names it; its stages: {there}")


def who_makes(blob: str, left_out: Sequence[Message], file: str, state: Reading) -> list[str]:
    """`line 3 makes it for TRAIN only (--phase train)` for each layer left out that makes `blob`."""
    found = []
    for layer in left_out:
        other = _taking(layer, file, state) if blob in layer.texts("top") else None
        if other is not None:
            words = options(state, other)
            only = (
                f"for {other.phase} only" if len(words) == 1 and other.phase != state.phase else ""
            )
            where = only or "in another state"
            found.append(f"line {layer.line} makes it {where} ({' '.join(words)} takes it)")
    return list(dict.fromkeys(found))


def _taking(layer: Message, file: str, state: Reading) -> Reading | None:
    """The nearest state in which the layer is there; None where no option leads to one."""
    tried = [other for other in _others(layer, state) if included(layer, file, other)]
    return min(tried, key=lambda other: len(options(state, other)), default=None)


def _others(layer: Message, state: Reading) -> Iterator[Reading]:
    """What each rule asks for, with the state's own phase and with the other."""
    rules = [rule for kind in RULES for rule in layer.messages(kind)]
    for rule in [*rules, Message()]:
        stages = tuple(dict.fromkeys([*state.stages, *rule.texts("stage")]))
        level = max(state.level, rule.integer("min_level", state.level))
        level = min(level, rule.integer("max_level", level))
        for phase in (state.phase, *NUMBERS):
            yield replace(state, phase=phase, stages=stages, level=level)
            yield replace(state, phase=phase)


def options(state: Reading, other: Reading) -> list[str]:
    """The words of the command line that lead from one to the other."""
    words = [f"--phase {other.phase.lower()}"] if other.phase != state.phase else []
    words += [f"--stage {stage}" for stage in other.stages if stage not in state.stages]
    return [*words, *([f"--level {other.level}"] if other.level != state.level else [])]


def without_rules(layer: Message) -> Message:
    """The layer as it stands in a net whose layers are chosen already."""
    if not any(layer.has(kind) for kind in RULES):
        return layer
    return Message([item for item in layer.fields if item.name not in RULES], layer.line)
