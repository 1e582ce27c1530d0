"""The batch normalisation that subtracts first, against Caffe's order and against torch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from decant.loader.layers.normalised import MOST_DEVIATIONS
from decant.loader.ops.batch_norm import CentredBatchNorm
from tests.helpers.batch_norms import CHANNELS, PICTURE, statistics


@pytest.mark.parametrize("scaled", [False, True])
def test_within_the_limit_torchs_form_is_good_and_beyond_it_is_not(scaled: bool) -> None:
    """The oracle is Caffe's order in float32, whose bits are the container's (golden.zip)."""
    random = np.random.default_rng(1)
    errors = {}
    for deviations in (0.5 * MOST_DEVIATIONS, MOST_DEVIATIONS, 1000 * MOST_DEVIATIONS):
        mean, variance = statistics(deviations)
        deviation = np.sqrt(variance + np.float32(1e-5))
        x = (mean + deviation * random.standard_normal((4096, CHANNELS))).astype(np.float32)
        weight, bias = random.standard_normal((2, CHANNELS)).astype(np.float32)
        caffe = (x - mean) / deviation
        caffe = caffe * weight + bias if scaled else caffe
        for kind in (nn.BatchNorm1d, CentredBatchNorm):
            module = kind(CHANNELS, affine=scaled).eval()
            state = {"running_mean": mean, "running_var": variance, "weight": weight, "bias": bias}
            module.load_state_dict(
                {
                    key: torch.from_numpy(state.get(key, np.zeros((), np.int64)))
                    for key in module.state_dict()
                }
            )
            found = module(torch.from_numpy(x)).detach().numpy()
            errors[kind, deviations] = np.abs(found - caffe).max() / np.abs(caffe).max()
    for (kind, deviations), error in errors.items():
        if kind is CentredBatchNorm:
            assert error <= 2.5e-7
        elif deviations <= MOST_DEVIATIONS:
            assert error <= 1e-6
        else:
            assert error > 1e-5


def test_the_form_that_subtracts_first_trains_as_torchs_does() -> None:
    torch.manual_seed(0)
    ours, theirs = CentredBatchNorm(CHANNELS), nn.BatchNorm2d(CHANNELS)
    x = torch.randn(PICTURE)
    for _ in range(2):
        assert torch.equal(ours(x), theirs(x))
        assert torch.equal(ours.running_var, theirs.running_var)
        ours.eval()
        theirs.eval()
        for module in (ours, theirs):
            module.zero_grad()
            module(x).square().sum().backward()
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.allclose(mine.grad, other.grad, rtol=1e-4)
        ours.train()
        theirs.train()
