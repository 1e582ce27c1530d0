"""One layer's tops against Caffe's: the numbers, what rounding explains, and the verdict.

Fed by our own layers (end to end), and fed with Caffe's own bottoms (isolated): both must hold.
docs/parity.md says how the numbers were chosen and what they were measured on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from decant.dumper.dumpfile import Layer
from decant.loader.definition.prototxt import Message
from decant.loader.layers import layer_type
from decant.loader.layers.layer_type import Chooses, LayerType
from decant.loader.parity.metrics import Distance, distance, error_of
from decant.loader.parity.running import Alone, Run
from decant.loader.parity.verdict import BOUND, LayerParity
from decant.loader.source.tracing import CaffeMap

# An error is explained where rounding alone moves the value by an eighth of it: Caffe's rounding and
# ours are samples of one distribution.
FACTOR = 8.0
# What rounding may explain at most, as a part of the largest value: above that a mistake would hide.
MOST = 1e-3
# A processor may flush what is smaller than this, and a Caffe may have asked for it.
DENORMAL = float(np.finfo(np.float32).tiny)
# Of a channel's own largest value, for channels of so many values: a layer's largest value lies in
# another channel, and allows more.
CHANNEL_BOUND, CHANNEL_SIZE = 1e-4, 16

LARGEST = float(np.finfo(np.float32).max)


@dataclass
class Sides:
    """One net, computed in several ways, each as far as the layer that is looked at.

    `ours` in float32, `exact` in float64, `noisy` in float32 with every value moved by a rounding;
    `alone`, `exact_alone`, `noisy_alone`: each layer by itself, fed by Caffe, in the same ways.
    """

    ours: Run
    exact: Run
    noisy: Sequence[Run]
    alone: Alone
    exact_alone: Alone
    noisy_alone: Sequence[Alone]

    def runs(self) -> Sequence[Run]:
        """Those that go on from layer to layer."""
        return (self.ours, self.exact, *self.noisy)


@dataclass
class _Place:
    """A layer where it stands: `bottom` is what Caffe fed it first, None for a layer without bottoms.

    `bound`: on its error as a part of its largest value; `near_one`: beside it, as a number.
    """

    layer: Layer
    name: str
    fields: Message
    bottom: np.ndarray | None
    bound: float = BOUND
    reason: str = ""
    near_one: float = 0.0


@dataclass
class Comparison:
    """Goes along the layers in order.

    `fields`: of the layers, by name, as Caffe was given them. `bounds`: layer type -> (bound, reason),
    from the catalog.

    Where Caffe's own arithmetic, or a near tie, puts a layer's values further off than rounding would,
    the layers behind it go on from Caffe's values: what is behind it is judged by itself.
    """

    caffe: CaffeMap
    fields: Mapping[str, Message]
    bounds: Mapping[str, tuple[float, str]]
    sides: Sides

    def compare(self, layer: Layer, name: str, bottom: np.ndarray | None) -> list[LayerParity]:
        """One entry for each top; `bottom` is what Caffe fed the layer first."""
        results = [LayerParity(name, layer.type, "passed", top) for top in layer.tops]
        tops = self.sides.ours.trace.tops.get(name, [])
        for number, result in enumerate(results):
            self._missing(result, min(len(tops), len(layer.activations)) <= number)
        if all(result.verdict == "passed" for result in results):
            self._judge(results, self._place(layer, name, bottom))
        return results

    def pass_by(self, name: str) -> None:
        """A layer that computes nothing."""
        if name in self.sides.ours.trace.tops:
            for run in self.sides.runs():
                run.done(name)

    def _missing(self, result: LayerParity, absent: bool) -> None:
        """A layer that is fused, left out, or not there."""
        name = result.layer
        if name in self.caffe.fused:
            result.verdict, result.reason = "fused", f"{self.caffe.fused[name]}: compared there"
        elif name not in self.caffe.statements and self.caffe.modules.get(name) is None:
            result.verdict, result.reason = "left out", "the module ends before it"
        elif absent:
            fail(result, "no counterpart: the module has no output for this layer")

    def _place(self, layer: Layer, name: str, bottom: np.ndarray | None) -> _Place:
        bound, reason = self.bounds.get(layer.type, (BOUND, ""))
        place = _Place(layer, name, self.fields.get(name, Message()), bottom, bound, reason)
        largest = 0.0 if bottom is None else float(np.abs(bottom).max(initial=0))
        near_one = layer_type(layer.type).near_one
        place.near_one = near_one(place.fields, largest) if near_one else 0.0
        return place

    def _judge(self, results: Sequence[LayerParity], place: _Place) -> None:
        try:
            restart = self._judged(results, place)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            # a module whose parts do not fit
            for result in results:
                fail(result, f"does not run: {str(error).splitlines()[0]}")
            restart = True
        for run in self.sides.runs():
            if restart:
                run.go_on_from(place.name, place.layer.activations)
            run.done(place.name)

    def _judged(self, results: Sequence[LayerParity], place: _Place) -> bool:
        """Whether those behind are to go on from Caffe's values."""
        sides, layer = self.sides, place.layer
        alone = sides.alone.tops(place.name)
        ours, exact, *noisy = [run.tops(place.name) for run in sides.runs()]
        restart = False
        for number, result in enumerate(results):
            caffe = np.asarray(layer.activations[number])
            of = layer_type(layer.type, place.fields)
            # of a Pooling the second top says where the largest values were
            places = layer.type == "Pooling" and number == 1
            discrete = places or of.chooses is not Chooses.NOT
            isolated = _Isolated(sides, place, number, caffe, _numbers(alone[number]), discrete)
            own = isolated.judge(result)
            end = _EndToEnd(
                caffe,
                _numbers(ours[number]),
                _numbers(exact[number]),
                [_numbers(tops[number]) for tops in noisy],
                place.bound,
                isolated.beside if own else 0.0,
                discrete,
            )
            restart |= end.judge(result) or own
        return restart


@dataclass
class _Isolated:
    """One top of a layer that was fed with Caffe's own bottoms."""

    sides: Sides
    place: _Place
    number: int
    caffe: np.ndarray
    mine: np.ndarray
    discrete: bool
    beside: float = 0.0

    def judge(self, result: LayerParity) -> bool:
        """Fill in `isolated` and the verdict; whether those behind are to go on from Caffe's values."""
        found = distance(self.mine, self.caffe)
        result.isolated = math.inf if found.reason else found.error
        if found.reason:
            fail(result, f"fed with Caffe's own input: {found.reason}")
            return False
        if found.max_abs > DENORMAL and self._to_the_bit():
            fail(result, _too_far(found.error, 0.0) + ": it only picks or moves values")
            return False
        if found.error > BOUND:
            self.beside = found.max_abs
            result.reason = self._caffes_own(found)
            if result.reason:
                return True
        return self._by_channel(result, found)

    @property
    def _type(self) -> LayerType:
        return layer_type(self.place.layer.type, self.place.fields)

    def _to_the_bit(self) -> bool:
        """Whether rounding has no part in it, so that any difference is a mistake."""
        if self.place.bound > BOUND:
            return False
        kept = self._type.chooses is Chooses.ONLY or not self.sides.alone.rounds(self.place.name)
        return kept or (self.discrete and self.place.layer.type == "Pooling")

    def _caffes_own(self, found: Distance) -> str:
        """Why Caffe's own arithmetic, or the catalog, allows the error; "" where it does not."""
        place = self.place
        if found.error <= place.bound:
            return place.reason
        if found.max_abs <= place.bound * found.largest + place.near_one:
            return "Caffe computes it as a sum with 1: what is near 0 has the rounding of 1"
        drifts = self._type.drifts
        if (
            drifts
            and place.bottom is not None
            and any(
                error_of(made, self.caffe) <= BOUND and error_of(self.mine, exact) <= BOUND
                for made, exact in drifts(place.fields, place.bottom)
            )
        ):
            return "Caffe's running sum drifts; summed as Caffe does, it agrees"
        return ""

    def _by_channel(self, result: LayerParity, found: Distance) -> bool:
        """Hold each channel against its own largest value, and against what rounding makes of it.

        One of small values hides in what the layer's largest value allows; one that rounding alone
        decides (a constant one behind MVN) must not hide the others.
        """
        mine, caffe = channels(self.mine), channels(self.caffe)
        with np.errstate(all="ignore"):
            errors, own = _largest(mine - caffe), _largest(caffe)
        bound = self.place.bound * found.largest
        plain = bound if len(own) == 1 else np.minimum(
            bound, CHANNEL_BOUND * own + self.place.near_one
        )  # fmt: skip
        if (errors <= plain).all():
            return False
        allowed = np.maximum(plain, FACTOR * self._noise())
        if (errors > allowed).any():
            over = errors / np.maximum(allowed, np.finfo(np.float64).tiny)
            fail(result, self._wrong(int(over.argmax()), errors, allowed, own, found))
            return False
        if found.error > BOUND and found.largest:
            worst = int(errors.argmax())
            moved = float(allowed[worst]) / FACTOR / found.largest
            result.reason = f"rounding alone moves this layer by {moved:.1e}"
        if found.error <= MOST:
            return False
        result.verdict = "ill-conditioned"
        return True

    def _wrong(
        self, at: int, errors: np.ndarray, allowed: np.ndarray, own: np.ndarray, found: Distance
    ) -> str:
        if not found.largest:
            return f"fed with Caffe's own input: {errors[at]:.2e} off, where Caffe has zeros alone"
        if errors[at] > self.place.bound * found.largest:
            return _too_far(errors[at] / found.largest, allowed[at] / found.largest)
        return (
            f"fed with Caffe's own input: channel {at} is {errors[at]:.2e} off, and holds values up to "
            f"{own[at]:.2e}"
        )

    def _noise(self) -> np.ndarray:
        """How far rounding alone moves each channel: several draws of it, and our own, from float64."""
        if self.discrete:
            # a choice made of the very same numbers is the same choice
            return np.zeros(len(channels(self.caffe)))
        exact = self._of(self.sides.exact_alone)
        drawn = (self._of(noisy) for noisy in self.sides.noisy_alone)
        found: np.ndarray = np.max([_moved(sample, exact) for sample in (self.mine, *drawn)], 0)
        return found

    def _of(self, alone: Alone) -> np.ndarray:
        return _numbers(alone.tops(self.place.name)[self.number])


def _too_far(error: float, allowed: float) -> str:
    return (
        f"fed with Caffe's own input: error {error:.2e} of the largest value, allowed {allowed:.1e}"
    )


@dataclass
class _EndToEnd:
    """One top that was computed from the net's input on.

    What is allowed beside rounding: `bound` of the largest value, and the number `beside`.
    """

    caffe: np.ndarray
    mine: np.ndarray
    exact: np.ndarray
    noisy: Sequence[np.ndarray]
    bound: float
    beside: float
    discrete: bool

    def judge(self, result: LayerParity) -> bool:
        """Fill in the metrics and the verdict; whether the layers behind go on from Caffe's values."""
        found = distance(self.mine, self.caffe)
        result.max_abs, result.error = found.max_abs, found.error
        result.relative_l2, result.cosine = found.relative_l2, found.cosine
        result.caffe_float64 = error_of(self.caffe, self.exact)
        result.torch_float64 = error_of(self.mine, self.exact)
        if result.verdict != "passed":
            return False
        moved = _noise((self.mine, *self.noisy), self.exact)
        noise = moved / found.largest if found.largest else 0.0
        plain = self.bound + (self.beside / found.largest if found.largest else 0.0)
        result.bound = max(plain, min(FACTOR * noise, MOST))
        within = found.error <= result.bound or found.max_abs <= self.beside
        if within and not found.reason:
            if found.error > plain:
                result.reason = f"rounding alone moves it by {noise:.1e}"
            return False
        if self.discrete:
            result.reason = "a near tie fell otherwise; fed with Caffe's own input it agrees"
            return True
        explained = found.error <= FACTOR * noise and FACTOR * noise > MOST
        if self._wavers() if found.reason else explained:
            result.verdict = "ill-conditioned"
            result.reason = f"rounding alone moves it by {noise:.1e}"
            return True
        wrong = found.reason or (
            f"error {found.error:.2e} of the largest value, allowed {result.bound:.1e}"
        )
        fail(result, f"{wrong}; fed with Caffe's own input it agrees, so the error came with it")
        return False

    def _wavers(self) -> bool:
        """Whether rounding alone makes values infinite, or NaN, or finite again."""
        finite = np.isfinite(self.mine)
        return any(not np.array_equal(np.isfinite(other), finite) for other in self.noisy)


def _noise(samples: Sequence[np.ndarray], exact: np.ndarray) -> float:
    """How far rounding alone moves a value: the samples' largest distance from float64."""
    return max(float(_moved(sample, exact).max(initial=0)) for sample in samples)


def _moved(sample: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """The distance of `sample` from float64, by channel; infinite where it has another shape.

    Of what is finite, and in float32's range: what float32 cannot hold says nothing of rounding.
    """
    if sample.shape != exact.shape:
        return np.full(len(channels(exact)), np.inf)
    with np.errstate(all="ignore"):
        apart = np.where(np.abs(exact) <= LARGEST, sample - exact, 0)
    return _largest(channels(apart))


def channels(array: np.ndarray) -> np.ndarray:
    """channels x values; all values as one channel where a channel has few."""
    if array.ndim < 2 or array[:, :1].size < CHANNEL_SIZE:
        return array.reshape(1, -1)
    return np.moveaxis(array, 1, 0).reshape(array.shape[1], -1)


def _largest(rows: np.ndarray) -> np.ndarray:
    """Of each row, of what is finite: |x|."""
    found = _largest_of_all(rows)
    if not np.isfinite(found).all():
        found = _largest_of_all(np.where(np.isfinite(rows), rows, 0))
    return np.asarray(found, np.float64)


def _largest_of_all(rows: np.ndarray) -> np.ndarray:
    """Of each row: |x|, without an array of them; NaN where it holds one."""
    found: np.ndarray = np.maximum(rows.max(1, initial=0), -rows.min(1, initial=0))
    return found


def _numbers(value: torch.Tensor) -> np.ndarray:
    array: np.ndarray = value.detach().cpu().numpy()
    return array if array.dtype == np.float64 else array.astype(np.float32, copy=False)


def fail(result: LayerParity, reason: str) -> LayerParity:
    """The same, failed for this reason."""
    result.verdict, result.reason = "failed", reason
    return result
