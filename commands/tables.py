"""Tables for people: rich on a terminal, plain columns in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loader.verdict import Parity


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print to stdout."""
    rows = [list(row) for row in rows]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        table = Table(*columns, title=title, title_justify="left")
        for row in rows:
            table.add_row(*row)
        Console().print(table)
        return
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    print(title)
    for row in [list(columns), *rows]:
        cells = zip(row, widths, strict=True)
        print("  ".join(cell.ljust(width) for cell, width in cells).rstrip())


def parity_rows(parity: Parity) -> list[list[str]]:
    """layer, type, error, isolated error, relative L2, both distances from float64, verdict."""
    return [
        [
            layer.layer,
            layer.type,
            _number(layer.error),
            _number(layer.isolated),
            _number(layer.relative_l2),
            _number(layer.caffe_float64),
            _number(layer.torch_float64),
            layer.verdict + (f" ({layer.reason})" if layer.reason else ""),
        ]
        for layer in parity.layers
    ]


PARITY_COLUMNS = (
    "layer",
    "type",
    "max error",
    "isolated",
    "relative L2",
    "Caffe-float64",
    "torch-float64",
    "verdict",
)


def parity_summary(parity: Parity) -> str:
    """One line."""
    if parity.status == "not measured":
        return f"parity not measured: {parity.reason}"
    compared = [layer for layer in parity.layers if layer.verdict in ("passed", "failed")]
    worst = parity.worst
    about = f"; worst {worst.error:.1e} at {worst.layer}" if worst else ""
    return f"parity {parity.status}: {len(compared)} layers compared on {parity.device}{about}"


def _number(value: float) -> str:
    return "" if value != value else f"{value:.1e}"
