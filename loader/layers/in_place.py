"""Which layers may write over their bottom in Caffe and still compute what their formula says."""

from __future__ import annotations

from collections.abc import Sequence

from decant.loader.definition.graph import Layer
from decant.loader.layers.layer_type import LayerType
from decant.loader.layers.rule import Shape


def never_in_place(layer: Layer, of: LayerType) -> str:
    """Why this layer's in-place use cannot be converted; "" where there is none, or it is harmless.

    The others read their bottom after they have begun to write (Pooling, LRN across channels), or
    clear it first (Eltwise SUM and MAX): what Caffe makes of that is not any layer's formula.
    """
    places = [
        at for at, top in enumerate(layer.tops[: len(layer.bottoms)]) if top == layer.bottoms[at]
    ]
    if not places:
        return ""
    if of.in_place(layer, places[0]) if callable(of.in_place) else of.in_place:
        return ""
    return (
        f"works in place on {layer.tops[places[0]]!r}, where Caffe overwrites what it has yet to "
        "read; give its top a name of its own"
    )


def grows_in_place(
    layer: Layer, of: LayerType, bottoms: Sequence[Shape], tops: Sequence[Shape]
) -> bool:
    """Whether it changes its bottom's shape in place, which Caffe then takes as given."""
    return of.reshapes_in_place and any(
        name == layer.bottoms[at] and tops[at] != bottoms[at]
        for at, name in enumerate(layer.tops[: len(layer.bottoms)])
    )


def through_im2col(layer: Layer, place: int) -> bool:
    """base_conv_layer.cpp: im2col copies its bottom; 1x1 does without it."""
    param = layer.fields.message("convolution_param")
    sizes = param.integers("kernel_size") or [param.integer("kernel_h"), param.integer("kernel_w")]
    return max(sizes) > 1


def within_channel(layer: Layer, place: int) -> bool:
    """lrn_layer.cpp: WITHIN_CHANNEL is a small net."""
    return layer.fields.message("lrn_param").text("norm_region") in ("WITHIN_CHANNEL", "1")


def product_of_first(layer: Layer, place: int) -> bool:
    """eltwise_layer.cpp: PROD begins with a copy of bottom 0."""
    operation = layer.fields.message("eltwise_param").text("operation")
    return place == 0 and operation in ("PROD", "0")
