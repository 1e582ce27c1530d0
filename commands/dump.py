"""`dump`: stage 1 alone. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from decant.commands.run import emit
from decant.stages.options import Options

if TYPE_CHECKING:
    from decant.stages.inputs import Source


def command(*, source: Source, out: Path, npz: bool, options: Options, as_json: bool) -> None:
    """Write the dump to `out`; `npz` (or the name's end) chooses the form."""
    from decant.stages.dump import dump

    if npz and out.suffix != ".npz":
        out = out.with_name(out.name + ".npz")
    result = dump(source, out, options)
    if as_json:
        emit(
            {
                "ok": True,
                "dump": str(out),
                "engine": result.engine,
                "layers": result.layers,
                "seconds": result.seconds,
                "peak_memory": result.peak_memory,
                "notes": result.notes,
            }
        )
    else:
        print(f"{result.layers} layers in {out}, by engine {result.engine}")
