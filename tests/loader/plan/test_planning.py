"""One plan, or one refusal with everything in it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers.nets import inputs_text, layer
from tests.loader.layers.test_layers import REFUSED, refusal

DATA = inputs_text({"data": (1, 4, 6, 6)})


@pytest.mark.parametrize("rest", ["", layer("s", "Silence", ["data"], [])])
def test_a_net_that_computes_nothing_is_refused(rest: str) -> None:
    assert "computes nothing" in refusal(DATA + rest)


def test_all_offending_layers_are_in_one_report() -> None:
    text = DATA
    for number, (kind, param, _) in enumerate(REFUSED.values()):
        text += layer(f"odd {number}", kind, ["data"], [f"out{number}"], param)
    text += layer("after", "ReLU", ["out0"], ["last"])
    found = refusal(text)
    for number in range(len(REFUSED)):
        assert f"layer 'odd {number}'" in found
    assert "'after'" not in found, "a layer behind a refused one is not at fault"


def test_a_wrong_blob_shape_names_both_shapes() -> None:
    text = DATA + layer(
        "conv",
        "Convolution",
        ["data"],
        ["out"],
        "convolution_param { num_output: 3 kernel_size: 1 }",
    )
    blobs = [[], [np.ones((3, 5, 1, 1), np.float32), np.ones(3, np.float32)]]
    found = refusal(text, blobs)  # type: ignore[arg-type]
    assert "3 x 5 x 1 x 1" in found
    assert "3 x 4 x 1 x 1" in found
