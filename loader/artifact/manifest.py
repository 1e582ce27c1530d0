"""manifest.json: what the artifact is and where it came from, and nothing that changes by the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from decant.dumper.dumpfile import VERSION, Dump
from decant.loader.artifact.bundle import FORMAT
from decant.loader.artifact.conversion import GENERATED, Conversion
from decant.loader.pictures.recipe import RESAMPLING

if TYPE_CHECKING:
    from decant.loader.catalog.models import Model


def describe(
    name: str, model: Model | None, dump: Dump, conversion: Conversion, prototxt_sha256: str
) -> dict[str, Any]:
    """Everything but the hashes of the files beside it, which `artifact.write` adds.

    The same for both engines: Caffe's Split layers and the probe do not enter. `model` is None for a
    net that is in no catalog.
    """
    return {
        "format": FORMAT,
        "dump_format": VERSION,
        "name": name,
        "caffe": {
            "net": dump.net_name,
            "prototxt_sha256": prototxt_sha256,
            "caffemodel_sha256": dump.caffemodel_sha256,
        },
        "parameters": {
            key: {"layer": layer, "blob": blob} for key, (layer, blob) in conversion.origin.items()
        },
        "tied": conversion.tied,
        "layers": conversion.layers,
        "statements": conversion.statements,
        "fused": conversion.fused,
        "left_out": {**conversion.left_out, **_ignored(model)},
        "changes": [*conversion.notes, *conversion.recipe_notes],
        "inputs": [
            {"blob": blob, "shape": list(shape)} for blob, shape in conversion.inputs.items()
        ],
        "batch": conversion.batch,
        "input_layers": conversion.input_layers,
        "outputs": conversion.outputs,
        "net": conversion.net,
        **({"reading": reading} if (reading := conversion.reading.to_json()) else {}),
        **(_of_catalog(model) if model else _UNKNOWN),
        "preprocessing": _preprocessing(model, conversion),
    }


_UNKNOWN: dict[str, Any] = {
    "model": None, "module": {"name": GENERATED, "arguments": {}},
    "labels": None, "accuracy": [], "licence": "", "citation": "", "notes": "",
    "sources": {"prototxt": [], "caffemodel": []},
}  # fmt: skip


def _of_catalog(model: Model) -> dict[str, Any]:
    """What the catalog knows of the model."""
    return {
        "model": model.name,
        "module": {"name": model.module, "arguments": dict(model.arguments)},
        "labels": model.labels.model_dump(mode="json", exclude_defaults=True)
        if model.labels
        else None,
        "accuracy": [item.model_dump(mode="json", exclude_none=True) for item in model.accuracy],
        "licence": model.licence,
        "citation": model.citation,
        "notes": model.notes,
        "sources": {
            "prototxt": list(model.prototxt.urls),
            "caffemodel": list(model.caffemodel.urls),
        },
    }


def _preprocessing(model: Model | None, conversion: Conversion) -> dict[str, Any] | None:
    """As the definition says it, or the catalog; and by which means pictures get their size."""
    if conversion.recipe is not None:
        found = conversion.recipe.to_json()
    elif model is not None and model.preprocessing is not None:
        found = model.preprocessing.model_dump(mode="json")
    else:
        return None
    return {**found, "resampling": RESAMPLING}


def _ignored(model: Model | None) -> dict[str, str]:
    reason = "in the caffemodel, not in the net: named under ignored_layers in the catalog"
    return dict.fromkeys(model.ignored_layers if model else (), reason)
