"""`artifacts`: every model whose weights can be downloaded, and one list of hashes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from decant.commands.run import emit
from decant.loader.artifact.bundle import SUMS
from decant.loader.catalog.models import load_catalog
from decant.loader.errors import FetchError
from decant.stages.options import Options


def command(*, out: Path, options: Options, as_json: bool) -> None:
    """Convert all into `out`; models that cannot be fetched are named and passed over.

    Any other error ends it.
    """
    from decant.stages.convert import convert

    done, absent = [], {}
    for name in load_catalog(options.catalog).models:
        try:
            convert(name, replace(options, out=out))
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
