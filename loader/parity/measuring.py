"""Layer by layer: what PyTorch computes against what Caffe computed, and both against float64.

docs/parity.md says how the bounds were chosen. Agreement with float64 never excuses a failure: our
module in float64 has our mistakes.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import torch
from torch import fx, nn

from decant.dumper.dumpfile import Dump, Layer
from decant.loader.definition.graph import net_from_text
from decant.loader.definition.naming import unique
from decant.loader.definition.prototxt import Message
from decant.loader.errors import BadInput
from decant.loader.layers import layer_type
from decant.loader.parity.comparison import Comparison, Sides, fail
from decant.loader.parity.running import Alone, Run, forget
from decant.loader.parity.verdict import LayerParity, Parity
from decant.loader.source.tracing import CaffeMap, Trace

# how often rounding is drawn where a net may be more sensitive to it than most
SAMPLES = 4


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
    module = module.eval().to(device)
    trace = Trace(module, caffe)
    # TF32 would round inputs to 10 bits
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        torch.backends.cuda.matmul.allow_tf32 = False
        exact = copy.deepcopy(module).double()
        found = _compared(dump, trace, exact, device, bounds or {}, 0)
        if any(_may_be_rounding(layer) for layer in found):
            found = _compared(dump, trace, exact, device, bounds or {}, SAMPLES)
    forget(module)
    failed = any(layer.verdict == "failed" for layer in found)
    return Parity("failed" if failed else "passed", device=device, layers=found)


def _may_be_rounding(layer: LayerParity) -> bool:
    """Refused end to end alone: one sample of rounding is little to go by."""
    return layer.verdict == "failed" and layer.isolated <= 1


def _compared(
    dump: Dump,
    trace: Trace,
    exact: nn.Module,
    device: str,
    bounds: Mapping[str, tuple[float, str]],
    samples: int,
) -> list[LayerParity]:
    sides = _sides(dump, trace, exact, device, samples)
    comparison = Comparison(trace.caffe, _fields(dump), bounds, sides)
    found: list[LayerParity] = []
    held: dict[str, np.ndarray] = {}  # what each blob holds by now
    for _, name, layer in named(dump):
        if layer_type(layer.type).transparent:
            comparison.pass_by(name)
        else:
            bottom = held.get(layer.bottoms[0]) if layer.bottoms else None
            found += comparison.compare(layer, name, bottom)
        held.update(zip(layer.tops, layer.activations, strict=False))
    return _whole(found) + _outputs(dump, trace)


def _sides(dump: Dump, trace: Trace, exact: nn.Module, device: str, samples: int) -> Sides:
    inputs = [torch.from_numpy(np.array(dump.probe[name])) for name in _order(dump, trace.caffe)]
    single = torch.zeros((), dtype=torch.float32, device=device)
    double = single.double()
    known = caffe_values(dump, trace)

    def draw(seed: int) -> torch.Generator:
        return torch.Generator().manual_seed(seed)

    return Sides(
        ours=Run(trace, trace.module, [array.to(single) for array in inputs]),
        exact=Run(trace, exact, [array.to(double) for array in inputs]),
        noisy=[
            Run(trace, trace.module, [array.to(single) for array in inputs], draw(at))
            for at in range(samples)
        ],
        alone=Alone(trace, trace.module, known, single),
        exact_alone=Alone(trace, exact, known, double),
        noisy_alone=[Alone(trace, trace.module, known, single, draw(at)) for at in range(SAMPLES)],
    )


def caffe_values(dump: Dump, trace: Trace) -> dict[fx.Node, np.ndarray]:
    """Caffe's value of every node of the graph that stands for a top or an input."""
    known = dict(
        zip(trace.placeholders, (dump.probe[x] for x in _order(dump, trace.caffe)), strict=True)
    )
    for _, name, layer in named(dump):
        known.update(zip(trace.tops.get(name, []), layer.activations, strict=False))
    return known


def _order(dump: Dump, caffe: CaffeMap) -> list[str]:
    """The inputs' blobs as the module takes them."""
    return list(caffe.blobs) or list(dump.probe)


def named(dump: Dump) -> list[tuple[int, str, Layer]]:
    """(place, unique name, layer)."""
    names = unique(layer.name for layer in dump.layers)
    return [
        (at, name, layer) for at, (name, layer) in enumerate(zip(names, dump.layers, strict=True))
    ]


def _fields(dump: Dump) -> dict[str, Message]:
    """What Caffe was told of each layer, by unique name."""
    net = net_from_text(dump.prototxt_run or dump.prototxt, "the dump's prototxt")
    names = unique(layer.name for layer in net.layers)
    return {name: layer.fields for name, layer in zip(names, net.layers, strict=True)}


def _whole(layers: list[LayerParity]) -> list[LayerParity]:
    """A module may end before the net does; a layer that is left out in its middle is a fault."""
    compared = [at for at, layer in enumerate(layers) if layer.verdict in ("passed", "failed")]
    for layer in layers[: compared[-1] if compared else 0]:
        if layer.verdict == "left out":
            fail(layer, "left out, though the module goes on behind it")
    return layers


def _outputs(dump: Dump, trace: Trace) -> list[LayerParity]:
    """An entry for each output of the module that is not what Caffe has under that name."""
    expected = _expected(dump, trace)
    (returned,) = next(node for node in reversed(trace.graph.nodes) if node.op == "output").args
    if not isinstance(returned, Mapping):
        returned = dict.fromkeys(list(expected)[:1], returned)
    wrong = []
    for blob, (layer, node) in expected.items():
        if returned.get(blob) is not node:
            state = "returns another value as" if blob in returned else "does not return"
            result = LayerParity(layer.name, layer.type, "failed", blob)
            wrong.append(fail(result, f"the module {state} output {blob!r}"))
    for blob in returned:
        if blob not in expected:
            result = LayerParity(str(blob), "", "failed", str(blob))
            wrong.append(fail(result, f"the module returns {blob!r}, which the net does not"))
    return wrong


def _expected(dump: Dump, trace: Trace) -> dict[str, tuple[Layer, fx.Node]]:
    """The net's output blobs: their layer and its node. Of a module that ends before: the last one."""
    nodes: dict[str, fx.Node] = {}
    makers: dict[str, Layer] = {}
    ends: dict[str, None] = {}
    for _, name, layer in named(dump):
        tops = trace.tops.get(name, [])
        if layer.type == "Split":
            tops = [nodes[layer.bottoms[0]]] * len(layer.tops) if layer.bottoms[0] in nodes else []
        for bottom in layer.bottoms:
            ends.pop(bottom, None)
        if tops or not layer_type(layer.type).transparent:
            ends.update(dict.fromkeys(layer.tops))
        nodes.update(zip(layer.tops, tops, strict=False))
        makers.update(dict.fromkeys(layer.tops, layer))
    computed = {blob: (makers[blob], nodes[blob]) for blob in ends if blob in nodes}
    made = {blob: end for blob, end in computed.items() if end[1].op != "placeholder"} or computed
    if len(computed) == len(ends):
        return made
    last = [layer for _, name, layer in named(dump) if name in trace.tops][-1]
    return {last.tops[0]: (last, nodes[last.tops[0]])}
