"""What stock Caffe is given where only a fork runs a layer that its own layers can compute.

NVCaffe's BatchNorm with a scale and a bias becomes a BatchNorm and a Scale that works in place behind
it. The dump is told back: one layer, the file's blobs, the values that come out of both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from decant.dumper import dumpfile
from decant.engines.weights import Weights
from decant.loader.definition.graph import Layer, Net, owners, rendered
from decant.loader.definition.prototxt import Field, Message
from decant.loader.layers import nvcaffe
from decant.loader.layers.rule import Shape
from decant.loader.weights import caffemodel


@dataclass(frozen=True)
class StandIn:
    """`net`: what Caffe is to run. `added`: a Scale -> the BatchNorm whose second half it is.

    `left`: a line for each layer that Caffe would need a stand-in for, and has none.
    """

    net: Net
    added: Mapping[str, str] = field(default_factory=dict)
    left: tuple[str, ...] = ()


def stand_in(net: Net, shapes: Mapping[str, Sequence[Shape]]) -> StandIn:
    """`net` itself where nothing has to stand in. `shapes`: of each layer's blobs, by its name."""
    layers: list[Layer] = []
    added: dict[str, str] = {}
    left: list[str] = []
    taken = {layer.name for layer in net.layers}
    for layer in net.layers:
        if not _is_five(layer, shapes.get(layer.name, ())):
            layers.append(layer)
            continue
        # what shares its blobs would have to be split in two as well
        if any(layer.param_names):
            layers.append(layer)
            left.append(f"line {layer.line}: layer {layer.name!r}: five blobs (NVCaffe), shared")
            continue
        name = layer.name + "/scale_bias"
        while name in taken:
            name += "_"
        taken.add(name)
        added[name] = layer.name
        layers += [_statistics(layer), _scale(layer, name)]
    if not added:
        return StandIn(net, left=tuple(left))
    changed = replace(net, layers=tuple(layers))
    return StandIn(replace(changed, run_text=rendered(changed)), added, tuple(left))


def _is_five(layer: Layer, shapes: Sequence[Shape]) -> bool:
    """Whether it is NVCaffe's."""
    return layer.type == "BatchNorm" and nvcaffe.order(shapes) is not None


def _statistics(layer: Layer) -> Layer:
    """`param` goes: it is for training, and has more items than the BatchNorm has blobs."""
    values = {"eps": repr(nvcaffe.eps(layer)), "use_global_stats": "true"}
    kept = [x for x in layer.fields.fields if x.name not in ("param", "batch_norm_param")]
    fields = [*kept, _message(layer, "batch_norm_param", values)]
    return replace(layer, param_names=(), fields=Message(fields, layer.line))


def _scale(layer: Layer, name: str) -> Layer:
    texts = {"name": name, "type": "Scale", "bottom": layer.tops[0], "top": layer.tops[0]}
    fields = [Field(key, text, layer.line, quoted=True) for key, text in texts.items()]
    fields.append(_message(layer, "scale_param", {"bias_term": "true"}))
    message = Message(fields, layer.line)
    return Layer(name, "Scale", layer.tops[:1], layer.tops[:1], (), message, layer.line)


def _message(layer: Layer, name: str, values: Mapping[str, str]) -> Field:
    fields = [Field(key, value, layer.line) for key, value in values.items()]
    return Field(name, Message(fields, layer.line), layer.line)


def blobs_for(stood: StandIn, weights: Weights) -> list[caffemodel.Layer]:
    """The file's layers as Caffe is to have them for `stood.net`."""
    scales = {norm: scale for scale, norm in stood.added.items()}
    layers: list[caffemodel.Layer] = []
    for layer in weights.model.layers:
        if layer.name not in scales:
            layers.append(_whole(layer, stood.net, weights.model))
            continue
        mean, variance, weight, bias = _parts(layer)
        one = np.ones(1, np.float32)
        for name, kind, arrays in (
            (layer.name, "BatchNorm", [mean, variance, one]),
            (scales[layer.name], "Scale", [weight, bias]),
        ):
            blobs = [caffemodel.blob_of(array.reshape(-1)) for array in arrays]
            layers.append(caffemodel.Layer(name, kind, list(blobs)))
    return layers


def _whole(layer: caffemodel.Layer, net: Net, model: caffemodel.Caffemodel) -> caffemodel.Layer:
    """With the blobs that it borrows: in HDF5 the owner alone has them, else each layer all."""
    if model.era != "hdf5":
        return layer
    sources, blobs = model.by_name(), list(layer.blobs)
    for (at, number), (owner, place) in owners(net).items():
        lender = sources.get(net.layers[owner].name)
        if net.layers[at].name == layer.name and lender is not None:
            blobs += [None] * (number + 1 - len(blobs))
            blobs[number] = blobs[number] or (lender.blobs[place : place + 1] or [None])[0]
    return replace(layer, blobs=blobs)


def _parts(layer: caffemodel.Layer) -> list[np.ndarray]:
    blobs = [blob for blob in layer.blobs if blob is not None]
    places = nvcaffe.order([blob.shape for blob in blobs]) or {}
    return [blobs[places[part]].array() for part in nvcaffe.PARTS]


def told_back(dump: dumpfile.Dump, stood: StandIn, weights: Weights) -> dumpfile.Dump:
    """The dump of `stood.net` as one of the net itself: same layers as from the embedded reader."""
    sources = weights.model.by_name()
    layers: list[dumpfile.Layer] = []
    # where each layer has gone, for the owners of shared blobs
    moved: dict[int, int] = {}
    for at, layer in enumerate(dump.layers):
        if layer.name in stood.added:
            layers[-1] = _joined(layers[-1], layer, sources[stood.added[layer.name]])
        else:
            layers.append(layer)
        moved[at] = len(layers) - 1
    for layer in layers:
        layer.owners = [owner and (moved[owner[0]], owner[1]) for owner in layer.owners]
    return replace(dump, layers=layers)


def _joined(
    norm: dumpfile.Layer, scale: dumpfile.Layer, source: caffemodel.Layer
) -> dumpfile.Layer:
    """Caffe's own bits in the file's places and shapes; the value that nobody looks at is the file's."""
    blobs = [blob for blob in source.blobs if blob is not None]
    params = [blob.array().reshape(blob.shape) for blob in blobs]
    places = nvcaffe.order([blob.shape for blob in blobs]) or {}
    for part, array in zip(nvcaffe.PARTS, (*norm.params[:2], *scale.params), strict=True):
        params[places[part]] = array.reshape(blobs[places[part]].shape)
    return replace(norm, params=params, owners=[None] * 5, activations=scale.activations)
