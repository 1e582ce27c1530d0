"""What of a definition only training and its measures need: stock Caffe's losses, and those of forks.

Sources, of what a fork's layer does at TEST: happynear's label_specific_{add,margin,rescale}_layer.cpp
(a copy of bottom 0, before the label is looked at); wy1iu's largemargin_inner_product_layer.cpp (of type
SINGLE a plain product with the weights; any other margin reads the label at TEST as well) and
margin_inner_product_layer.cpp (SphereFace; likewise, and its published deploy net ends before it).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace

from decant.loader.definition.graph import Layer, Net
from decant.loader.definition.prototxt import Field, Message
from decant.loader.layers import type_of
from decant.loader.layers.layer_type import CAFFE
from decant.loader.plan.rules import is_known, python_type

_NAMED = re.compile(r"Loss(?![a-z])|Accuracy\Z")
MARGIN = "LargeMarginInnerProduct"


def is_dropped(layer: Layer, plugins: Collection[str] = ()) -> bool:
    """A loss or a measure that leaves nothing at TEST: of stock Caffe, or a fork's by its name.

    What no rule and no plugin computes and what has a weight in the sum of losses is a loss too.
    """
    of = type_of(layer)
    if of.dropped and of.origin == CAFFE:
        return True
    kind = python_type(layer) or layer.type
    if of.contains or is_known(layer, plugins):
        return False
    weights = layer.fields.texts("loss_weight")
    named = _NAMED.search(kind.removesuffix("Layer"))
    return bool(named) or of.dropped or any(float(word) for word in weights)


def at_test(net: Net, plugins: Collection[str] = ()) -> Net:
    """Layers of forks that take a label without needing it at TEST, as what they are there."""
    layers: list[Layer] = []
    notes = list(net.notes)
    for layer in net.layers:
        found = None if is_known(layer, plugins) else _simpler(layer)
        if found is None:
            layers.append(layer)
            continue
        in_place = found.type == "Split" and found.tops == found.bottoms
        layers += [] if in_place else [found]
        became = "left out, as it changes nothing" if in_place else f"became {found.type}"
        notes.append(f"{layer.name}: {layer.type} {became} at TEST")
    if len(notes) == len(net.notes):
        return net
    return replace(net, layers=tuple(layers), notes=notes)


def _simpler(layer: Layer) -> Layer | None:
    param = next((x.value for x in layer.fields.fields if x.name.endswith("_param")), Message())
    if not isinstance(param, Message) or len(layer.bottoms) != 2 or not layer.tops:
        return None
    if name := type_of(layer).identity_without:
        needed = param.boolean(name)
        return None if needed else _made(layer, "Split", {})
    if layer.type == MARGIN and param.text("type") in ("SINGLE", "1"):
        kept = [item for item in param.fields if item.name in ("num_output", "axis")]
        own = Message([*kept, Field("bias_term", "false", layer.line)], layer.line)
        return _made(layer, "InnerProduct", {"inner_product_param": own})
    return None


def _made(layer: Layer, kind: str, params: Mapping[str, Message]) -> Layer:
    """A layer of this type from the first bottom to the first top, with the same parameters."""
    line, bottoms, tops = layer.line, layer.bottoms[:1], layer.tops[:1]
    fields = [
        Field("name", layer.name, line, True),
        Field("type", kind, line, True),
        *(Field("bottom", name, line, True) for name in bottoms),
        *(Field("top", name, line, True) for name in tops),
        *(layer.fields.all("param") if kind != "Split" else []),
        *(Field(name, value, line) for name, value in params.items()),
    ]
    names = layer.param_names if kind != "Split" else ()
    return Layer(layer.name, kind, bottoms, tops, names, Message(fields, line), line)


def contained(layer: Layer, made: Collection[str]) -> Layer:
    """The function inside the loss, on the loss's first bottom; its own name for the top."""
    of = type_of(layer)
    # a second top of SoftmaxWithLoss is that very function's value
    top = (layer.tops or (layer.name,))[-1]
    while not layer.tops and top in made:
        top += "_"
    axis = layer.fields.message(of.message).text("axis") if of.message else ""
    param = Message([Field("axis", axis, layer.line)], layer.line)
    alone = replace(layer, tops=(top,), fields=Message(line=layer.line))
    return _made(alone, of.contains, {"softmax_param": param} if axis else {})
