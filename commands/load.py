"""`load`: stage 2 alone, from a dump to the artifact."""

from __future__ import annotations

from pathlib import Path

from decant.commands.convert import report
from decant.stages.options import Options


def command(
    *, dump: Path, model: str | None, name: str | None, options: Options, as_json: bool
) -> None:
    """Make the artifact of a dump and report; without `model` the module is generated."""
    from decant.stages.load import load

    report(load(dump, options, model=model, name=name), as_json)
