"""`dump`: stage 1 alone. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from decant.commands import inputs as resolve_inputs
from decant.commands import stage_one
from decant.commands.run import emit
from decant.loader.definition.reading import NOTHING_ASKED, Asked
from decant.loader.errors import UsageError
from decant.loader.progress import for_terminal


def dump(
    *,
    model: str | None,
    prototxt: Path | None,
    caffemodel: Path | None,
    out: Path,
    npz: bool,
    engine: str,
    probe: Path | None,
    input_shapes: list[str],
    asked: Asked = NOTHING_ASKED,
    ignore: list[str],
    parity: bool,
    catalog: Path | None,
    as_json: bool,
) -> None:
    """Write the dump to `out`; `npz` (or the name's end) chooses the form."""
    progress = for_terminal()
    if npz and out.suffix != ".npz":
        out = out.with_name(out.name + ".npz")
    if out.is_dir() or not out.parent.is_dir():
        raise UsageError(f"--out {out}: name a file in a folder that exists")
    found = resolve_inputs.resolve(model, prototxt, caffemodel, None, catalog, progress, asked)
    result = stage_one.run(
        found,
        engine,
        progress,
        parity=parity,
        probe=probe,
        shapes=stage_one.parse_shapes(input_shapes),
        ignore=ignore,
        out=out,
    )
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
