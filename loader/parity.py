"""Layer by layer: what PyTorch computes against what Caffe computed, and both against float64.

docs/parity.md says how the bound was chosen. Agreement with float64 never excuses a failure: our
module in float64 has our mistakes.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from dumper.dumpfile import Dump, Layer
from loader.mapping import TRANSPARENT
from loader.naming import unique
from loader.tracing import CaffeMap, Known, Trace
from loader.verdict import BOUND, LayerParity, Parity

# Caffe's own LRN keeps a running sum along the channels and drifts where inputs exceed this
# (docs/parity.md): there the bound is this one.
LRN_DRIFT_ABOVE, LRN_BOUND = 1000.0, 1e-2


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
    from the catalog.
    """
    module = module.eval()
    probe = [torch.from_numpy(np.array(dump.probe[name])) for name in _order(dump, caffe)]
    # TF32 would round inputs to 10 bits
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        torch.backends.cuda.matmul.allow_tf32 = False
        trace = Trace(module.to(device), caffe)
        ours = trace.run([array.to(device) for array in probe])
        alone = _alone(dump, trace, device)
        exact_module = copy.deepcopy(module).double()
        exact = Trace(exact_module, caffe).run([array.to(device).double() for array in probe])
    found: list[LayerParity] = []
    flipped: set[str] = set()
    for index, name, layer in _named(dump):
        if layer.type not in TRANSPARENT:
            several = _Compared(layer, name, ours.get(name), exact.get(name), alone.get(name))
            bound = _bound(layer, _input_of(dump, index), bounds or {})
            found += _compare(several, caffe, bound, flipped)
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


def _alone(dump: Dump, trace: Trace, device: str) -> dict[str, list[torch.Tensor]]:
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


@dataclass
class _Compared:
    """A layer and what was computed for it: float32, float64, and fed with Caffe's bottoms."""

    layer: Layer
    name: str
    ours: list[torch.Tensor] | None
    exact: list[torch.Tensor] | None
    alone: list[torch.Tensor] | None


def _bound(
    layer: Layer, largest_input: float, bounds: Mapping[str, tuple[float, str]]
) -> tuple[float, str]:
    bound, reason = bounds.get(layer.type, (BOUND, ""))
    if layer.type == "LRN" and largest_input > LRN_DRIFT_ABOVE and bound < LRN_BOUND:
        return LRN_BOUND, f"inputs to {largest_input:.0f}: Caffe's own running sum drifts"
    return bound, reason


def _compare(
    found: _Compared, caffe: CaffeMap, bound: tuple[float, str], flipped: set[str]
) -> list[LayerParity]:
    """One entry for each top. `flipped`: blobs in which near ties fell otherwise; kept up to date."""
    layer, name = found.layer, found.name
    results = []
    for number, top in enumerate(layer.tops):
        result = LayerParity(name, layer.type, "passed", top, *bound[:1], reason=bound[1])
        results.append(result)
        if name not in found_layers(caffe):
            result.verdict, result.reason = "left out", "the module ends before it"
            if name in caffe.fused:
                result.verdict = "fused"
                result.reason = f"{caffe.fused[name]}: compared there"
            continue
        if found.ours is None or len(found.ours) <= number or len(layer.activations) <= number:
            _failed(result, "no counterpart: the module has no output for this layer")
            continue
        array = np.asarray(layer.activations[number])
        assert found.exact is not None and found.alone is not None
        _judge(result, array, found.ours[number], found.exact[number], found.alone[number])
        _discrete(result, layer, number, flipped)
    return results


def found_layers(caffe: CaffeMap) -> set[str]:
    """The layers that the module computes."""
    return set(caffe.statements) | {
        name for name, path in caffe.modules.items() if path is not None
    }


def _judge(
    result: LayerParity,
    array: np.ndarray,
    ours: torch.Tensor,
    exact: torch.Tensor,
    alone: torch.Tensor,
) -> None:
    """Both verdicts, and the distances from float64."""
    mine = ours.float().cpu().numpy()
    if mine.shape != array.shape:
        _failed(result, f"shape {mine.shape}, Caffe has {array.shape}")
        return
    caffe = array.reshape(-1)
    apart = LayerParity(result.layer, result.type, "passed", result.top, result.bound)
    if tuple(alone.shape) != array.shape:
        _failed(apart, f"shape {tuple(alone.shape)}, Caffe has {array.shape}")
    else:
        _measure(apart, alone.float().cpu().numpy().reshape(-1), caffe)
    _measure(result, mine.reshape(-1), caffe)
    result.isolated = apart.error
    if result.verdict == "passed" and apart.verdict == "failed":
        _failed(result, f"fed with Caffe's own input: {apart.reason}")
    elif result.verdict == "failed" and apart.verdict == "passed":
        result.reason += "; fed with Caffe's own input it agrees, so the error came with the input"
    if tuple(exact.shape) != array.shape:
        return
    truth = exact.cpu().double().numpy().reshape(-1)
    scale = float(np.abs(truth).max(initial=0)) or 1.0
    result.caffe_float64 = float(np.abs(caffe - truth).max(initial=0)) / scale
    result.torch_float64 = float(np.abs(mine.reshape(-1) - truth).max(initial=0)) / scale


# Their values are choices between numbers: rounding before them may turn a near tie. There, and after
# them, it is the isolated comparison that decides.
DISCRETE = {"ArgMax", "Threshold", "DetectionOutput", "Proposal", "Filter"}


def _discrete(result: LayerParity, layer: Layer, number: int, flipped: set[str]) -> None:
    chooses = layer.type in DISCRETE or (layer.type == "Pooling" and number == 1)
    after = bool(flipped & set(layer.bottoms))
    agrees = result.isolated <= result.bound
    flipped.discard(layer.tops[number])
    if not (chooses or after):
        return
    if after or result.verdict == "failed":
        flipped.add(layer.tops[number])
    if result.verdict == "failed" and agrees:
        result.verdict = "passed"
        result.reason = "a near tie fell otherwise; fed with Caffe's own input it agrees"


def _failed(result: LayerParity, reason: str) -> LayerParity:
    result.verdict, result.reason = "failed", reason
    return result


def _measure(result: LayerParity, mine: np.ndarray, caffe: np.ndarray) -> None:
    """Fill in the metrics and the verdict. NaN fails unless Caffe has it in the same place."""
    same_nan = np.array_equal(np.isnan(mine), np.isnan(caffe))
    a = np.nan_to_num(mine.astype(np.float64), nan=0.0)
    b = np.nan_to_num(caffe.astype(np.float64), nan=0.0)
    difference = np.where(a == b, 0.0, a - b)
    largest, norm = float(np.abs(b).max(initial=0)), float(np.linalg.norm(b))
    result.max_abs = float(np.abs(difference).max(initial=0))
    result.error = (
        result.max_abs / largest if largest else (0.0 if not result.max_abs else math.inf)
    )
    result.relative_l2 = float(np.linalg.norm(difference)) / norm if norm else result.error
    lengths = norm * float(np.linalg.norm(a))
    result.cosine = float(a @ b) / lengths if lengths else float(result.max_abs == 0)
    if not same_nan:
        _failed(result, "NaN where Caffe has none, or the reverse")
    elif not result.max_abs <= result.bound * largest:
        _failed(
            result, f"error {result.error:.1e} of the largest value, allowed {result.bound:.0e}"
        )
