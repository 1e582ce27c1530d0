"""`convert`: both stages, from a model's two files to its artifact."""

from __future__ import annotations

from typing import TYPE_CHECKING

from decant.commands.run import emit
from decant.commands.tables import PARITY_COLUMNS, parity_rows, parity_summary, show
from decant.stages.options import Options

if TYPE_CHECKING:
    from decant.stages.inputs import Source
    from decant.stages.load import Artifact


def command(*, source: Source, options: Options, as_json: bool) -> None:
    """Run both stages and report."""
    from decant.stages.convert import convert

    report(convert(source, options), as_json)


def report(made: Artifact, as_json: bool) -> None:
    """The parity table and where the artifact is."""
    if as_json:
        emit(
            {
                "ok": True,
                "artifact": str(made.folder),
                "engine": made.engine,
                "tensors": made.tensors,
                "parity": made.parity.to_json(),
                "seconds": made.seconds,
            }
        )
        return
    if made.parity.layers:
        show(f"{made.folder.name} against Caffe", PARITY_COLUMNS, parity_rows(made.parity))
    print(parity_summary(made.parity))
    print(f"{made.tensors} tensors in {made.folder}")
