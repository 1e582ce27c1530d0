"""`inspect`: what a prototxt, caffemodel, dump or artifact holds."""

from __future__ import annotations

import sys
from pathlib import Path

from decant.commands.run import emit
from decant.commands.tables import show, size_text
from decant.stages.options import Options


def command(*, file: Path, options: Options, as_json: bool) -> None:
    """Layers in order: type, outputs, parameters, multiply-adds, memory; totals."""
    from decant.stages.inspect import inspect

    found = inspect(file, options)
    if as_json:
        emit(
            {
                "ok": True,
                "file": str(file),
                "kind": found.kind,
                "parameters": found.parameters,
                "macs": found.macs,
                "bytes": found.bytes,
                "notes": found.notes,
                "layers": [
                    {
                        "name": line.name,
                        "type": line.type,
                        "outputs": line.outputs,
                        "params": line.blobs,
                        "parameters": line.parameters,
                        "macs": line.macs,
                        "bytes": line.bytes,
                    }
                    for line in found.lines
                ],
            }
        )
        return
    rows = [
        (
            line.name,
            line.type,
            " ".join(_shape(shape) for shape in line.outputs),
            " ".join(_shape(shape) for shape in line.blobs),
            f"{line.parameters:,}" if line.parameters else "",
            "?" if line.macs is None else f"{line.macs:,}" if line.macs else "",
            size_text(line.bytes),
        )
        for line in found.lines
    ]
    total = f"{len(rows)} layers", "", "", "", f"{found.parameters:,}", f"{found.macs:,}"
    columns = ("layer", "type", "output", "parameters", "count", "multiply-adds", "memory")
    show(f"{file}: {found.kind}", columns, [*rows, (*total, size_text(found.bytes))])
    for note in found.notes:
        print(f"note: {note}", file=sys.stderr)


def _shape(shape: tuple[int, ...] | None) -> str:
    """As Caffe's users know it: (96, 3, 11, 11)."""
    return "?" if shape is None else f"({', '.join(map(str, shape))})"
