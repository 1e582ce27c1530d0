"""`compare`: two of dump, artifact and activations, layer by layer; exit code 6 where they differ."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decant.commands.run import emit
from decant.commands.tables import number, show
from decant.stages.options import Options

if TYPE_CHECKING:
    from decant.loader.compare import Compared, Row

COLUMNS = (
    "layer", "type", "max error", "max abs", "relative L2", "cosine", "after ReLU", "isolated", "",
)  # fmt: skip


def command(*, one: Path, other: Path, bound: float, options: Options, as_json: bool) -> None:
    """Show every layer that both sides have. Raises ParityError naming the first that differs."""
    from decant.stages.compare import compare, refuse_difference

    found = compare(one, other, options, bound=bound)
    if not as_json:
        _show(f"{one} against {other}", found)
    refuse_difference(found)
    if as_json:
        emit({"ok": True, "bound": bound, "layers": [_plain(row) for row in found.rows],
              "missing": found.missing})  # fmt: skip
        return
    apart = f"; {len(found.missing)} layers are on one side only" if found.missing else ""
    explained = sum(bool(_verdict(row, bound)) for row in found.rows)
    but = f", {explained} of them but for what parity explains" if explained else ""
    print(f"{len(found.rows)} tops agree within {bound:.0e} of their largest values{but}{apart}")


def _show(title: str, found: Compared) -> None:
    rows = [
        (
            row.layer + (f":{row.top}" if row.top else ""),
            row.type,
            *(number(value) for value in (row.error, row.max_abs, row.relative_l2)),
            f"{row.cosine:.7f}" if row.cosine == row.cosine else "",
            f"{row.cosine_relu:.7f}" if row.cosine_relu == row.cosine_relu else "",
            number(row.isolated),
            _verdict(row, found.bound),
        )
        for row in found.rows
    ]
    show(title, COLUMNS, rows)
    if found.missing:
        print(f"only on one side: {', '.join(found.missing)}")


def _verdict(row: Row, bound: float) -> str:
    """Nothing for a row within the bound."""
    if row.error <= bound and not row.reason:
        return ""
    return row.explained or row.reason or "differs"


def _plain(row: Row) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in asdict(row).items()
    }
