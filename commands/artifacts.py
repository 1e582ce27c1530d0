"""`artifacts`: every model whose weights can be had, and one list of hashes."""

from __future__ import annotations

from pathlib import Path

from decant.commands.convert import convert
from decant.commands.run import emit
from decant.loader.artifact.bundle import SUMS
from decant.loader.catalog.models import load_catalog
from decant.loader.errors import FetchError


def artifacts(*, out: Path, engine: str, catalog: Path | None, as_json: bool) -> None:
    """Convert all; models that cannot be fetched are named and passed over, other errors are not."""
    done, absent = [], {}
    for name in load_catalog(catalog).models:
        try:
            convert(
                model=name,
                prototxt=None,
                caffemodel=None,
                name=None,
                out=out,
                engine=engine,
                device="cpu",
                gpu=False,
                probe=None,
                input_shapes=[],
                layer_plugins=[],
                ignore=[],
                parity=True,
                page=True,
                catalog=catalog,
                as_json=None,
            )
            done.append(name)
        except FetchError as error:
            absent[name] = error.message
    lines = []
    for name in done:
        for line in (out / name / SUMS).read_text().splitlines():
            digest, file = line.split("  ", 1)
            lines.append(f"{digest}  {name}/{file}\n")
    (out / SUMS).write_text("".join(lines))
    if as_json:
        emit({"ok": True, "converted": done, "not_fetched": absent, "sums": str(out / SUMS)})
        return
    for name, reason in absent.items():
        print(f"not fetched: {name}: {reason.removeprefix(name + ': ')}")
    print(f"{len(done)} artifacts in {out}; their hashes are in {out / SUMS}")
