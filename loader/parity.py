"""Layer by layer: what PyTorch computes against what Caffe computed, and both against float64.

docs/parity.md says how the bound was chosen. Agreement with float64 never excuses a failure: our
module in float64 has our mistakes.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from dumper.dumpfile import Dump, Layer
from loader.comparison import Comparison, Values
from loader.errors import BadInput
from loader.mapping import TRANSPARENT
from loader.naming import unique
from loader.tracing import CaffeMap, Known, Trace
from loader.verdict import LayerParity, Parity


@torch.no_grad()
def measure(
    dump: Dump,
    module: nn.Module,
    caffe: CaffeMap,
    device: str = "cpu",
    bounds: Mapping[str, tuple[float, str]] | None = None,
) -> Parity:
    """Run `module` (weights loaded) on the dump's probe, in float32 and in float64, and compare.

    `caffe` says which part of the module is which layer. `bounds`: layer type -> (bound, reason),
    from the catalog. Raises BadInput for a dump whose probe is empty.
    """
    empty = [name for name, array in dump.probe.items() if not array.size]
    if empty:
        raise BadInput(f"the dump's input {empty[0]!r} is empty, and proves nothing; dump it again")
    module = module.eval()
    probe = [torch.from_numpy(np.array(dump.probe[name])) for name in _order(dump, caffe)]
    # TF32 would round inputs to 10 bits
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        torch.backends.cuda.matmul.allow_tf32 = False
        trace = Trace(module.to(device), caffe)
        ours = trace.run([array.to(device) for array in probe])
        apart = alone(dump, trace, device)
        exact_module = copy.deepcopy(module).double()
        exact = Trace(exact_module, caffe).run([array.to(device).double() for array in probe])
    found: list[LayerParity] = []
    comparison = Comparison(caffe, bounds or {})
    for index, name, layer in _named(dump):
        if layer.type not in TRANSPARENT:
            values = Values(ours.get(name), exact.get(name), apart.get(name))
            found += comparison.compare(layer, name, values, _input_of(dump, index))
    failed = any(layer.verdict == "failed" for layer in found)
    return Parity("failed" if failed else "passed", device=device, layers=found)


def _order(dump: Dump, caffe: CaffeMap) -> list[str]:
    """The inputs' blobs as the module takes them."""
    return list(caffe.blobs) or list(dump.probe)


def _named(dump: Dump) -> list[tuple[int, str, Layer]]:
    """(place, unique name, layer)."""
    names = unique(layer.name for layer in dump.layers)
    return [
        (at, name, layer) for at, (name, layer) in enumerate(zip(names, dump.layers, strict=True))
    ]


def alone(dump: Dump, trace: Trace, device: str) -> dict[str, list[torch.Tensor]]:
    """Every layer fed with what Caffe fed it."""
    known = Known()
    blobs = dict(dump.probe)
    for node, name in zip(trace.placeholders, _order(dump, trace.caffe), strict=True):
        known.arrays[node] = blobs[name]
    for _, name, layer in _named(dump):
        for node, array in zip(trace.tops.get(name, []), layer.activations, strict=False):
            known.arrays[node] = array
    known.device = device
    layers = [name for name in trace.tops if name not in trace.caffe.inputs]
    return {name: trace.alone(name, known) for name in layers}


def _input_of(dump: Dump, index: int) -> float:
    """max|x| of the value that the layer's first bottom held when it ran."""
    bottoms = dump.layers[index].bottoms
    for layer in reversed(dump.layers[:index]):
        for top, array in zip(layer.tops, layer.activations, strict=False):
            if bottoms and top == bottoms[0]:
                return float(np.abs(array).max(initial=0))
    return 0.0
