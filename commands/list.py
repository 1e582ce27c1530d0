"""`list`: the catalog, and what of it is converted."""

from __future__ import annotations

from pathlib import Path

from decant.commands.run import emit
from decant.commands.tables import show, size_text
from decant.loader.artifact.bundle import place_of_artifacts
from decant.loader.catalog.models import load_catalog


def command(*, out: Path | None, catalog: Path | None, as_json: bool) -> None:
    """One row a model."""
    root = out or place_of_artifacts()
    models = load_catalog(catalog).models.values()
    converted = {model.name: (root / model.name / "manifest.json").is_file() for model in models}
    if as_json:
        rows = [
            {
                "name": model.name,
                "module": model.module,
                "converted": converted[model.name],
                "licence": model.licence,
                "input": list(model.input.shape) if model.input else None,
                "bytes": model.caffemodel.size,
            }
            for model in models
        ]
        emit({"ok": True, "models": rows})
        return
    show(
        "models of the catalog",
        ("name", "module", "input", "weights", "converted", "licence"),
        [
            (
                model.name,
                model.module,
                "x".join(map(str, model.input.shape)) if model.input else "",
                size_text(model.caffemodel.size or 0),
                "yes" if converted[model.name] else "",
                model.licence,
            )
            for model in models
        ],
    )
