"""How many of the definitions below a folder can be planned, and what keeps the others: no weights needed.

`python -m bench definitions FOLDER [--json]`. A training definition counts in its deploy form. A crash
of ours is a line of its own, and makes the command fail.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import signal
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from decant.loader.definition.graph import Net, read_net
from decant.loader.definition.naming import unique
from decant.loader.definition.reading import STOCK, Reading
from decant.loader.errors import DecantError, Unsupported, UsageError
from decant.loader.plan.batch import input_shapes
from decant.loader.plan.deploy import deploy
from decant.loader.plan.outline import outline
from decant.loader.plan.planning import plan
from decant.loader.source.codegen import generate

SUFFIXES = (".prototxt", ".protxt", ".pt", ".pbtxt", ".txt")
LAYER = re.compile(rb"(^|[\s}])layers?\s*:?\s*\{")
# Those who ask for a shape name the blob in quotes, last; this one is what most nets take.
ASKED = re.compile(r"'([^']*)'[^']*$")
STAGE = re.compile(r"""\bstage\s*:\s*["']([^"'\n]+)["']""")
PICTURE = (1, 3, 224, 224)
UNKNOWN_SHAPE = "an input's shape is nowhere in the definition"
SECONDS = 120
PLANNED, TOLD = "planned", "planned with --input, --stage or --phase"
REFUSED, BAD, CRASHED = "refused", "no whole net at TEST", "crash"


@dataclass(frozen=True)
class Outcome:
    """What became of one definition: one of the words above, and every reason, each once."""

    word: str
    reasons: tuple[str, ...] = ()


def definitions(folder: Path) -> dict[Path, bytes]:
    """Texts with layers in them, each content once; solvers have none."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name.endswith(SUFFIXES):
            data = path.read_bytes()
            if LAYER.search(re.sub(rb"#[^\n]*", b"", data)):
                found.setdefault(hashlib.sha256(data).hexdigest(), path)
    return {path: path.read_bytes() for path in found.values()}


def judge(path: Path) -> Outcome:
    """Read, plan and write one definition; whatever happens is an outcome."""
    try:
        with _limited(SECONDS):
            return _judge(path)
    except Exception as error:
        # ours, whatever it is: the place in the code tells one crash from another
        frames = traceback.extract_tb(error.__traceback__)
        last = next(x for x in reversed(frames) if "/loader/" in x.filename or x is frames[0])
        place = f"{Path(last.filename).name}:{last.lineno}"
        return Outcome(CRASHED, (f"{type(error).__name__} in {place}: {error}"[:200],))


def _judge(path: Path) -> Outcome:
    found = _read(path, STOCK)
    if found.word != BAD:
        return found
    # the first state that makes a net of it
    tried = (_read(path, reading) for reading in _readings(path))
    return next((Outcome(TOLD) for x in tried if x.word in (PLANNED, TOLD)), found)


def _readings(path: Path) -> Iterator[Reading]:
    """What a person is told to try: each stage that the text names, then the training phase."""
    for stage in dict.fromkeys(re.findall(STAGE, path.read_text(errors="replace"))):
        yield Reading(stages=(stage,))
    yield Reading(phase="TRAIN")


def _read(path: Path, reading: Reading) -> Outcome:
    shapes: dict[str, tuple[int, ...]] = {}
    try:
        net = read_net(path, reading)
        try:
            _write(net, shapes)
        except UsageError as error:
            shapes = _wanted(error)
            _write(net, shapes)
    except Unsupported as error:
        reasons = [reason(line.removeprefix(f"{path}: ")) for line in _lines(error)]
        # what a guessed shape does not fit says nothing of the definition
        known = [why for why in reasons if why.startswith(("type", "field"))] if shapes else reasons
        return Outcome(REFUSED, tuple(dict.fromkeys(known or [UNKNOWN_SHAPE])))
    except DecantError as error:
        reasons = [reason(line.removeprefix(f"{path}")) for line in _lines(error)]
        return Outcome(BAD, tuple(dict.fromkeys(reasons)))
    return Outcome(TOLD if shapes else PLANNED)


def _lines(error: DecantError) -> list[str]:
    return error.details or [error.message]


def _write(net: Net, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """The module's source, from blobs of the shapes that the definition asks for."""
    deployed = deploy(net, shapes, {})
    known = {name: shape or () for name, shape in input_shapes(deployed, shapes).items()}
    asked = outline(deployed, known).blobs
    names = unique(layer.name for layer in deployed.layers)
    blobs = [
        [np.broadcast_to(np.float32(1), shape) for shape in asked.get(name, ())] for name in names
    ]
    compile(generate(plan(deployed, blobs, known), "net").source, net.file, "exec")


def _wanted(error: UsageError) -> dict[str, tuple[int, ...]]:
    blobs = [match[1] for line in error.details if (match := ASKED.search(line))]
    if not blobs:
        raise error
    return dict.fromkeys(blobs, PICTURE)


def reason(line: str) -> str:
    """A refusal without names and numbers, so that equal ones can be counted."""
    if old := re.search(r"V[01] type '?(\w+)'? is unknown", line):
        return f"type {old[1]} (V0 or V1)"
    match = re.match(r"line \d+: layer .*? \((\w+)\): (.*)", line)
    if match is None:
        return _general(line)
    kind, said = match.groups()
    if python := re.match(r"the type is not supported \(module '.*?', layer '(.*?)'\)", said):
        return f"type Python ({python[1]})"
    if said.startswith("the type is not supported"):
        return f"type {kind}"
    if field := re.match(r"([\w.]+) is not supported$", said):
        return f"field {field[1]} of {kind}"
    return f"{kind}: {_general(said)}"


def _general(said: str) -> str:
    """Quoted names and numbers replaced, the place and the advice left out."""
    said = re.sub(r"^(:\d+)?:?\s*(line \d+: )?", "", said)
    # who makes a blob in another state is advice as well
    said = re.sub(r"'[^']*'", "'...'", said.split(": line ")[0])
    return re.sub(r"(?<!\w)-?\d+(\.\d+)?", "N", said).split("; ")[0][:110]


@contextmanager
def _limited(seconds: int) -> Iterator[None]:
    def late(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"takes longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def summary(outcomes: Mapping[Path, Outcome]) -> dict[str, object]:
    """Counts by word; of every reason: in how many definitions, and where it is the only one."""
    every = Counter(why for outcome in outcomes.values() for why in outcome.reasons)
    only = Counter(x.reasons[0] for x in outcomes.values() if len(x.reasons) == 1)
    words = Counter(outcome.word for outcome in outcomes.values())
    return {
        "definitions": len(outcomes),
        **{word: words[word] for word in (PLANNED, TOLD, REFUSED, BAD, CRASHED)},
        "reasons": {why: [count, only[why]] for why, count in sorted(every.items(), key=_most)},
    }


def _most(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def main(words: list[str]) -> int:
    """Print the table (or JSON), and each definition's outcome with --each; 1 where ours crashed."""
    parser = argparse.ArgumentParser(prog="python -m bench definitions", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", action="store_true", help="one JSON object instead")
    parser.add_argument("--each", action="store_true", help="one line for each definition as well")
    asked = parser.parse_args(words)
    outcomes = {path: judge(path) for path in definitions(asked.folder)}
    found = summary(outcomes)
    if asked.each:
        for path, outcome in outcomes.items():
            print("\t".join((str(path), outcome.word, *outcome.reasons)))
    print(json.dumps(found, indent=1) if asked.json else table(found))
    return 1 if found[CRASHED] else 0


def table(found: Mapping[str, Any]) -> str:
    """Counts, then one line for each reason."""
    lines = [f"{count:5}  {word}" for word, count in found.items() if word != "reasons"]
    lines += ["", "   in  only  reason"]
    lines += [f"{every:5} {only:5}  {why}" for why, (every, only) in found["reasons"].items()]
    return "\n".join(lines)
