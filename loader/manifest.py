"""manifest.json: what the artifact is and where it came from, and nothing that changes by the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dumper.dumpfile import VERSION, Dump
from loader.mapping import ParameterMap

if TYPE_CHECKING:
    from loader.catalog import Model

FORMAT = 1


def describe(
    name: str,
    model: Model,
    dump: Dump,
    layers: Mapping[str, str | None],
    mapped: ParameterMap,
    prototxt_sha256: str,
) -> dict[str, Any]:
    """Everything but the hashes of the files beside it, which `artifact.write` adds.

    The same for both engines: Caffe's Split layers and the probe do not enter.
    """
    module = {"name": model.module, "arguments": dict(model.arguments)}
    return {
        "format": FORMAT,
        "dump_format": VERSION,
        "name": name,
        "model": model.name,
        "module": module,
        "caffe": {
            "net": dump.net_name,
            "prototxt_sha256": prototxt_sha256,
            "caffemodel_sha256": dump.caffemodel_sha256,
        },
        "parameters": {
            key: {"layer": layer, "blob": blob} for key, (layer, blob) in mapped.origin.items()
        },
        "layers": dict(layers),
        "left_out": {**mapped.left_out, **_ignored(model)},
        "inputs": [{"blob": model.input.blob, "shape": list(model.input.shape)}],
        "preprocessing": model.preprocessing.model_dump(mode="json"),
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


def _ignored(model: Model) -> dict[str, str]:
    reason = "in the caffemodel, not in the net: named under ignored_layers in the catalog"
    return dict.fromkeys(model.ignored_layers, reason)
