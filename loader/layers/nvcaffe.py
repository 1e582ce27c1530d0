"""NVCaffe's BatchNorm with a scale and a bias of its own: `scale_bias`, five blobs.

Sources: NVCaffe's layers/batch_norm_layer.cpp (Forward_cpu at TEST) and net.cpp (CopyTrainedLayersFrom).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from decant.loader.definition.graph import Layer
from decant.loader.definition.prototxt import number
from decant.loader.layers import rule
from decant.loader.layers.normalised import normalised
from decant.loader.layers.rule import Shape, Site, Written, WrongBlobs, count

# the state of an affine BatchNorm
PARTS = ("running_mean", "running_var", "weight", "bias")
# the parts' places among the blobs, and that of a single value: since 0.16; before, as DIGITS wrote them
_ORDERS = (((0, 1, 3, 4), 2), ((2, 3, 0, 1), 4))
# std::max<float>(param.eps(), 0.00001f)
_LEAST_EPS = 1e-5


def asks_for_scale_bias(layer: Layer) -> bool:
    """Whether the definition asks for the scale and the bias."""
    written = layer.fields.message("batch_norm_param").text("scale_bias").lower()
    return layer.type == "BatchNorm" and written in ("true", "t", "1")


def order(shapes: Sequence[Shape]) -> dict[str, int] | None:
    """Part -> number of its blob; None where these are not NVCaffe's five blobs.

    The order is told by where the single value stands, as NVCaffe itself tells it: not of one channel.
    """
    sizes = [count(shape) for shape in shapes]
    for places, single in _ORDERS:
        expected = [1 if number == single else max(sizes, default=0) for number in range(5)]
        if sizes == expected and max(sizes) > 1:
            return dict(zip(PARTS, places, strict=True))
    return None


def eps(layer: Layer) -> float:
    """Never below 1e-5, whatever the definition says."""
    text = layer.fields.message("batch_norm_param").text("eps", repr(_LEAST_EPS))
    return max(number(text), _LEAST_EPS)


def batch_norm(site: Site) -> Written:
    """(x - mean) / sqrt(var + eps) * scale + bias.

    The statistics are stored as they are, the single value is not looked at; at TEST they are what
    is used, also with `use_global_stats: false`.
    """
    param, shape = site.param("batch_norm_param"), site.bottom()
    for name in ("scale_bias", "scale_filler", "bias_filler", "use_global_stats", "eps"):
        param.has(name)
    places = order([blob.shape for blob in site.blobs])
    if places is None:
        raise WrongBlobs("five parameter blobs that are not NVCaffe's of several channels")
    if len(shape) not in (2, 4) or any(site.blobs[at].size != shape[1] for at in places.values()):
        raise WrongBlobs(f"an input of shape {rule.shown(shape)} for these five parameter blobs")
    tensors = {name: site.blobs[at].reshape(-1) for name, at in places.items()}
    tensors["num_batches_tracked"] = np.zeros((), np.int64)
    return replace(normalised(shape, eps(site.layer), tensors), blobs=places)
