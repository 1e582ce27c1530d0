"""Layer by layer: what PyTorch computes against what Caffe computed, and both against float64.

docs/parity.md says how the bound was chosen. Agreement with float64 never excuses a failure: our
module in float64 has our mistakes.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from dumper.dumpfile import Dump, Layer
from loader.mapping import TRANSPARENT
from loader.recording import record

BOUND = 1e-5
# Caffe's own LRN keeps a running sum along the channels and drifts where inputs exceed this
# (docs/parity.md): there the bound is this one.
LRN_DRIFT_ABOVE, LRN_BOUND = 1000.0, 1e-2


@dataclass
class LayerParity:
    """One top. `error` is max|torch - caffe| / max|caffe|; NaN stands for "not computed"."""

    layer: str
    type: str
    verdict: str
    bound: float = BOUND
    error: float = math.nan
    max_abs: float = math.nan
    relative_l2: float = math.nan
    cosine: float = math.nan
    caffe_float64: float = math.nan
    torch_float64: float = math.nan
    reason: str = ""


@dataclass
class Parity:
    """status: "passed", "failed" or "not measured" (with the reason)."""

    status: str
    reason: str = ""
    device: str = ""
    layers: list[LayerParity] = field(default_factory=list)

    @property
    def first_failure(self) -> LayerParity | None:
        """The first failing layer in order of execution."""
        return next((layer for layer in self.layers if layer.verdict == "failed"), None)

    @property
    def worst(self) -> LayerParity | None:
        """The compared layer with the largest error in terms of its bound."""
        compared = [layer for layer in self.layers if layer.verdict in ("passed", "failed")]
        return max(compared, key=lambda layer: layer.error / layer.bound, default=None)

    def to_json(self) -> dict[str, Any]:
        """Plain data; numbers that do not exist become null."""
        if self.status == "not measured":
            return {"status": self.status, "reason": self.reason}
        failure = self.first_failure
        return {
            "status": self.status,
            "device": self.device,
            "first_failure": failure.layer if failure else None,
            "layers": [
                {
                    key: None if isinstance(value, float) and not math.isfinite(value) else value
                    for key, value in asdict(layer).items()
                }
                for layer in self.layers
            ],
        }


def not_measured(reason: str) -> Parity:
    """For a dump without activations."""
    return Parity("not measured", reason)


@torch.no_grad()
def measure(
    dump: Dump,
    module: nn.Module,
    layers: Mapping[str, str | None],
    device: str = "cpu",
    bounds: Mapping[str, tuple[float, str]] | None = None,
) -> Parity:
    """Run `module` (weights loaded) on the dump's probe, in float32 and in float64, and compare.

    `layers`: Caffe layer -> module path or None. `bounds`: layer type -> (bound, reason), from the
    catalog.
    """
    module = module.eval()
    probe = [torch.from_numpy(np.array(array)) for array in dump.probe.values()]
    # TF32 would round inputs to 10 bits
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        torch.backends.cuda.matmul.allow_tf32 = False
        ours = record(module.to(device), [array.to(device) for array in probe], layers)
        exact_module = copy.deepcopy(module).double()
        exact = record(exact_module, [array.to(device).double() for array in probe], layers)
    found = [
        _compare(layer, layers, ours, exact, _input_of(dump, index), bounds or {})
        for index, layer in enumerate(dump.layers)
        if layer.type not in TRANSPARENT
    ]
    failed = any(layer.verdict == "failed" for layer in found)
    return Parity("failed" if failed else "passed", device=device, layers=found)


def _input_of(dump: Dump, index: int) -> float:
    """max|x| of the value that the layer's first bottom held when it ran."""
    bottoms = dump.layers[index].bottoms
    for layer in reversed(dump.layers[:index]):
        for top, array in zip(layer.tops, layer.activations, strict=False):
            if bottoms and top == bottoms[0]:
                return float(np.abs(array).max(initial=0))
    return 0.0


def _compare(
    layer: Layer,
    layers: Mapping[str, str | None],
    ours: Mapping[str, torch.Tensor],
    exact: Mapping[str, torch.Tensor],
    largest_input: float,
    bounds: Mapping[str, tuple[float, str]],
) -> LayerParity:
    bound, reason = bounds.get(layer.type, (BOUND, ""))
    if layer.type == "LRN" and largest_input > LRN_DRIFT_ABOVE and bound < LRN_BOUND:
        bound, reason = LRN_BOUND, f"inputs to {largest_input:.0f}: Caffe's own running sum drifts"
    result = LayerParity(layer.name, layer.type, "passed", bound, reason=reason)
    if layers.get(layer.name) is None:
        result.verdict, result.reason = "left out", "the module ends before it"
        return result
    if layer.name not in ours or not layer.activations:
        return _failed(result, "no counterpart: the module has no output for this layer")
    caffe = np.asarray(layer.activations[0])
    mine = ours[layer.name].float().cpu().numpy()
    if mine.shape != caffe.shape:
        return _failed(result, f"shape {mine.shape}, Caffe has {caffe.shape}")
    _measure(result, mine.reshape(-1), caffe.reshape(-1))
    truth = exact[layer.name].cpu().numpy().reshape(-1)
    scale = float(np.abs(truth).max(initial=0)) or 1.0
    result.caffe_float64 = float(np.abs(caffe.reshape(-1) - truth).max(initial=0)) / scale
    result.torch_float64 = float(np.abs(mine.reshape(-1) - truth).max(initial=0)) / scale
    return result


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
