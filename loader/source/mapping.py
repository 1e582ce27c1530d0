"""Dump + module -> state_dict: every blob used once, every key filled once, or nothing at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING

import numpy as np

from decant.dumper.dumpfile import Dump, Layer
from decant.loader.errors import MappingError
from decant.loader.layers import layer_type
from decant.loader.layers.rule import same_shape

if TYPE_CHECKING:
    from torch import nn

# what a layer's blobs are called in a module: Convolution and InnerProduct (caffe.proto order)
PARTS = ("weight", "bias")


@dataclass
class ParameterMap:
    """`tensors`: key -> float32 array (a view of the dump); `origin`: key -> (layer, blob index)."""

    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    origin: dict[str, tuple[str, int]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def map_parameters(dump: Dump, module: nn.Module, layers: Mapping[str, str | None]) -> ParameterMap:
    """`layers`: Caffe layer -> module path, None = left out on purpose.

    Shapes must be equal up to Caffe's legacy rule (leading ones, blob.cpp). Raises MappingError with
    every discrepancy. The module may be on the meta device: only names and shapes are read.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    result, wrong = ParameterMap(), _unmatched(dump, layers)
    for layer in dump.layers:
        path = layers.get(layer.name)
        if path is None:
            wrong += _left_out(layer, layers, result)
            continue
        for number, array in enumerate(layer.params):
            key = f"{path}.{PARTS[number]}" if number < len(PARTS) else f"{path}.{number}"
            wrong += _place(result, wanted, key, (layer.name, number), array)
    wrong += [
        f"missing key {key!r}: no blob fills it" for key in wanted if key not in result.tensors
    ]
    if wrong:
        raise MappingError(f"the dump does not fit the module: {wrong[0]}", wrong)
    return result


def _unmatched(dump: Dump, layers: Mapping[str, str | None]) -> list[str]:
    names = [layer.name for layer in dump.layers]
    wrong = []
    for name, path in layers.items():
        if path is not None and name not in names:
            near = get_close_matches(name, names, 1)
            hint = f"; is it {near[0]!r}?" if near else ""
            wrong.append(f"the net has no layer {name!r}, which the module maps to {path!r}{hint}")
    return wrong


def _left_out(layer: Layer, layers: Mapping[str, str | None], result: ParameterMap) -> list[str]:
    if layer_type(layer.type).transparent:
        return []
    if layer.name not in layers:
        return [f"layer {layer.name!r} ({layer.type}) of the net has no place in the module"]
    if layer.params:
        return [f"layer {layer.name!r} is left out of the module but has parameters"]
    result.left_out[layer.name] = f"{layer.type}: left out of the module, which ends before it"
    return []


def _place(
    result: ParameterMap,
    wanted: Mapping[str, tuple[int, ...]],
    key: str,
    origin: tuple[str, int],
    array: np.ndarray,
) -> list[str]:
    about = f"layer {origin[0]!r}, blob {origin[1]}"
    if key not in wanted:
        return [f"{about}: the module has no key {key!r}"]
    if key in result.tensors:
        return [f"{about}: key {key!r} is filled already, by {result.origin[key]}"]
    if not same_shape(tuple(array.shape), wanted[key]):
        return [f"{key!r}: the dump has {tuple(array.shape)}, the module wants {wanted[key]}"]
    result.tensors[key] = array.reshape(wanted[key])
    result.origin[key] = origin
    return []
