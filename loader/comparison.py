"""One layer's tops against Caffe's: the numbers, the bound, and the verdict (docs/parity.md).

Fed by our own layers (end to end), and fed with Caffe's own bottoms (isolated): both must hold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from dumper.dumpfile import Layer
from loader.metrics import distance, error_of
from loader.tracing import CaffeMap
from loader.verdict import BOUND, LayerParity

# Caffe's own LRN keeps a running sum along the channels and drifts where inputs exceed this
# (docs/parity.md): there the bound is this one.
LRN_DRIFT_ABOVE, LRN_BOUND = 1000.0, 1e-2

# Functions whose values do not grow with their input, and the steepest slope of each: an error that
# their input may have, as a part of its largest value, comes through as this much of it.
SATURATING = {"Sigmoid": 0.25, "Softmax": 0.5, "TanH": 1.0}

# Their values are choices between numbers: rounding before them may turn a near tie. There, and after
# them, it is the isolated comparison that decides.
DISCRETE = {"ArgMax", "Threshold", "DetectionOutput", "Proposal", "Filter"}


@dataclass
class Values:
    """What was computed for a layer: float32, float64, and fed with Caffe's bottoms."""

    ours: list[torch.Tensor] | None
    exact: list[torch.Tensor] | None
    alone: list[torch.Tensor] | None


@dataclass
class _Bounds:
    """As parts of the largest value: end to end, and isolated."""

    whole: float
    alone: float
    reason: str = ""


@dataclass
class Comparison:
    """Goes along the layers in order, and keeps what of one layer's verdict bears on the next.

    `bounds`: layer type -> (bound, reason), from the catalog. `carried`: blob -> the wider bound that
    it came with. `flipped`: blobs in which near ties fell otherwise.
    """

    caffe: CaffeMap
    bounds: Mapping[str, tuple[float, str]]
    carried: dict[str, float] = field(default_factory=dict)
    flipped: set[str] = field(default_factory=set)

    def compare(
        self, layer: Layer, name: str, values: Values, largest_input: float
    ) -> list[LayerParity]:
        """One entry for each top."""
        results = []
        bounds = self._bounds(layer, largest_input)
        for number, top in enumerate(layer.tops):
            result = LayerParity(name, layer.type, "passed", top, bounds.whole)
            result.reason = bounds.reason
            results.append(result)
            if self._missing(result, layer, values, number):
                continue
            assert values.ours and values.exact and values.alone
            array = np.asarray(layer.activations[number])
            if layer.type in SATURATING:
                self._widen(result, bounds, array, largest_input)
            ours, exact, alone = (
                side[number] for side in (values.ours, values.exact, values.alone)
            )
            _judge(result, bounds, array, ours, exact, alone)
            self._discrete(result, bounds, layer, number)
        for top, result in zip(layer.tops, results, strict=True):
            self.carried.pop(top, None)
            if result.bound > bounds.alone:
                self.carried[top] = result.bound
        return results

    def _bounds(self, layer: Layer, largest_input: float) -> _Bounds:
        bound, reason = self.bounds.get(layer.type, (BOUND, ""))
        if layer.type == "LRN" and largest_input > LRN_DRIFT_ABOVE and bound < LRN_BOUND:
            bound = LRN_BOUND
            reason = f"inputs to {largest_input:.0f}: Caffe's own running sum drifts"
        carried = max((self.carried.get(bottom, 0.0) for bottom in layer.bottoms), default=0.0)
        if carried > bound:
            return _Bounds(carried, bound, reason or "the bound of its input")
        return _Bounds(bound, bound, reason)

    def _widen(
        self, result: LayerParity, bounds: _Bounds, array: np.ndarray, largest_input: float
    ) -> None:
        largest = float(np.abs(array).max(initial=0))
        through = SATURATING[result.type] * bounds.whole * largest_input
        if largest and through / largest > bounds.whole:
            result.bound = through / largest
            result.reason = f"inputs to {largest_input:.0f}: what they may be off by comes through"

    def _missing(self, result: LayerParity, layer: Layer, values: Values, number: int) -> bool:
        """A layer that is fused, left out, or not there."""
        name = result.layer
        if name in self.caffe.fused:
            result.verdict, result.reason = "fused", f"{self.caffe.fused[name]}: compared there"
        elif name not in self.caffe.statements and self.caffe.modules.get(name) is None:
            result.verdict, result.reason = "left out", "the module ends before it"
        elif values.ours is None or len(values.ours) <= number or len(layer.activations) <= number:
            _fail(result, "no counterpart: the module has no output for this layer")
        else:
            return False
        return True

    def _discrete(self, result: LayerParity, bounds: _Bounds, layer: Layer, number: int) -> None:
        chooses = layer.type in DISCRETE or (layer.type == "Pooling" and number == 1)
        after = bool(self.flipped & set(layer.bottoms))
        self.flipped.discard(layer.tops[number])
        if not (chooses or after):
            return
        if after or result.verdict == "failed":
            self.flipped.add(layer.tops[number])
        if result.verdict == "failed" and result.isolated <= bounds.alone:
            result.verdict = "passed"
            result.reason = "a near tie fell otherwise; fed with Caffe's own input it agrees"


def _judge(
    result: LayerParity,
    bounds: _Bounds,
    array: np.ndarray,
    ours: torch.Tensor,
    exact: torch.Tensor,
    alone: torch.Tensor,
) -> None:
    """Both verdicts, and the distances from float64."""
    apart = LayerParity(result.layer, result.type, "passed", result.top, bounds.alone)
    _measure(apart, alone.float().cpu().numpy(), array)
    _measure(result, ours.float().cpu().numpy(), array)
    # NaN, infinity or another shape is no number that a bound could allow
    wrong = apart.verdict == "failed" and not apart.error > bounds.alone
    result.isolated = math.inf if wrong else apart.error
    if result.verdict == "passed" and apart.verdict == "failed":
        _fail(result, f"fed with Caffe's own input: {apart.reason}")
    elif result.verdict == "failed" and apart.verdict == "passed":
        result.reason += "; fed with Caffe's own input it agrees, so the error came with the input"
    truth = exact.cpu().double().numpy()
    result.caffe_float64 = error_of(array, truth)
    result.torch_float64 = error_of(ours.float().cpu().numpy(), truth)


def _fail(result: LayerParity, reason: str) -> None:
    result.verdict, result.reason = "failed", reason


def _measure(result: LayerParity, mine: np.ndarray, caffe: np.ndarray) -> None:
    """Fill in the metrics and the verdict. NaN and infinities fail unless Caffe has them there too."""
    found = distance(mine, caffe)
    result.max_abs, result.error = found.max_abs, found.error
    result.relative_l2, result.cosine = found.relative_l2, found.cosine
    if found.reason:
        _fail(result, found.reason)
    elif not found.error <= result.bound:
        _fail(result, f"error {found.error:.1e} of the largest value, allowed {result.bound:.0e}")
