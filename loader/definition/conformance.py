"""Texts that no Caffe can read: refused here with their lines, before anything is made of them.

loader/definition/schema.py says what protobuf's parser takes. Of a field that the schema lacks, nobody
can know whether it is a fork's or misspelt: where its letters are those of Caffe's own, or nearly, it
is taken for misspelt.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator

from decant.loader.definition.forks import added
from decant.loader.definition.prototxt import Message
from decant.loader.definition.schema import FIELDS, MESSAGES, TYPES, Fault, faults
from decant.loader.errors import BadInput

# less is another word: `pad_left` is not `pad_h`
_ALIKE = 0.82


def refuse_broken(source: Message, file: str) -> None:
    """Raise BadInput naming every line of the whole text that stock Caffe and its forks refuse."""
    _refuse([fault for fault in faults(source, "Net") if not fault.fork], file)


def refuse_misspelt(source: Message, included: Callable[[Message], bool], file: str) -> None:
    """Raise BadInput naming every misspelt field of the layers that are `included`, and beside them."""
    beside = [item for item in source.fields if item.name not in ("layer", "layers")]
    found = list(_misspelt(Message(beside), "Net", "", close=True))
    for field, kind in (("layer", "Layer"), ("layers", "V1Layer")):
        for layer in filter(included, source.messages(field)):
            name = layer.text("name") or layer.message("layer").text("name")
            own = kind == "V1Layer" or layer.text("type") in TYPES
            found += _misspelt(layer, kind, f"layer {name!r}: ", close=own)
    _refuse(found, file)


def _refuse(found: list[Fault], file: str) -> None:
    if found:
        first, *_ = found = sorted(found, key=lambda fault: fault.line)
        raise BadInput(
            f"{file}:{first.line}: {first.text}; Caffe's parser refuses the text", map(str, found)
        )


def _misspelt(message: Message, kind: str, place: str, close: bool) -> Iterator[Fault]:
    """`close`: also names that only resemble one of Caffe's."""
    for item in message.fields:
        of = FIELDS[kind].get(item.name)
        if of is None:
            meant = _meant(item.name, kind, close)
            if meant:
                yield Fault(item.line, f"{place}field {item.name}: is it {meant}?")
        elif of.kind in MESSAGES and isinstance(item.value, Message):
            yield from _misspelt(item.value, of.kind, place, close)


def _meant(name: str, kind: str, close: bool) -> str:
    """The field of a stock message that was meant, "" if none comes to mind."""
    if name in added(kind):
        return ""
    letters = _letters(name)
    for known in FIELDS[kind]:
        if _letters(known) == letters:
            return known
    # forks put fields of today's into V1's layers before Caffe had a new layout
    if not close or (kind == "V1Layer" and name in FIELDS["Layer"]):
        return ""
    alike = difflib.get_close_matches(name, FIELDS[kind], 1, _ALIKE)
    return alike[0] if alike and not _one_of_a_row(name, alike[0]) else ""


def _letters(name: str) -> str:
    return name.lower().replace("_", "")


def _one_of_a_row(name: str, known: str) -> bool:
    """pad_d beside pad_h, stride_3d beside stride: a name of its own, not a misspelt one."""
    stem, _, end = name.rpartition("_")
    return 0 < len(end) <= 2 and stem in (known, known.rpartition("_")[0])
