"""Numbers of a definition as model.py prints them: what float32 makes of 1e-5 is 1e-5."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from decant.loader.definition.prototxt import number
from decant.loader.layers.rule import short
from tests.helpers.nets import inputs_text, layer
from tests.loader.source.test_codegen import made

# as Python, protobuf (C++), and older protobufs print a float32
SPELLINGS = ["{!r}", "{:.9g}", "{:.12g}", "{:.8e}"]


@pytest.mark.parametrize("decimal", ["1e-5", "0.1", "0.3", "1e-10", "0.00390625", "127.5", "2e-7", "-0.7", "1e30", "123456.0"])  # fmt: skip
def test_a_float32_in_all_of_its_digits_is_the_decimal_it_came_from(decimal: str) -> None:
    rounded = float(np.float32(decimal))
    for spelling in SPELLINGS:
        assert short(number(spelling.format(rounded))) == float(decimal)


@pytest.mark.parametrize("text", ["0.017453292519943295", "3.14159274", "16777217", "1e-40", "1e39", "inf", "0", "-0.0", "0.1234567"])  # fmt: skip
def test_other_numbers_stay_what_they_are(text: str) -> None:
    assert repr(short(number(text))) == repr(float(text))


# not Exp and Log, whose factors are worked out in float32 and then raised to a power
NETS = {
    "BatchNorm": "batch_norm_param { eps: %s }",
    "MVN": "mvn_param { eps: %s }",
    "Power": "power_param { scale: %s shift: %s power: 2 }",
    "ReLU": "relu_param { negative_slope: %s }",
    "ELU": "elu_param { alpha: %s }",
    "Eltwise": "eltwise_param { coeff: 1 coeff: %s }",
    "LRN": "lrn_param { local_size: 5 alpha: %s beta: 0.75 }",
    "Threshold": "threshold_param { threshold: %s }",
    "Clip": "clip_param { min: -1 max: %s }",
    "Dropout": "dropout_param { dropout_ratio: %s }",
}


@torch.no_grad()
@pytest.mark.parametrize("kind", list(NETS))
@pytest.mark.parametrize("decimal", ["1e-05", "0.1"])
def test_both_spellings_are_one_source_and_compute_the_same(kind: str, decimal: str) -> None:
    found = []
    bottoms = ["data", "data"] if kind == "Eltwise" else ["data"]
    for text in (decimal, repr(float(np.float32(decimal)))):
        param = NETS[kind].replace("%s", text)
        net = inputs_text({"data": (1, 6, 5, 5)}) + layer("l", kind, bottoms, ["l"], param)
        found.append(made(net))
    assert found[0][1].source == found[1][1].source
    assert repr(float(np.float32(decimal))) not in found[0][1].source


@torch.no_grad()
def test_torch_rounds_an_eps_as_caffe_does() -> None:
    """Caffe adds float32 numbers; torch is given a double, and rounds it before it adds."""
    x = torch.randn(2, 8, 5, 5)
    for decimal in (1e-5, 1e-3, 1e-10, 0.3):
        one, other = (torch.nn.BatchNorm2d(8, eps=eps).eval() for eps in (decimal, float(np.float32(decimal))))  # fmt: skip
        for norm in (one, other):
            norm.running_var.copy_(torch.rand(8) * decimal)  # type: ignore[union-attr]
        other.load_state_dict(one.state_dict())
        assert torch.equal(one(x), other(x))
