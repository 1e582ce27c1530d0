"""What a comparison found: which layer is first, which is worst, and plain data of it."""

from __future__ import annotations

import json
import math

from decant.loader.parity.verdict import BOUND, LayerParity, Parity, not_measured

A = LayerParity("a", "ReLU", "passed", error=0.5 * BOUND)
B = LayerParity("b", "Conv", "ill-conditioned", error=9.0)
C = LayerParity("c", "LRN", "failed", bound=1e-3, error=2e-3)
D = LayerParity("d", "ReLU", "failed", error=1.5 * BOUND)
TIE = LayerParity("t", "Threshold", "passed", error=1.0, reason="a near tie")


def test_the_first_failure_goes_by_order_and_the_worst_by_its_bound() -> None:
    found = Parity("failed", device="cpu", layers=[A, B, D, C, TIE])
    assert found.first_failure is D and found.worst is C
    assert Parity("passed", layers=[A, B, TIE]).worst is A
    assert Parity("passed", layers=[A]).first_failure is None is Parity("passed").worst


def test_what_is_no_number_becomes_null() -> None:
    layer = LayerParity("x", "ReLU", "failed", error=math.inf, max_abs=1.0)
    found = json.loads(json.dumps(Parity("failed", layers=[layer]).to_json(), allow_nan=False))
    assert found["first_failure"] == "x"
    assert found["layers"][0]["error"] is None is found["layers"][0]["cosine"]
    assert found["layers"][0]["max_abs"] == 1.0
    assert not_measured("why").to_json() == {"status": "not measured", "reason": "why"}
