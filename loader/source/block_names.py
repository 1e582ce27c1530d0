"""What blocks, their classes, and everything inside them are called. All of the rules are here.

- A block is called after what its layers' names have in common and no other block's have
  (`inception_3a`), else by a number.
- Its class: after the word in that name (`Inception`, `Fire`), else after what it is:
  `Branch` where the uses share parameters; `Depthwise`; and by what closes it,
  `PyramidPooling`, `Dense`, `Branches` (concatenated), `Hourglass`, `Residual` (added),
  `Maxout` (the larger one), `Gated` (multiplied). A second one of the same name is `Residual2`,
  as is one whose name Python or the file itself has already.
- Blocks that are one module: `branch`, with what marks each one's layers (`branch_p`).
- Inside: a layer is called by its own name without the block's, or as all uses of it are called
  alike, else by its type and a number.
- A value is called by its Caffe blob without the block's name; one that comes in is `x`.
- A parameter of the class: by the layer that it is the width of (`conv_1x1_out`), by its keyword
  (`stride`), `channels` for what comes in, `points` for where a Slice cuts.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from decant.loader.definition.naming import Names, identifier
from decant.loader.layers import layer_type
from decant.loader.plan.steps import Step, Value
from decant.loader.source.constructor import is_depthwise
from decant.loader.source.units import Block, BlockClass, Unit, slots

_WORDS = {"Convolution": "conv", "InnerProduct": "fc", "Pooling": "pool", "BatchNorm": "bn"}
_VALUES = {"Eltwise": "total", "Concat": "joined", "Slice": "part", "Scale": "scaled"}
# what layers are called in any net says nothing about a block
_COMMON = ("conv", "layer", "block", "stage", "relu")


Called = Callable[[Unit], str]
FreeValues = tuple[tuple[int, str], ...]


def caffe_name(unit: Unit) -> str:
    """The layer's name, of a BatchNorm and its Scale the first one's."""
    return unit.attribute if isinstance(unit, Block) else (unit.fused or (unit.layer,))[0]


def labels_of(names: Sequence[Sequence[str]], whole: bool = False) -> list[str]:
    """What is each instance's own in all of its names (`inception_3a`); [] where that is not a rule.

    `whole`: a word that is cut off at its end is left out (`stage2_L` of `stage2_L1`, `stage2_L2`).
    """
    labels = [_label(part) for part in names]
    if whole:
        labels = [_without_stump(label, part) for label, part in zip(labels, names, strict=True)]
    if "" in labels or len(set(labels)) != len(labels):
        return []
    templates = {
        tuple(name.replace(label, "", 1) for name in part)
        for label, part in zip(labels, names, strict=True)
    }
    return labels if len(templates) == 1 else []


def _label(names: Sequence[str]) -> str:
    """The longest part with a digit in it that all names have in common."""
    first = min(names, key=len)
    others = sorted(set(names) - {first}, key=len)
    for length in range(len(first), 0, -1):
        for start in range(len(first) - length + 1):
            part = first[start : start + length]
            if any(map(str.isdigit, part)) and all(part in name for name in others):
                return part.strip("/_-.")
    return ""


def _without_stump(label: str, names: Sequence[str]) -> str:
    stump = re.search(r"[/_.-][A-Za-z]+$", label)
    if stump and any(re.search(rf"{re.escape(label)}[0-9A-Za-z]", name) for name in names):
        return label[: stump.start()]
    return label


def numbered(label: str, number: int) -> str:
    """The block's name by its label, `block1` where that begins with a digit or is none."""
    return label if label[:1].isalpha() else f"block{label or number + 1}"


def attributes_of(part: Sequence[Unit], label: str, called: Called, whole: bool) -> list[str]:
    """Of each unit inside a class; "" for one without a module."""
    found, local = [], Names()
    for unit in part:
        if not unit.attribute:
            found.append("")
            continue
        rest = _without(called(unit), label, whole) if label else ""
        if not rest or not rest[0].isalpha():
            rest = f"{_word(unit)}_{rest}" if rest else _word(unit)
        found.append(local.new(identifier(rest)))
    return found


def _without(name: str, label: str, whole: bool) -> str:
    before, _, after = name.partition(label)
    # not two separators in a row, where the label stood between them
    if whole and before and after:
        before, after = before.rstrip("/_-."), "_" + after.lstrip("/_-.")
    return (before + after).strip("/_-.")


def shared_names_of(names: Sequence[Sequence[str]]) -> tuple[list[str], list[str]]:
    """Of branches that are one module: (what their layers are called alike, what each one's mark is).

    `conv1`, `ip1` and `a`, `b` of `conv1_a`, `ip1_a` and `conv1_b`, `ip1_b`. No mark is "".
    """
    columns = list(zip(*names, strict=True))
    stems = [_common(column) for column in columns]
    # `rpn` of `rpn_p5` and `rpn_p4`, if all are told apart by that
    whole = [_whole_words(stem, column) for stem, column in zip(stems, columns, strict=True)]
    stems = whole if len(set(whole)) == len(set(stems)) else stems
    marks = []
    for part in names:
        rests = {
            name.replace(stem, "", 1).strip("/_-.") for name, stem in zip(part, stems, strict=True)
        }
        marks.append(rests.pop() if len(rests) == 1 else "")
    return stems, marks if len(set(marks)) == len(marks) else [""] * len(marks)


def _common(names: Sequence[str]) -> str:
    """The beginning or else the end that the names share, "" where neither begins with a letter."""
    found = os.path.commonprefix(list(names)).strip("/_-.")
    if not found[:1].isalpha():
        found = os.path.commonprefix([name[::-1] for name in names])[::-1].strip("/_-.")
    return found if found[:1].isalpha() else ""


def _whole_words(stem: str, names: Sequence[str]) -> str:
    """The stem without the beginning of a word that goes on in one of the names."""
    cut = any(name.startswith(stem) and name[len(stem) :][:1].isalnum() for name in names)
    return re.sub(r"[/_.-]+[^/_.-]*$", "", stem) if cut else stem


def _word(unit: Unit) -> str:
    if isinstance(unit, Block):
        return unit.of.name.lower()
    return "bn" if unit.fused else _WORDS.get(unit.kind, unit.kind.lower())


def class_name(of: BlockClass, labels: Sequence[str]) -> str:
    """From the layers' own names, else from what the block is."""
    word = re.match(r"[A-Za-z]{3,}", labels[0] if labels else "")
    if word and word[0].lower() not in _COMMON:
        return word[0].capitalize()
    if len(of.outputs) > 1:
        return "Branches"
    joins = [unit for unit in of.units if len(unit.inputs) > 1]
    if joins and isinstance(joins[-1], Step):
        return _by_join(joins[-1], of)
    depthwise = any(
        isinstance(unit, Step) and is_depthwise(unit.written.module) for unit in of.units
    )
    return "Depthwise" if depthwise else "Block"


def _by_join(join: Step, of: BlockClass) -> str:
    kinds = [unit.kind for unit in of.units if isinstance(unit, Step)]
    larger = any(layer_type(kind).enlarges for kind in kinds)
    call = join.calls[0]
    if join.kind == "Concat":
        if kinds.count("Pooling") > 1 and larger:
            return "PyramidPooling"
        return "Dense" if len(join.inputs) == 2 and of.inputs[0] in join.inputs else "Branches"
    if join.kind == "Eltwise" and "torch.maximum" in call:
        return "Maxout"
    if join.kind in ("Eltwise", "Scale") and " + " not in call and " - " not in call:
        return "Gated"
    if join.kind in ("Eltwise", "Axpy"):
        return "Hourglass" if "Pooling" in kinds and larger else "Residual"
    return "Block"


def parameters_of(
    units: Sequence[Unit],
    attributes: Sequence[str],
    differing: Mapping[tuple[str, ...], Sequence[tuple[int, int]]],
) -> tuple[dict[str, tuple[str, ...]], dict[tuple[int, int], str]]:
    """Of what differs: (name -> values over the instances, where it stands -> name)."""
    names = Names(attributes)
    found: dict[str, tuple[str, ...]] = {}
    filled = {}
    for values, places in differing.items():
        number, at = places[0]
        word = names.new(_parameter(units[number], number, at, attributes[number]))
        found[word] = values
        filled.update(dict.fromkeys(places, word))
    return found, filled


def differences(
    instances: Sequence[Sequence[FreeValues]],
) -> dict[tuple[str, ...], list[tuple[int, int]]]:
    """The values over the instances, where they are not all the same -> (unit, slot) of each."""
    found: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    for number, column in enumerate(zip(*instances, strict=True)):
        if all(own == column[0] for own in column):
            continue
        for place, (at, _) in enumerate(column[0]):
            values = tuple(own[place][1] for own in column)
            if len(set(values)) > 1:
                found.setdefault(values, []).append((number, at))
    return found


def _parameter(unit: Unit, number: int, at: int, attribute: str) -> str:
    if isinstance(unit, Block):
        word = list(unit.of.parameters)[at]
        return word if word in ("channels", "stride", "points") else f"{attribute}_{word}"
    keyword = slots(unit)[at][0]
    if keyword:
        return keyword
    if at == 0:
        return "channels" if number == 0 else f"{attribute}_in"
    return f"{attribute}_out"


def number_classes(classes: Iterable[BlockClass], taken: set[str]) -> None:
    """Residual, Residual2, Residual3 ... in the order in which they are first used."""
    for of in classes:
        number, stem = 1, of.name
        while of.name in taken:
            number += 1
            of.name = f"{stem}{number}"
        taken.add(of.name)


def words_of(of: BlockClass, label: str) -> dict[Value, str]:
    """What the values of the class's first use are called inside."""
    if len(of.inputs) == 1:
        found = {of.inputs[0]: "x"}
    else:
        found = {
            value: _own(value.blob, label) or letter
            for value, letter in zip(of.inputs, "xyz", strict=False)
        }
    first: dict[str, str] = {}
    for unit, attribute in zip(of.units, of.attributes, strict=True):
        for number, value in enumerate(unit.outputs):
            own = _own(value.blob, label)
            word = attribute or own or _value(unit)
            if len(unit.outputs) > 1:
                word = own or f"{attribute or _value(unit)}_{number + 1}"
            # layers in place keep the name
            found[value] = first.setdefault(value.blob, word)
    return found


def _value(unit: Unit) -> str:
    return _word(unit) if isinstance(unit, Block) else _VALUES.get(unit.kind, unit.kind.lower())


def _own(blob: str, label: str) -> str:
    """The blob's name without the block's, whatever number stands in that; "" if it is not in it."""
    if not label:
        return ""
    pattern = re.sub(r"\d+", r"\\d+", re.escape(label))
    rest, count = re.subn(rf"[/_.-]?{pattern}", "", blob, count=1)
    rest = rest.strip("/_-.")
    return rest if count and rest[:1].isalpha() else ""
