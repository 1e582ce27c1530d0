"""Every Caffe layer's output inside a converted module."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from decant.loader.parity.running import run
from decant.loader.source.tracing import CaffeMap, Trace

Input = torch.Tensor | Sequence[torch.Tensor] | Mapping[str, torch.Tensor]


@torch.no_grad()
def activations(model: nn.Module, x: Input) -> OrderedDict[str, torch.Tensor | list[torch.Tensor]]:
    """Caffe layer name -> Tensor (several tops: a list), right after that layer, in-place or not.

    `model` is what `loader.load` returned. `x` is the net's input (after the transform); a net with
    several takes a sequence in their order, or a mapping by blob. Every layer with tops is there but
    Split, fused and left-out ones.
    """
    caffe: CaffeMap = model.__dict__["caffe_map"]
    if isinstance(x, Mapping):
        x = [x[blob] for blob in caffe.blobs]
    inputs = [x] if isinstance(x, torch.Tensor) else list(x)
    found = run(Trace(model, caffe), inputs)
    # a Parameter's top is the parameter itself, which wants gradients
    plain = {name: [top.detach() for top in tops] for name, tops in found.items()}
    return OrderedDict((name, tops[0] if len(tops) == 1 else tops) for name, tops in plain.items())
