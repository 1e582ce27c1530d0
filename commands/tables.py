"""Tables for people: rich on a terminal, plain columns in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decant.loader.parity.verdict import Parity


# of the last column, which alone may go on in further lines
NARROWEST = 16


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print to stdout; nothing is cut off: what does not fit into a table is printed plain."""
    rows = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    if sys.stdout is not None and sys.stdout.isatty():
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        console = Console()
        # two spaces and a border a column
        if sum(widths[:-1]) + min(widths[-1], NARROWEST) + 3 * len(widths) + 1 <= console.width:
            table = Table(title=escape(title), title_justify="left")
            for name in columns[:-1]:
                table.add_column(name, no_wrap=True)
            table.add_column(columns[-1], overflow="fold")
            for row in rows:
                table.add_row(*map(escape, row))
            console.print(table)
            return
    print(title)
    for row in [list(columns), *rows]:
        cells = zip(row, widths, strict=True)
        print("  ".join(cell.ljust(width) for cell, width in cells).rstrip())


def size_text(count: int) -> str:
    """Bytes for people; "" for none."""
    units = ("B", "KiB", "MiB", "GiB", "TiB")
    place = min(max(count.bit_length() - 1, 0) // 10, len(units) - 1)
    if not count:
        return ""
    return f"{count / 1024**place:.1f} {units[place]}" if place else f"{count} B"


def parity_rows(parity: Parity) -> list[list[str]]:
    """layer, type, error, isolated error, relative L2, both distances from float64, verdict."""
    return [
        [
            layer.layer,
            layer.type,
            number(layer.error),
            number(layer.isolated),
            number(layer.relative_l2),
            number(layer.caffe_float64),
            number(layer.torch_float64),
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
    sensitive = sum(layer.verdict == "ill-conditioned" for layer in parity.layers)
    worst = parity.worst
    about = f"; worst {worst.error:.1e} at {worst.layer}" if worst else ""
    if sensitive:
        about += f"; {sensitive} more ill-conditioned: rounding alone moves them too far to tell"
    return f"parity {parity.status}: {len(compared)} layers compared on {parity.device}{about}"


def number(value: float) -> str:
    """Two digits; nothing for what was not computed (NaN)."""
    return "" if value != value else f"{value:.1e}"
