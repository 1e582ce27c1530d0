"""What a file is that was given for a net's definition and is none, and what to give instead."""

from __future__ import annotations

import re
from pathlib import Path

from decant.loader.definition.prototxt import Message
from decant.loader.errors import BadInput
from decant.loader.weights.caffemodel import kind_of
from decant.loader.weights.era import looks_like

_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
# fields that a solver's settings have and a net has not (caffe.proto, SolverParameter)
_OF_SOLVER = ("base_lr", "lr_policy", "max_iter", "solver_mode", "snapshot_prefix", "test_iter")
_NETS = ("net", "train_net", "test_net")


def refuse_other_file(path: Path, data: bytes) -> None:
    """Raise BadInput for what is not a text, or a text of another kind, from `data`, all of the file."""
    if not data.strip():
        raise BadInput(
            f"{path}: the file is empty: no layers; give the net's definition (a prototxt)"
        )
    if _CONTROL.search(data):
        found = kind_of(path)
        what = f"not a text but {found}" if found else "not a text; is it the caffemodel?"
        raise BadInput(f"{path}: {what}; give the net's definition (a prototxt)")
    other = looks_like(data[:4096])
    if other not in ("", "a prototxt", "a text"):
        raise BadInput(f"{path}: not a prototxt but {other}; give the net's definition")


def refuse_exchanged(prototxt: Path, caffemodel: Path) -> None:
    """Raise BadInput where each of the two was given for the other."""
    if _is_text(caffemodel) and not _is_text(prototxt):
        raise BadInput(
            f"{prototxt} and {caffemodel} are exchanged: give --prototxt {caffemodel} --caffemodel "
            f"{prototxt}"
        )


def _is_text(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(4096)
    return looks_like(start) in ("", "a prototxt", "a text") and not _CONTROL.search(start)


def without_layers(source: Message) -> str:
    """What a definition without layers is, a solver's settings; "" where it does not say."""
    named = [name for field in _NETS for name in source.texts(field)]
    inside = [f"{field}_param" for field in _NETS if source.has(f"{field}_param")]
    if not (named or inside or any(map(source.has, _OF_SOLVER))):
        return ""
    if inside:
        return f"a solver's settings, with the net inside: give its {inside[0]} as a file"
    where = f" that it names, {named[0]}, or the deploy file" if named else ""
    return f"a solver's settings, not a net: give the definition{where}"
