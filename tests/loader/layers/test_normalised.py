"""Which form of a batch normalisation is written."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from decant.loader.artifact.loading import module_from_source
from decant.loader.definition.graph import net_from_text
from decant.loader.layers.normalised import MOST_DEVIATIONS
from decant.loader.plan.planning import plan
from decant.loader.plan.steps import Plan
from decant.loader.source.codegen import generate
from tests.helpers.batch_norms import CHANNELS, PICTURE, statistics, with_scale
from tests.helpers.nets import inputs_text, layer


def batch_norm(deviations: float) -> Plan:
    factor = np.full(1, 0.5, np.float32)
    blobs = [array * factor for array in statistics(deviations)]
    text = inputs_text({"data": PICTURE}) + layer("bn", "BatchNorm", ["data"], ["bn"])
    return plan(net_from_text(text, "f"), [[], [*blobs, factor]], {"data": PICTURE})


def fork(deviations: float) -> Plan:
    mean, variance = statistics(deviations)
    ones = np.ones(CHANNELS, np.float32)
    text = inputs_text({"data": PICTURE}) + layer("bn", "BN", ["data"], ["bn"])
    return plan(net_from_text(text, "f"), [[], [ones, ones, mean, variance]], {"data": PICTURE})


@pytest.mark.parametrize("made", [batch_norm, with_scale, fork])
def test_the_form_goes_by_how_far_a_mean_is_from_0(made: object) -> None:
    for deviations, expected in [
        (0, "nn.BatchNorm2d"),
        (0.99 * MOST_DEVIATIONS, "nn.BatchNorm2d"),
        (1.01 * MOST_DEVIATIONS, "CentredBatchNorm"),
        (1e7, "CentredBatchNorm"),
    ]:
        found: Plan = made(deviations)  # type: ignore[operator]
        assert str(found.steps[0].written.module).split("(")[0] == expected


def test_both_forms_have_one_state() -> None:
    near, far = with_scale(1), with_scale(1000)
    assert far.steps[0].origin == near.steps[0].origin
    tensors = far.steps[0].written.tensors
    assert list(tensors) == list(near.steps[0].written.tensors)
    module = module_from_source(generate(far, "net").source)
    wanted = {f"bn.{name}": torch.from_numpy(array) for name, array in tensors.items()}
    assert sorted(module.state_dict()) == sorted(wanted)
    module.load_state_dict(wanted)
