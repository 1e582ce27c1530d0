"""The verdict on one layer: what rounding explains passes, what it does not is named."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from decant.dumper.dumpfile import Dump, Header, Layer
from decant.loader.parity import measuring
from decant.loader.parity.verdict import LayerParity, Parity
from decant.loader.source.tracing import CaffeMap

HEADER = Header("net", "", "", "caffe", "1.0", True, "")
Function = Callable[[torch.Tensor], torch.Tensor]


class Net(nn.Module):
    """A chain of functions, each a Caffe layer of its own."""

    def __init__(self, functions: list[Function]) -> None:
        super().__init__()
        for number, function in enumerate(functions):
            part = function if isinstance(function, nn.Module) else _Layer(function)
            self.add_module(f"f{number}", part)
        self.count = len(functions)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for number in range(self.count):
            x = getattr(self, f"f{number}")(x)
        return x


class _Layer(nn.Module):
    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


def measured(
    functions: list[Function],
    x: np.ndarray,
    tops: list[np.ndarray],
    kinds: list[str] | None = None,
    params: str = "",
) -> Parity:
    """`functions` against a dump in which the layers made `tops` of `x`."""
    kinds = kinds or ["Power"] * len(functions)
    layers = [Layer("data", "Input", [], ["data"], activations=[x])]
    text = 'layer { name: "data" type: "Input" top: "data" }\n'
    for number, (kind, top) in enumerate(zip(kinds, tops, strict=True)):
        bottom = f"f{number - 1}" if number else "data"
        layers.append(Layer(f"f{number}", kind, [bottom], [f"f{number}"], activations=[top]))
        text += f'layer {{ name: "f{number}" type: "{kind}" bottom: "{bottom}" top: "f{number}" {params} }}\n'
    dump = Dump(**{**vars(HEADER), "prototxt": text}, layers=layers, probe={"data": x})
    caffe = CaffeMap({f"f{number}": f"f{number}" for number in range(len(functions))})
    return measuring.measure(dump, Net(functions).eval(), caffe)


def one(
    kind: str, function: Function, x: np.ndarray, top: np.ndarray, params: str = ""
) -> LayerParity:
    (found,) = measured([function], x, [top], [kind], params).layers
    return found


X = np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32)
SHARP = 3000.0


def sharp(x: torch.Tensor) -> torch.Tensor:
    """Moves by up to 3000 times what its input moves."""
    return torch.sin(x * SHARP)


def by_two(x: torch.Tensor) -> torch.Tensor:
    return x * 2


def off(array: np.ndarray, by: float) -> np.ndarray:
    """`by` of the largest value away, in every place, up or down."""
    signs = np.random.default_rng(1).choice([-1, 1], array.shape)
    return (array + signs * by * np.abs(array).max()).astype(np.float32)


def test_errors_within_the_bound_pass_and_beyond_it_fail() -> None:
    top = X * 2
    assert one("Power", by_two, X, off(top, 0.9e-5)).verdict == "passed"
    found = one("Power", by_two, X, off(top, 2e-5))
    assert found.verdict == "failed"
    assert (
        "fed with Caffe's own input: error 2.00e-05 of the largest value, allowed 1.0e-05"
        in found.reason
    )


def test_what_rounding_explains_passes_behind_a_sensitive_layer() -> None:
    """Caffe's first layer is within its own bound, the second makes much of it."""
    first = (X * 2).astype(np.float32)
    moved = np.nextafter(first, np.float32(9))
    second = np.sin(np.float64(moved) * SHARP).astype(np.float32)
    found = measured([by_two, sharp], X, [moved, second])
    assert found.status == "passed"
    assert found.layers[1].error > 1e-5
    assert "rounding alone moves it by" in found.layers[1].reason


def test_more_than_rounding_explains_fails_behind_a_sensitive_layer() -> None:
    first = (X * 2).astype(np.float32)
    moved = first * np.float32(1 + 4e-6)  # within the bound, and far more than a rounding
    second = np.sin(np.float64(moved) * SHARP).astype(np.float32)
    found = measured([by_two, sharp], X, [moved, second])
    assert [layer.verdict for layer in found.layers] == ["passed", "failed"]
    assert "the error came with it" in found.layers[1].reason


def test_where_rounding_decides_everything_nothing_is_decided_and_the_rest_is() -> None:
    def chaos(x: torch.Tensor) -> torch.Tensor:
        return torch.sin(x * 1e6)

    first = np.nextafter((X * 2).astype(np.float32), np.float32(9))
    second = np.sin(np.float64(first) * 1e6).astype(np.float32)
    third = (second * 2).astype(np.float32)
    found = measured([by_two, chaos, by_two], X, [first, second, third])
    assert [layer.verdict for layer in found.layers] == ["passed", "ill-conditioned", "passed"]
    assert found.status == "passed"
    # what is behind goes on from Caffe's values, and is held to the plain bound
    assert found.layers[2].error == 0
    assert (
        measured([by_two, chaos, by_two], X, [first, second, off(third, 2e-5)]).status == "failed"
    )


def test_a_layer_that_is_ill_conditioned_by_itself_is_told_from_a_wrong_one() -> None:
    def deep(x: torch.Tensor) -> torch.Tensor:
        for _ in range(12):
            x = torch.sin(x * 3)
        return x

    truth = np.float64(X)
    for _ in range(12):
        truth = np.sin(np.float32(truth) * np.float32(3))
    top = deep(torch.from_numpy(np.nextafter(X, np.float32(9)))).numpy()
    assert one("LSTM", deep, X, top).verdict in ("passed", "ill-conditioned")
    assert one("LSTM", deep, X, off(top, 0.3)).verdict == "failed"


def test_a_channel_of_small_values_does_not_hide_in_a_large_layer() -> None:
    x = np.random.default_rng(2).standard_normal((1, 3, 8, 8)).astype(np.float32)
    x[:, 1] *= np.float32(1e-6)
    top = x * 2
    top[:, 1] *= np.float32(1.01)
    found = one("Power", by_two, x, top)
    assert found.isolated < 1e-7
    assert found.verdict == "failed"
    assert "channel 1" in found.reason


def test_a_channel_of_rounding_alone_passes() -> None:
    """What cancels to nothing is noise on both sides."""
    x = np.random.default_rng(2).standard_normal((1, 2, 8, 8)).astype(np.float32)

    def cancels(x: torch.Tensor) -> torch.Tensor:
        return torch.cat((x[:, :1], x[:, 1:] * 0.1 + x[:, 1:] * 0.2 - x[:, 1:] * 0.3), 1)

    top = cancels(torch.from_numpy(x)).numpy().copy()
    top[:, 1] = top[:, 1][:, ::-1]
    assert one("Convolution", cancels, x, top).verdict == "passed"


def summed(x: np.ndarray, count: int = 16) -> np.ndarray:
    """Along the last axis, in several sums of their own, as a BLAS may do it."""
    lanes = np.cumsum(x.reshape(*x.shape[:-1], -1, count), -2, np.float32)[..., -1, :]
    found: np.ndarray = np.cumsum(lanes, -1, np.float32)[..., -1:]
    return found


@pytest.mark.parametrize("seed", [0, 16])
def test_a_sum_that_cancels_is_what_it_reads_and_passes_before_a_steep_function(seed: int) -> None:
    """1 / x of sums, of which a few are near 0: those that a rounding of their terms moves furthest."""
    random = np.random.default_rng(seed)
    weights = random.standard_normal((4096, 256)).astype(np.float32)
    x = random.standard_normal((1, 256)).astype(np.float32)
    first = summed(weights * x, 4).reshape(1, -1)
    linear = torch.from_numpy(weights.T.copy())

    def product(x: torch.Tensor) -> torch.Tensor:
        return x @ linear.to(x)

    found = measured([product, torch.reciprocal], x, [first, 1 / first])
    assert found.status == "passed", found.first_failure
    wrong = 1 / (first + np.float32(1e-3))
    assert measured([product, torch.reciprocal], x, [first, wrong]).status == "failed"


@pytest.mark.parametrize("seed", range(8))
def test_a_sum_that_is_right_by_luck_does_not_condemn_another(seed: int) -> None:
    """Values that cancel to nothing, of which one order of summation may make exactly that."""
    random = np.random.default_rng(seed)
    half = random.standard_normal((1, 1, 2048)).astype(np.float32) * 50
    x = random.permutation(np.concatenate([half, -half], 2), axis=2)
    found = one("Reduction", lambda x: x.sum(2, keepdim=True), x, summed(x))
    assert found.verdict != "failed", found.reason


def test_a_channel_that_rounding_decides_does_not_hide_the_others() -> None:
    """A constant one, normalised: what is left of it is rounding, on both sides."""
    x = np.random.default_rng(0).standard_normal((1, 4, 9, 9)).astype(np.float32)
    x[:, 1] = np.float32(0.3)

    def normalised(x: torch.Tensor) -> torch.Tensor:
        x = x - x.mean((2, 3), keepdim=True)
        return x / (x.square().mean((2, 3), keepdim=True).sqrt() + 1e-9)

    top = normalised(torch.from_numpy(x)).numpy()
    top[:, 1] = 0.4
    found = one("MVN", normalised, x, top)
    assert found.verdict == "ill-conditioned", found.reason
    assert one("MVN", lambda x: normalised(x) * 1.01, x, top).verdict == "failed"
    top[:, 1] = 40
    assert one("MVN", normalised, x, top).verdict == "failed"


def test_what_computes_nothing_agrees_to_the_bit() -> None:
    """Else a mistake hides where the values are small beside the others."""
    x = np.array([[1000.0, -1e-4, 1e-4]], np.float32)
    assert one("ReLU", nn.ReLU(), x, x.clip(min=0)).verdict == "passed"
    found = one("ReLU", nn.Identity(), x, x.clip(min=0))
    assert found.isolated < 1e-6
    assert found.verdict == "failed"
    assert "only picks or moves values" in found.reason


@pytest.mark.parametrize("kind", ["ArgMax", "Filter"])
def test_a_choice_is_one_to_the_last_place(kind: str) -> None:
    """Place 200,000 is not place 200,001; nor is a score hidden by the number of its class."""
    x = np.array([[200_000.0, 0.5]], np.float32)
    for wrong in ([[200_001, 0.5]], [[200_000, 0.50001]]):
        assert one(kind, lambda x: x * 1.0, x, np.array(wrong, np.float32)).verdict == "failed"
    assert one(kind, lambda x: x * 1.0, x, x).verdict == "passed"


@pytest.mark.parametrize(
    ("kind", "param"),
    [
        ("Threshold", ""),
        ("Yolov3DetectionOutput", ""),
        ("Python", 'python_param { module: "rpn.proposal_layer" layer: "ProposalLayer" }'),
    ],
)
def test_a_near_tie_is_decided_alone_and_what_reads_it_goes_on_from_caffe(
    kind: str, param: str
) -> None:
    def above(x: torch.Tensor) -> torch.Tensor:
        return (x > 0.5).to(x.dtype)

    def half(x: torch.Tensor) -> torch.Tensor:
        return x * 0.25

    x = np.array([[2.0, 1.0, 4.0]], np.float32)
    first = np.array([[0.5, 0.25, 1.0]], np.float32)
    turned = np.nextafter(first, np.float32(9))
    second = (turned > 0.5).astype(np.float32)
    found = measured(
        [half, above, by_two], x, [turned, second, second * 2], ["Power", kind, "Power"], param
    )
    assert [layer.verdict for layer in found.layers] == ["passed"] * 3
    assert "near tie" in found.layers[1].reason
    assert found.layers[2].error == 0
    wrong = measured(
        [half, above, by_two], x, [turned, 1 - second, second * 2], ["Power", kind, "Power"], param
    )
    assert wrong.layers[1].verdict == "failed"


def test_nan_and_infinities_must_stand_where_caffe_has_them() -> None:
    top, nan = np.array([[1.0, 2.0]], np.float32), np.array([[1.0, np.nan]], np.float32)
    inf = np.array([[np.inf, 1.0]], np.float32)
    for kind in ("ReLU", "Sigmoid", "ArgMax"):
        for caffe, mine in ((top, nan), (nan, top), (inf, top), (-inf, inf)):
            assert (
                one(kind, lambda x, m=mine: x * 0 + torch.from_numpy(m), top, caffe).verdict
                == "failed"
            )
        for same in (nan, inf):
            assert (
                one(kind, lambda x, m=same: x * 0 + torch.from_numpy(m), top, same).verdict
                == "passed"
            )


def test_an_infinity_allows_nothing_beside_it() -> None:
    x, top = np.ones((1, 2), np.float32), np.array([[np.inf, 1.0]], np.float32)
    off_ = torch.tensor([[np.inf, 1.1]])
    assert one("Exp", lambda x: x * 0 + off_, x, top).verdict == "failed"


def test_a_value_where_caffe_has_zeros_alone_is_said_so() -> None:
    x = np.random.default_rng(1).standard_normal((1, 3, 5, 5)).astype(np.float32)
    zeros = np.zeros_like(x)
    found = measured([lambda x: x * 0 + 1e-3], x, [zeros])
    assert found.status == "failed"
    assert "zeros alone" in str(found.first_failure)
    assert measured([lambda x: x * 0], x, [zeros]).status == "passed"


def test_a_layer_that_does_not_run_is_named() -> None:
    def wrong(x: torch.Tensor) -> torch.Tensor:
        return x @ torch.ones(3, 3)

    top = X * 2
    found = measured([by_two, wrong, by_two], X, [top, top, top * 2])
    assert [layer.verdict for layer in found.layers] == ["passed", "failed", "passed"]
    assert "does not run" in found.layers[1].reason
