"""NVCaffe's BatchNorm with a scale and a bias of its own: five blobs.

The oracle is NVCaffe's Forward_cpu at TEST (batch_norm_layer.cpp), transcribed: no Caffe here has that layer.
What goes to stock Caffe in its place is held against real Caffe in tests/container/test_weights.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from decant.loader.errors import BadInput
from tests.helpers import encode_caffemodel as encode
from tests.helpers.nets import inputs_text, layer
from tests.helpers.pairs import answer, dumped, made, params, random

MEAN, VARIANCE = random(4, seed=1), np.abs(random(4, seed=2)) + np.float32(0.1)
SCALE, SHIFT = random(4, seed=3), random(4, seed=4)
# NVCaffe's order, the correction in the middle; and that of DIGITS, four axes each, before it
NEW = [MEAN, VARIANCE, np.float32([1]), SCALE, SHIFT]
OLD = [x.reshape(1, -1, 1, 1) for x in (SCALE, SHIFT, MEAN, VARIANCE)] + [
    np.ones((1, 1, 1, 1), "f4")
]
FOUR = inputs_text({"data": (1, 4, 3, 3)})
ASKED = "batch_norm_param { scale_bias: true eps: 0.0001 }"


def forward(x: np.ndarray, eps: float, mean: np.ndarray = MEAN) -> np.ndarray:
    """Forward_cpu at TEST, float32: x - EX, times (var + eps)^-0.5, times scale, plus shift."""
    one = (slice(None), *(None,) * (x.ndim - 2))
    inverse = np.power(VARIANCE + np.float32(max(eps, 1e-5)), np.float32(-0.5))
    normal = (x - mean[one]) * inverse[one]
    return normal * SCALE[one] + SHIFT[one]


def norm(param: str, bottom: str = "data", top: str = "bn") -> str:
    return layer("bn", "BatchNorm", [bottom], [top], param)


def close(found: np.ndarray, expected: np.ndarray) -> bool:
    return float(np.abs(found - expected).max()) <= 1e-5 * float(np.abs(expected).max())


@pytest.mark.parametrize("blobs", [NEW, OLD], ids=["nvcaffe", "digits"])
@pytest.mark.parametrize(
    ("param", "eps"),
    [
        (ASKED, 1e-4),
        ("", 1e-5),
        ("batch_norm_param { eps: 1e-9 scale_bias: true }", 1e-5),
        ("batch_norm_param { use_global_stats: false scale_bias: true moving_average_fraction: 0.9 }", 1e-5),
        ("batch_norm_param { scale_filler { value: 1 } bias_filler { value: 0 } }", 1e-5),
    ],
)  # fmt: skip
@pytest.mark.parametrize("shape", [(2, 4, 3, 3), (3, 4)])
def test_five_blobs_are_an_affine_batchnorm(
    blobs: list[np.ndarray], param: str, eps: float, shape: tuple[int, ...], tmp_path: Path
) -> None:
    weights = encode.net("current", [("bn", "BatchNorm", blobs)])
    dump = dumped(tmp_path, inputs_text({"data": shape}) + norm(param), weights)
    x = random(*shape, seed=9)
    assert close(answer(dump, data=x), forward(x, eps))
    numbers = {key: blob for key, (_, blob) in made(dump).origin.items()}
    old = blobs is OLD
    assert numbers == {
        "bn.running_mean": 2 if old else 0,
        "bn.running_var": 3 if old else 1,
        "bn.weight": 0 if old else 3,
        "bn.bias": 1 if old else 4,
    }


def test_the_correction_is_not_looked_at(tmp_path: Path) -> None:
    """NVCaffe writes 1 there; whatever stands there, its forward at TEST does not read it."""
    x = random(1, 4, 3, 3, seed=5)
    for value in (1.0, 0.0, 999.0):
        blobs = [MEAN, VARIANCE, np.float32([value]), SCALE, SHIFT]
        weights = encode.net("current", [("bn", "BatchNorm", blobs)])
        dump = dumped(tmp_path, inputs_text({"data": (1, 4, 3, 3)}) + norm(ASKED), weights)
        assert close(answer(dump, data=x), forward(x, 1e-4))


def test_a_mean_many_deviations_away_is_subtracted_first(tmp_path: Path) -> None:
    """As in every other BatchNorm: x * a + b would cancel."""
    far = MEAN + np.float32(1e4)
    weights = encode.net("current", [("bn", "BatchNorm", [far, *NEW[1:]])])
    dump = dumped(tmp_path, FOUR + norm(ASKED), weights)
    x = random(1, 4, 3, 3, seed=5) + far[:, None, None]
    assert close(answer(dump, data=x), forward(x, 1e-4, far))


SC = layer("sc", "Scale", ["bn"], ["sc"], "scale_param { bias_term: true }")
BN_5 = ("bn", "BatchNorm", NEW)


def test_a_scale_that_the_file_lacks_has_its_values_in_the_batchnorm(tmp_path: Path) -> None:
    text = FOUR + norm("batch_norm_param { eps: 0.0001 }") + SC
    dump = dumped(tmp_path, text, encode.net("current", [BN_5]))
    assert [len(layer.params) for layer in dump.layers] == [0, 3, 2]
    assert np.array_equal(params(dump)["sc"][0], SCALE)
    assert np.array_equal(params(dump)["sc"][1], SHIFT)
    x = random(1, 4, 3, 3, seed=6)
    assert close(answer(dump, data=x), forward(x, 1e-4))
    assert any("'sc', which the caffemodel lacks" in note for note in made(dump).notes)


def test_a_scale_of_its_own_comes_on_top(tmp_path: Path) -> None:
    own = (random(4, seed=7), random(4, seed=8))
    weights = encode.net("current", [BN_5, ("sc", "Scale", list(own))])
    dump = dumped(tmp_path, FOUR + norm(ASKED) + SC, weights)
    x = random(1, 4, 3, 3, seed=6)
    both = forward(x, 1e-4) * own[0][:, None, None] + own[1][:, None, None]
    assert close(answer(dump, data=x), both)


OTHER_SCALES = {
    "no bias, and the file has one": FOUR
    + norm("")
    + layer("sc", "Scale", ["bn"], ["sc"]),
    "the definition asks for scale_bias itself": FOUR + norm(ASKED) + SC,
    "another layer reads the BatchNorm": FOUR + norm("") + SC + layer("r", "ReLU", ["bn"], ["r"]),
    "no factor a channel": FOUR
    + norm("")
    + layer("sc", "Scale", ["bn"], ["sc"], "scale_param { bias_term: true axis: 0 }"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_SCALES)
def test_a_scale_is_not_guessed_where_it_may_be_another(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"'sc' \(Scale\) has no weights"):
        dumped(tmp_path, OTHER_SCALES[name], encode.net("current", [BN_5]))


WRONG = {
    "scale_bias with three blobs": (ASKED, NEW[:3], "has 3 parameter blobs, not 5"),
    "four blobs": ("", NEW[:4], "takes 3 parameter blobs, and has 4"),
    "another number of channels": (ASKED, [x[:3] if x.size > 1 else x for x in NEW], "1 x 4 x 3 x 3"),
    "parts of different sizes": (ASKED, [*NEW[:4], SHIFT[:2]], "not NVCaffe's"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_other_blobs_are_refused(name: str, tmp_path: Path) -> None:
    param, blobs, expected = WRONG[name]
    weights = encode.net("current", [("bn", "BatchNorm", blobs)])
    with pytest.raises(BadInput, match=expected):
        dumped(tmp_path, FOUR + norm(param), weights)


def test_one_channel_has_no_order_that_can_be_told(tmp_path: Path) -> None:
    weights = encode.net("current", [("bn", "BatchNorm", [random(1, seed=n) for n in range(5)])])
    with pytest.raises(BadInput, match="of several channels"):
        dumped(tmp_path, inputs_text({"data": (1, 1, 3, 3)}) + norm(ASKED), weights)
