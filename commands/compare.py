"""`compare`: two of dump, artifact and activations, layer by layer; exit code 6 where they differ."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from decant.commands.run import emit
from decant.commands.tables import show
from decant.loader import compare as comparing
from decant.loader.errors import ParityError, UsageError

COLUMNS = (
    "layer", "type", "max error", "max abs", "relative L2", "cosine", "after ReLU", "isolated", "",
)  # fmt: skip


def compare(*, one: Path, other: Path, bound: float, device: str, as_json: bool) -> None:
    """Show every layer that both sides have. Raises ParityError naming the first that differs."""
    from decant.commands.stage_two import check_device

    check_device(device)
    if not (math.isfinite(bound) and bound >= 0):
        raise UsageError(f"--bound {bound}: a part of the largest value, as 1e-5")
    found = comparing.compare(comparing.open_side(one), comparing.open_side(other), bound, device)
    first = found.first
    if as_json and first is None:
        emit({"ok": True, "bound": bound, "layers": [_plain(row) for row in found.rows],
              "missing": found.missing})  # fmt: skip
    elif not as_json:
        rows = [
            (
                row.layer + (f":{row.top}" if row.top else ""),
                row.type,
                *(_number(value) for value in (row.error, row.max_abs, row.relative_l2)),
                f"{row.cosine:.7f}" if row.cosine == row.cosine else "",
                f"{row.cosine_relu:.7f}" if row.cosine_relu == row.cosine_relu else "",
                _number(row.isolated),
                _verdict(row, bound),
            )
            for row in found.rows
        ]
        show(f"{one} against {other}", COLUMNS, rows)
        if found.missing:
            print(f"only on one side: {', '.join(found.missing)}")
    if first is not None:
        about = first.reason or f"error {first.error:.1e} of the largest value, allowed {bound:.0e}"
        alone = ""
        if first.isolated <= bound:
            alone = "; alone on Caffe's own input it agrees, so the error came with its input"
        wrong = found.wrong
        raise ParityError(
            f"layer {first.layer!r} is the first of {len(wrong)} that differ: {about}{alone}",
            [f"layer {row.layer!r}: {row.reason or f'error {row.error:.1e}'}" for row in wrong],
        )
    if not as_json:
        apart = f"; {len(found.missing)} layers are on one side only" if found.missing else ""
        explained = sum(bool(_verdict(row, bound)) for row in found.rows)
        but = f", {explained} of them but for what parity explains" if explained else ""
        print(
            f"{len(found.rows)} tops agree within {bound:.0e} of their largest values{but}{apart}"
        )


def _verdict(row: comparing.Row, bound: float) -> str:
    """Nothing for a row within the bound."""
    if row.error <= bound and not row.reason:
        return ""
    return row.explained or row.reason or "differs"


def _plain(row: comparing.Row) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in asdict(row).items()
    }


def _number(value: float) -> str:
    return "" if value != value else f"{value:.1e}"
