"""`validate`: artifacts once more, from the files: hashes, parity, accuracy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from decant.commands import tables
from decant.commands.run import emit
from decant.stages.options import Options

if TYPE_CHECKING:
    from decant.stages.validate import Validation


def command(
    *,
    names: list[str],
    data: Path | None,
    limit: int | None,
    out: Path | None,
    workers: int | None,
    per_class: bool,
    options: Options,
    as_json: bool,
) -> None:
    """Print what is found for every artifact named, or for all, as it is found."""
    from decant.stages.validate import Pictures, validate

    found = validate(
        names,
        options,
        Pictures(data, limit, workers, per_class),
        place=out,
        tell=_say_nothing if as_json else _print,
    )
    # of torchrun's processes the first alone has found something
    if as_json and found:
        emit({"ok": True, "artifacts": [result.to_json() for result in found]})


def _say_nothing(_: Validation) -> None:
    """All of it is printed at the end."""


def _print(result: Validation) -> None:
    print(f"{result.folder.name}: hashes match; parity {result.parity}")
    found = result.accuracy
    if found is not None:
        print(
            f"  {found.count} pictures: loss {found.loss:.4f}, "
            f"top-1 {found.top1:.2f} %, top-5 {found.top5:.2f} %"
        )
        if result.caffe_agrees is not None:
            print(f"  real Caffe has the same top-1 on {result.caffe_agrees} of {found.count}")
        if result.classes is not None:
            _print_classes(result.classes)
    for line in result.lines:
        print(f"  {line}")


def _print_classes(classes: list[dict[str, Any]]) -> None:
    rows = [
        [
            str(item["class"]),
            item["name"] or "",
            str(item["pictures"]),
            f"{item['top1']:.2f}",
            f"{item['top5']:.2f}",
        ]
        for item in classes
    ]
    tables.show("by class, in per cent", ("class", "name", "pictures", "top-1", "top-5"), rows)
