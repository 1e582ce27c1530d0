"""`inspect`: what a prototxt, caffemodel, dump or artifact holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from commands.run import emit
from commands.tables import show
from loader.errors import BadInput

Row = dict[str, Any]


def inspect(*, file: Path, as_json: bool) -> None:
    """Layers in order: name, type, parameter shapes, outputs."""
    kind, rows = _read(file)
    count = sum(int(np.prod(shape)) for row in rows for shape in row["params"])
    if as_json:
        emit({"ok": True, "file": str(file), "kind": kind, "parameters": count, "layers": rows})
        return
    show(
        f"{file}: {kind}, {len(rows)} layers, {count} parameters",
        ("layer", "type", "parameters", "outputs"),
        [
            (row["name"], row["type"], _shapes(row["params"]), _shapes(row["outputs"]))
            for row in rows
        ],
    )


def _shapes(shapes: list[list[int]]) -> str:
    return " ".join("x".join(map(str, shape)) or "()" for shape in shapes)


def _read(file: Path) -> tuple[str, list[Row]]:
    """By content: a folder is an artifact, HDF5 and zip are dumps or weights, text is a prototxt."""
    if file.is_dir():
        return "artifact", _artifact(file)
    if not file.is_file():
        raise BadInput(f"{file}: no such file")
    from dumper import caffemodel, dumpfile

    try:
        with file.open("rb") as stream:
            start = stream.read(8)
        if start[:4] in (b"PK\x03\x04", b"\x89HDF"):
            try:
                return "dump", _dump(dumpfile.read(file))
            except dumpfile.DumpError:
                if start[:2] == b"PK":
                    raise
        if file.suffix in (".prototxt", ".txt", ".pt"):
            return "prototxt", _prototxt(file)
        model = caffemodel.read(file)
    except (dumpfile.DumpError, caffemodel.CaffemodelError) as error:
        raise BadInput(str(error)) from None
    return f"caffemodel ({model.era})", [
        _row(layer.name, layer.type, [blob.shape for blob in layer.blobs if blob])
        for layer in model.layers
    ]


def _row(name: str, kind: str, params: Any, outputs: Any = ()) -> Row:
    shapes = [[list(shape) for shape in group] for group in (params, outputs)]
    return {"name": name, "type": kind, "params": shapes[0], "outputs": shapes[1]}


def _dump(dump: Any) -> list[Row]:
    return [
        _row(
            layer.name,
            layer.type,
            [array.shape for array in layer.params],
            [array.shape for array in layer.activations],
        )
        for layer in dump.layers
    ]


def _prototxt(file: Path) -> list[Row]:
    from loader.graph import read_net

    net = read_net(file)
    return [
        _row(
            layer.name,
            layer.type,
            [],
            [net.inputs[top] for top in layer.tops if net.inputs.get(top)],
        )
        for layer in net.layers
    ]


def _artifact(folder: Path) -> list[Row]:
    from loader.artifact import read_manifest

    manifest = read_manifest(folder)
    shapes = {tensor["key"]: tensor["shape"] for tensor in manifest["tensors"]}
    rows: dict[str, Row] = {}
    for key, origin in manifest["parameters"].items():
        row = rows.setdefault(origin["layer"], _row(origin["layer"], key.rsplit(".", 1)[0], []))
        row["params"].append(shapes[key])
    return list(rows.values())
