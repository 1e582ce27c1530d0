"""In-place layers on memory that something else reads, or that Caffe keeps."""

from __future__ import annotations

import numpy as np
import pytest

from decant.loader.definition.graph import net_from_text
from decant.loader.errors import Unsupported
from decant.loader.plan.planning import plan
from tests.helpers.nets import inputs_text, layer
from tests.loader.layers.test_layers import refusal

DATA = inputs_text({"data": (1, 4, 6, 6)})


@pytest.mark.parametrize("view", [False, True])
def test_what_caffe_keeps_is_not_worked_on_in_place(view: bool) -> None:
    """Right in the first forward, wrong in the next: parity would not see it."""
    own = layer("own", "Parameter", [], ["w"], "parameter_param { shape { dim: 1 dim: 4 } }")
    shaped = layer("view", "Reshape", ["w"], ["v"], "reshape_param { shape { dim: 4 } }")
    top = "v" if view else "w"
    text = (
        own
        + (shaped if view else "")
        + layer("twice", "Power", [top], [top], "power_param { scale: 2 }")
    )
    found = refusal(DATA + text, [[], [np.ones((1, 4), np.float32)], [], []])
    assert "layer 'twice'" in found and "layer 'own' keeps" in found


@pytest.mark.parametrize(("steps", "refused"), [(1, True), (2, False)])
def test_an_lstm_of_one_step_gives_its_state(steps: int, refused: bool) -> None:
    inputs = {"x": (steps, 2, 4), "cont": (steps, 2)}
    text = inputs_text(inputs) + layer(
        "l", "LSTM", ["x", "cont"], ["l"], "recurrent_param { num_output: 3 }"
    )
    random = np.random.default_rng(0)
    blobs = [
        random.standard_normal(shape).astype(np.float32) for shape in ((12, 4), (12,), (12, 3))
    ]
    net = net_from_text(text + layer("relu", "ReLU", ["l"], ["l"]), "net.prototxt")
    params = [[], [], blobs, []]
    if refused:
        with pytest.raises(Unsupported, match="layer 'relu'.*layer 'l' keeps"):
            plan(net, params, inputs)
    else:
        assert plan(net, params, inputs).steps
    dropped = net_from_text(text + layer("drop", "Dropout", ["l"], ["l"]), "net.prototxt")
    assert plan(dropped, params, inputs).steps


def test_a_layer_in_place_on_shared_memory_is_refused() -> None:
    """Caffe's Flatten is a view: the ReLU changes what the pooling reads."""
    text = (
        DATA
        + layer("flat", "Flatten", ["data"], ["flat"])
        + layer("relu", "ReLU", ["flat"], ["flat"])
    )
    assert "shares" in refusal(
        text + layer("p", "Pooling", ["data"], ["p"], "pooling_param { kernel_size: 2 }")
    )
    # read before it is overwritten: nothing is wrong
    early = (
        DATA
        + layer("p", "Pooling", ["data"], ["p"], "pooling_param { kernel_size: 2 }")
        + text[len(DATA) :]
    )
    net = net_from_text(early, "net.prototxt")
    assert len(plan(net, [[]] * 4, {"data": (1, 4, 6, 6)}).steps) == 3
