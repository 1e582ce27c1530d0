"""Which layers may write over their bottom in Caffe and still compute what their formula says."""

from __future__ import annotations

from collections.abc import Sequence

from decant.loader.definition.graph import Layer
from decant.loader.layers.rule import Shape

# value by value, or through memory of their own
ELEMENTWISE = {
    "AbsVal", "BN", "BNLL", "BatchNorm", "Bias", "Clip", "Dropout", "ELU", "Exp", "HSigmoid",
    "HardSigmoid", "HardSwish", "Log", "MVN", "Mish", "PReLU", "Power", "ReLU", "ReLU6", "Scale", "SeLu",
    "Sigmoid", "Sin", "Softmax", "Swish", "TanH", "Threshold",
}  # fmt: skip


def never_in_place(layer: Layer) -> str:
    """Why this layer's in-place use cannot be converted; "" where there is none, or it is harmless.

    The others read their bottom after they have begun to write (Pooling, LRN across channels), or
    clear it first (Eltwise SUM and MAX): what Caffe makes of that is no layer's formula.
    """
    places = [
        at for at, top in enumerate(layer.tops[: len(layer.bottoms)]) if top == layer.bottoms[at]
    ]
    if not places or layer.type in ELEMENTWISE or _through_a_buffer(layer, places[0]):
        return ""
    return (
        f"works in place on {layer.tops[places[0]]!r}, where Caffe overwrites what it has yet to "
        "read; give its top a name of its own"
    )


def grows_in_place(layer: Layer, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> bool:
    """Whether it changes its bottom's shape in place, which Caffe then takes as given."""
    return layer.type in ("Convolution", "Deconvolution", "MVN") and any(
        name == layer.bottoms[at] and tops[at] != bottoms[at]
        for at, name in enumerate(layer.tops[: len(layer.bottoms)])
    )


def _through_a_buffer(layer: Layer, place: int) -> bool:
    """base_conv_layer.cpp: im2col unless it is 1x1; lrn_layer.cpp: WITHIN_CHANNEL is a small net."""
    if layer.type in ("Convolution", "Deconvolution"):
        param = layer.fields.message("convolution_param")
        sizes = param.integers("kernel_size") or [
            param.integer("kernel_h"),
            param.integer("kernel_w"),
        ]
        return max(sizes) > 1
    if layer.type == "LRN":
        return layer.fields.message("lrn_param").text("norm_region") in ("WITHIN_CHANNEL", "1")
    if layer.type == "Eltwise":
        return place == 0 and layer.fields.message("eltwise_param").text("operation") in (
            "PROD",
            "0",
        )
    return False
