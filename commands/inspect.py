"""`inspect`: what a prototxt, caffemodel, dump or artifact holds."""

from __future__ import annotations

import sys
from pathlib import Path

from decant.commands.run import emit
from decant.commands.stage_one import parse_shapes
from decant.commands.tables import show, size_text
from decant.loader import listing
from decant.loader.artifact.bundle import folder_of
from decant.loader.catalog.fetch import fetch
from decant.loader.catalog.models import load_catalog
from decant.loader.definition.reading import NOTHING_ASKED, Asked
from decant.loader.progress import for_terminal


def inspect(
    *,
    file: Path,
    input_shapes: list[str],
    asked: Asked = NOTHING_ASKED,
    catalog: Path | None,
    as_json: bool,
) -> None:
    """Layers in order: type, outputs, parameters, multiply-adds, memory; totals."""
    found = listing.read(_place(file, catalog), parse_shapes(input_shapes), asked)
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


def _place(file: Path, catalog: Path | None) -> Path:
    """A file or folder; else an artifact of that name; else the catalog's definition, fetched."""
    if file.exists() or len(file.parts) != 1 or file.suffix:
        return file
    if folder_of(file).is_dir():
        return folder_of(file)
    models = load_catalog(catalog)
    entry = models.models.get(file.name)
    return fetch(entry, entry.prototxt, "prototxt", models, for_terminal()) if entry else file


def _shape(shape: tuple[int, ...] | None) -> str:
    """As Caffe's users know it: (96, 3, 11, 11)."""
    return "?" if shape is None else f"({', '.join(map(str, shape))})"
