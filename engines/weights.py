"""The weights as a net's layers take them: what both engines work from.

Caffe gives a file's blobs to the net's layers by name. What stands between the two is told here once:
scale and bias inside NVCaffe's BatchNorm, layers that only their fillers make, a net without any.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path

import numpy as np

from decant.loader.definition.forks import float_type
from decant.loader.definition.graph import Layer, Net, owners
from decant.loader.definition.prototxt import Message
from decant.loader.errors import BadInput
from decant.loader.layers import nvcaffe, type_of
from decant.loader.layers.layer_type import Parameters
from decant.loader.layers.rule import Rule, Shape, same_shape
from decant.loader.plan import fillers
from decant.loader.plan.outline import outline
from decant.loader.weights import caffemodel
from decant.loader.weights.caffemodel import Caffemodel, shown


@dataclass(frozen=True)
class Weights:
    """`model`: the file's layers, as the net's take them. `rewritten`: not as they are in the file.

    `made`: by layer, the values of its fillers, where the file lacks the layer. `notes`: a line for
    each departure.
    """

    model: Caffemodel
    rewritten: bool = False
    made: Mapping[str, Sequence[np.ndarray]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def raw(self) -> bool:
        """Whether stock Caffe would pass over values of the file."""
        return any(blob and blob.raw for layer in self.model.layers for blob in layer.blobs)


def always_has_blobs(layer: Layer) -> bool:
    """Whether Caffe makes parameters for it whatever it says: if the file lacks them, its fillers do."""
    made = type_of(layer).parameters
    return made is Parameters.ALWAYS or (made is Parameters.ALONE and len(layer.bottoms) == 1)


def read_weights(
    path: Path, net: Net | None = None, index: Callable[[Path], Caffemodel] = caffemodel.read
) -> Weights:
    """The file for `net` (None: as it is), by its `index`. Raises BadInput."""
    try:
        found = Weights(index(path))
    except caffemodel.NoWeights as error:
        if net is None or any(map(always_has_blobs, net.layers)):
            raise BadInput(str(error)) from None
        note = f"{path.name}: holds no weights, and the net has no parameters"
        return Weights(Caffemodel(path, "", "current", []), notes=(note,))
    except caffemodel.CaffemodelError as error:
        raise BadInput(str(error)) from None
    if net is None:
        return found
    split = _split(found, net)
    return replace(split, notes=(*split.notes, *_other_types(net, split.model)))


def _other_types(net: Net, model: Caffemodel) -> list[str]:
    """Caffe goes by the name and the blobs; the type that the file records it never looks at."""
    sources = model.by_name()
    return [
        f"layer {layer.name!r}: {shown(source.type)[1:-1]} in the caffemodel, {layer.type} in the "
        "prototxt: converted as the prototxt says, as Caffe would"
        for layer in net.layers
        if (source := sources.get(layer.name))
        and layer.type not in (source.type, float_type(source.type))
        and source.type
    ]


def _split(weights: Weights, net: Net) -> Weights:
    """NVCaffe's BatchNorm of five blobs, where the definition says BatchNorm and Scale.

    If the definition does not ask for `scale_bias`, and the file lacks the Scale that alone reads the
    BatchNorm, the scale and the bias are the Scale's.
    """
    layers = {layer.name: layer for layer in weights.model.layers}
    notes = []
    for at, layer in enumerate(net.layers):
        source, scale = layers.get(layer.name), _lone_scale(net, at)
        if source is None or scale is None or scale.name in layers:
            continue
        order = nvcaffe.order([blob.shape for blob in source.blobs if blob])
        if order is None:
            continue
        mean, variance, weight, bias = (source.blobs[order[name]] for name in nvcaffe.PARTS)
        one = caffemodel.blob_of(np.ones(1, np.float32))
        layers[layer.name] = replace(source, blobs=[mean, variance, one])
        layers[scale.name] = caffemodel.Layer(scale.name, "Scale", [weight, bias])
        notes.append(
            f"layer {layer.name!r}: five blobs in the caffemodel (NVCaffe): the scale and the bias are "
            f"those of {scale.name!r}, which the caffemodel lacks"
        )
    if not notes:
        return weights
    model = replace(weights.model, layers=list(layers.values()))
    return replace(weights, model=model, rewritten=True, notes=tuple(notes))


def _lone_scale(net: Net, at: int) -> Layer | None:
    """The Scale, one factor and one bias a channel, that alone reads the BatchNorm at this place."""
    layer = net.layers[at]
    if layer.type != "BatchNorm" or nvcaffe.asks_for_scale_bias(layer):
        return None
    readers: list[Layer] = []
    for other in net.layers[at + 1 :]:
        if layer.tops[0] in other.bottoms:
            readers.append(other)
        if layer.tops[0] in other.tops:
            break
    alone = [reader.type for reader in readers] == ["Scale"] and len(readers[0].bottoms) == 1
    return readers[0] if alone and _of_channels(readers[0].fields.message("scale_param")) else None


def _of_channels(param: Message) -> bool:
    """A factor and a bias for each channel."""
    try:
        plain = param.integer("axis", 1) == param.integer("num_axes", 1) == 1
        return plain and param.boolean("bias_term")
    except ValueError:
        return False  # the Scale's rule names the field


def with_fillers(
    weights: Weights, net: Net, shapes: Mapping[str, Shape], rules: Mapping[str, Rule] | None = None
) -> Weights:
    """And the values of fillers, for layers that the file lacks, where they are exact.

    Not where the file has a layer of these very shapes that the net lacks: there the layer may only be
    called otherwise. `shapes`: of the inputs; where one is not known, nothing is filled.
    """
    lacking = _lacking(weights.model, net)
    if not lacking or any(not shapes.get(blob) for blob in net.inputs):
        return weights
    held = blob_shapes(weights.model)
    names = {*net.left_out, *(layer.name for layer in net.layers)}
    strangers = [found for name, found in held.items() if name not in names]
    blobs = outline(net, shapes, rules, held).blobs
    made = {
        layer.name: fillers.values(layer, blobs.get(layer.name, ()))
        for layer in lacking
        if not any(_alike(blobs.get(layer.name, ()), found) for found in strangers)
    }
    made = {name: values for name, values in made.items() if values}
    notes = [_filled(layer, made[layer.name]) for layer in lacking if layer.name in made]
    return replace(weights, made=made, notes=(*weights.notes, *notes))


def _alike(one: Sequence[Shape], other: Sequence[Shape]) -> bool:
    return len(one) == len(other) and all(map(same_shape, other, one))


def _lacking(model: Caffemodel, net: Net) -> list[Layer]:
    """Layers with exact fillers that the file does not have, nor a layer that shares with them."""
    known = {layer.name for layer in model.layers}
    names = Counter(layer.name for layer in net.layers)
    # what others fill: the owner's blobs, or those of a borrower that the file has
    shared = set()
    for (borrower, _), (owner, _) in owners(net).items():
        shared.add(net.layers[borrower].name)
        if net.layers[borrower].name in known:
            shared.add(net.layers[owner].name)
    elsewhere = known | shared
    return [
        layer
        for layer in net.layers
        if layer.name not in elsewhere
        and names[layer.name] == 1
        and always_has_blobs(layer)
        and fillers.fillers(layer)
    ]


def _filled(layer: Layer, values: Sequence[np.ndarray]) -> str:
    """The note for such a layer."""
    made = fillers.describe(layer, len(values))
    older = fillers.differs_by_version(layer, [array.shape for array in values])
    also = "; older Caffes made other values of a bilinear kernel of this size" if older else ""
    return (
        f"layer {layer.name!r}: not in the caffemodel, so filled as Caffe fills it ({made}){also}"
    )


def blob_shapes(model: Caffemodel) -> dict[str, list[Shape]]:
    """The shapes of each layer's blobs, up to one that is shared and not there."""
    return {
        layer.name: [blob.shape for blob in takewhile(_is_there, layer.blobs) if blob is not None]
        for layer in model.layers
    }


def _is_there(blob: object) -> bool:
    return blob is not None
