"""Every Caffe layer's output inside a converted module, taken by hooks on its submodules."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn


def record(
    module: nn.Module, inputs: Sequence[torch.Tensor], layers: Mapping[str, str | None]
) -> OrderedDict[str, torch.Tensor]:
    """Run once; Caffe layer name -> output, in the order in which the layers ran.

    The zoo's modules have a submodule for every layer, and none of them works in place: what a hook
    sees stays what it is.
    """
    names: dict[str, list[str]] = {}
    for layer, path in layers.items():
        if path is not None:
            names.setdefault(path, []).append(layer)
    found: OrderedDict[str, torch.Tensor] = OrderedDict()
    handles = []
    try:
        for path, holders in names.items():
            hook = _hook(holders, found)
            handles.append(module.get_submodule(path).register_forward_hook(hook))
        module(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _hook(layers: list[str], found: OrderedDict[str, torch.Tensor]) -> Any:
    def hook(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        for layer in layers:
            if layer in found:
                raise RuntimeError(f"layer {layer!r}: its module ran twice")
            found[layer] = output

    return hook


def activations(model: nn.Module, x: torch.Tensor) -> OrderedDict[str, torch.Tensor]:
    """Caffe layer name -> Tensor, right after that layer, for every layer the module computes.

    `model` is what `loader.load` returned; `x` is the net's input (after the transform).
    """
    layers: Mapping[str, str | None] = model.caffe_layers()  # type: ignore[operator]
    return record(model, [x], layers)
