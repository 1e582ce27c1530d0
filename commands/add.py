"""`add`: from two files, or their addresses, to an entry of the catalog."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from decant.commands.run import emit
from decant.stages.options import Options

if TYPE_CHECKING:
    from decant.stages.add import Described


def command(
    *, name: str, model: Described, input_shapes: list[str], options: Options, as_json: bool
) -> None:
    """Append the entry, and say what comes next; `input_shapes` as they were written."""
    from decant.stages.add import add

    added = add(name, model, options)
    command = _next(name, added.catalog, input_shapes)
    if as_json:
        found = {"ok": True, "model": name, "catalog": str(added.catalog), "entry": added.entry}
        emit({**found, "notes": added.notes, "next": command})
        return
    for note in added.notes:
        options.progress.note(note)
    print(f"{added.text}\nadded to {added.catalog}; next: {command}")


def _next(name: str, path: Path, input_shapes: list[str]) -> str:
    """`make convert`, where that reads this very catalog."""
    from decant.loader.catalog.models import DEFAULT
    from decant.loader.machine import next_step

    more = " ".join(f"--input {shlex.quote(word)}" for word in input_shapes)
    if path.resolve() == Path(os.environ.get("DECANT_CATALOG") or DEFAULT).resolve():
        made = f"make convert MODEL={name}" + (f" ARGS={shlex.quote(more)}" if more else "")
        return next_step(made, f"decant convert {name} {more}".rstrip())
    return f"decant convert {name} --catalog {shlex.quote(str(path))} {more}".rstrip()
