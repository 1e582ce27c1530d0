"""Which tensors Caffe shares by name."""

from __future__ import annotations

from decant.loader.definition.graph import net_from_text
from decant.loader.plan.planning import plan
from decant.loader.source.blocks import fold
from tests.helpers.random_weights import random_blobs, shapes_of
from tests.helpers.well_known import NETS


def test_the_plan_says_what_is_tied_to_what() -> None:
    net = net_from_text(NETS["siamese"](), "net")
    planned = plan(net, random_blobs(net), shapes_of(net))
    before = dict(planned.tied)
    fold(planned)
    assert len(before) == len(planned.tied) == 10
    assert ("branch_p.conv1.weight", "branch.conv1.weight") in planned.tied
