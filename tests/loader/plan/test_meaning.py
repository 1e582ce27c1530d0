"""What the values of inputs are to those that read them."""

from __future__ import annotations

import numpy as np

from decant.loader.definition.graph import net_from_text
from decant.loader.layers.layer_type import Role
from decant.loader.plan.meaning import Walk, role
from tests.helpers.nets import inputs_text, layer

EMBED = layer("e", "Embed", ["f"], ["e"], "embed_param { num_output: 2 input_dim: 9 }")


def test_roles_by_the_place_of_a_bottom() -> None:
    text = inputs_text({"x": (5, 3, 4), "cont": (5, 3), "im_info": (1, 3)}) + layer(
        "l", "LSTM", ["x", "cont"], ["l"], "recurrent_param { num_output: 2 }"
    )
    text += layer("p", "Eltwise", ["x", "im_info"], ["p"])
    text += layer("r", "ROIPooling", ["x", "cont"], ["r"])
    *_, lstm, sums, roi = net_from_text(text, "f").layers
    assert [role(lstm, at) for at in (0, 1)] == [Role.FEATURE, Role.MARKER]
    assert [role(sums, at) for at in (0, 1)] == [None, Role.SIZE]
    assert role(roi, 1) is Role.BOX


def test_an_index_is_followed_through_what_moves_it() -> None:
    """A Flatten, and a Power that adds 1: the module reads 2 x + 1 of every value."""
    text = inputs_text({"a": (2, 3), "other": (2, 6)})
    text += layer("p", "Power", ["a"], ["p"], "power_param { scale: 2 shift: 1 }")
    text += layer("f", "Flatten", ["p"], ["f"]) + EMBED + layer("o", "ReLU", ["other"], ["o"])
    net = net_from_text(text, "f")
    walk = Walk(net, {"a": (2, 3), "other": (2, 6)})
    assert list(walk.inputs) == ["a"] and np.isnan(walk.of("a")).all()
    (use,) = walk.uses()
    assert (use.layer.name, use.role, use.limit) == ("e", Role.INDEX, 9)
    assert (use.moved.scale, use.moved.shift) == (2.0, 1.0)
    assert np.array_equal(use.moved.places, np.arange(6).reshape(2, 3))
    assert walk.names(use.moved.places) == ["a"]


def test_a_net_that_reads_no_such_value_has_no_uses() -> None:
    text = inputs_text({"a": (2, 3)}) + layer("o", "ReLU", ["a"], ["o"])
    assert list(Walk(net_from_text(text, "f"), {"a": (2, 3)}).uses()) == []
