"""`inspect` of a definition alone: what a new net's blobs would be is known for the forks' BN too."""

from __future__ import annotations

from pathlib import Path

import pytest

from decant.loader.listing import read
from tests.helpers.nets import inputs_text, layer

FILLERS = "slope_filler { value: 1 } bias_filler { value: 0 } frozen: true momentum: 0.95"


@pytest.mark.parametrize(
    ("param", "parameters"),
    [
        (f"bn_param {{ {FILLERS} }}", 4 * 8),
        (
            "bn_param { bn_mode: INFERENCE scale_filler { value: 1 } shift_filler { value: 0 } }",
            2 * 8,
        ),
        ("bn_param { var_eps: 1e-5 decay: 0.9 moving_average: true }", 4 * 8),
        ("", 4 * 8),
    ],
)
def test_the_shapes_behind_a_bn_are_known(param: str, parameters: int, tmp_path: Path) -> None:
    """PSPNet's beginning, and SegNet's."""
    conv = "convolution_param { num_output: 8 kernel_size: 3 pad: 1 stride: 2 bias_term: false }"
    text = (
        inputs_text({"data": (1, 3, 33, 33)})
        + layer("conv1", "Convolution", ["data"], ["conv1"], conv)
        + layer("conv1/bn", "BN", ["conv1"], ["conv1"], param)
        + layer("relu", "ReLU", ["conv1"], ["conv1"])
        + layer(
            "pool", "Pooling", ["conv1"], ["pool"], "pooling_param { pool: AVE kernel_size: 17 }"
        )
        + layer("up", "Interp", ["pool"], ["up"], "interp_param { height: 17 width: 17 }")
        + layer("cat", "Concat", ["conv1", "up"], ["cat"])
    )
    (tmp_path / "net.prototxt").write_text(text)
    found = {line.name: line for line in read(tmp_path / "net.prototxt").lines}
    assert [line.outputs for line in found.values()].count([None]) == 0
    assert found["cat"].outputs == [(1, 16, 17, 17)]
    assert found["conv1/bn"].parameters == parameters
