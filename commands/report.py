"""`report`: an artifact as one page to look at, and as pictures."""

from __future__ import annotations

from pathlib import Path

from decant.commands.run import emit
from decant.stages.options import Options


def command(
    *,
    model: str,
    picture: Path | None,
    png: Path | None,
    mean: str | None,
    labels: Path | None,
    options: Options,
    as_json: bool,
) -> None:
    """Write report.html into the artifact's folder, and with `png` its pictures as files."""
    from decant.stages.report import report

    page, pictures = report(model, options, picture=picture, png=png, mean=mean, labels=labels)
    if as_json:
        emit({"ok": True, "report": str(page), "pictures": [str(path) for path in pictures]})
        return
    for path in (page, *pictures):
        print(path)
