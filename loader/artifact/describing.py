"""What manifest.json says of a conversion, before the files beside it have their hashes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from decant.dumper.dumpfile import VERSION, Dump
from decant.loader.artifact.conversion import GENERATED, Conversion
from decant.loader.artifact.manifest import (
    FORMAT,
    ClassNames,
    Description,
    Input,
    Module,
    NetLayer,
    Origin,
    Output,
    Parameter,
    Preparation,
    Published,
    Sources,
)
from decant.loader.pictures.recipe import RESAMPLING

if TYPE_CHECKING:
    from decant.loader.catalog.models import Model


def describe(
    name: str, model: Model | None, dump: Dump, conversion: Conversion, prototxt_sha256: str
) -> Description:
    """Everything but the hashes of the files beside it, which `bundle.write` adds.

    The same for both engines: Caffe's Split layers and the probe do not enter. `model` is None for a
    net that is in no catalog.
    """
    return Description(
        format=FORMAT,
        dump_format=VERSION,
        name=name,
        caffe=Origin(
            net=dump.net_name,
            prototxt_sha256=prototxt_sha256,
            caffemodel_sha256=dump.caffemodel_sha256,
        ),
        parameters={
            key: Parameter(layer=layer, blob=blob)
            for key, (layer, blob) in conversion.origin.items()
        },
        tied=conversion.tied,
        layers=conversion.layers,
        statements={layer: tuple(places) for layer, places in conversion.statements.items()},
        fused=conversion.fused,
        left_out={**conversion.left_out, **_ignored(model)},
        changes=(*conversion.notes, *conversion.recipe_notes),
        inputs=tuple(
            Input(blob=blob, shape=tuple(shape)) for blob, shape in conversion.inputs.items()
        ),
        batch=conversion.batch,
        input_layers={layer: tuple(blobs) for layer, blobs in conversion.input_layers.items()},
        outputs=tuple(map(Output.model_validate, conversion.outputs)),
        net=tuple(map(NetLayer.model_validate, conversion.net)),
        reading=conversion.reading,
        model=model.name if model else None,
        module=Module(
            name=model.module if model else GENERATED, arguments=model.arguments if model else {}
        ),
        labels=_class_names(model),
        accuracy=_published(model),
        licence=model.licence if model else "",
        citation=model.citation if model else "",
        notes=model.notes if model else "",
        sources=Sources(
            prototxt=model.prototxt.urls if model else (),
            caffemodel=model.caffemodel.urls if model else (),
        ),
        preprocessing=_preparation(model, conversion),
    )


def _class_names(model: Model | None) -> ClassNames | None:
    if model is None or model.labels is None:
        return None
    return ClassNames.model_validate(model.labels.model_dump(mode="json", exclude_defaults=True))


def _published(model: Model | None) -> tuple[Published, ...]:
    return tuple(Published(**dict(item)) for item in (model.accuracy if model else ()))


def _preparation(model: Model | None, conversion: Conversion) -> Preparation | None:
    """As the definition says it, or the catalog; and by which means pictures get their size."""
    if conversion.recipe is not None:
        found = conversion.recipe.to_json()
    elif model is not None and model.preprocessing is not None:
        found = dict(model.preprocessing)
    else:
        return None
    return Preparation(**found, resampling=RESAMPLING)


def _ignored(model: Model | None) -> dict[str, str]:
    reason = "in the caffemodel, not in the net: named under ignored_layers in the catalog"
    return dict.fromkeys(model.ignored_layers if model else (), reason)
