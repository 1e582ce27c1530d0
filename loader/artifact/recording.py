"""Every Caffe layer's output inside a converted module."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from decant.loader.errors import UsageError
from decant.loader.parity.running import run
from decant.loader.source.tracing import CaffeMap, Trace

Input = torch.Tensor | Sequence[torch.Tensor] | Mapping[str, torch.Tensor]

_PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)


@torch.no_grad()
def activations(model: nn.Module, x: Input) -> OrderedDict[str, torch.Tensor | list[torch.Tensor]]:
    """Caffe layer name -> Tensor (several tops: a list), right after that layer, in-place or not.

    `model` is what `loader.load` returned: itself, or inside torch.compile, DataParallel,
    DistributedDataParallel, or an nn.Sequential such as `nn.Sequential(transform, model)`, whose
    earlier parts are run first. `x` is the input of `model` (of a net alone: after the transform), on
    its device; a net with several takes a sequence in their order, or a mapping by blob. Every layer
    with tops is there but Split, fused and left-out ones. Raises UsageError for any other module.
    """
    net, x = _net_of(model, x)
    caffe: CaffeMap = net.__dict__["caffe_map"]
    if isinstance(x, Mapping):
        x = [x[blob] for blob in caffe.blobs]
    inputs = [x] if isinstance(x, torch.Tensor) else list(x)
    found = run(Trace(net, caffe), inputs)
    # a Parameter's top is the parameter itself, which wants gradients
    plain = {name: [top.detach() for top in tops] for name, tops in found.items()}
    return OrderedDict((name, tops[0] if len(tops) == 1 else tops) for name, tops in plain.items())


def _net_of(model: nn.Module, x: Input) -> tuple[nn.Module, Input]:
    """The module that `load` returned, and what it is fed where `model` is fed `x`."""
    within = _wrapped_in(model)
    if within is not None:
        return _net_of(within, x)
    if "caffe_map" in model.__dict__:
        return model, x
    kind = type(model).__name__
    inside = [name for name, part in model.named_modules() if "caffe_map" in part.__dict__]
    if not inside:
        raise UsageError(
            f"activations: this {kind} holds no model that load() returned (a scripted or exported "
            "copy is none); pass that model"
        )
    if not isinstance(model, nn.Sequential):
        raise UsageError(
            f"activations: what this {kind} feeds the model inside it ({inside[0]!r}) is not known; "
            "pass that model itself, with its own input"
        )
    for name, part in model.named_children():
        if inside[0].split(".")[0] == name:
            return _net_of(part, x)
        x = part(x)
    raise AssertionError(inside)


def _wrapped_in(model: nn.Module) -> nn.Module | None:
    """The module inside a wrapper that computes nothing of its own."""
    if isinstance(model, _PARALLEL):
        within: nn.Module = model.module
        return within
    # torch.compile's class is not imported for this: that takes seconds
    return dict(model.named_children()).get("_orig_mod")
