"""Batch normalisations whose means lie as far from 0 as a test wants."""

from __future__ import annotations

import numpy as np

from decant.loader.definition.graph import net_from_text
from decant.loader.plan.planning import plan
from decant.loader.plan.steps import Plan
from tests.helpers.nets import SC, inputs_text, layer

CHANNELS = 5
PICTURE = (2, CHANNELS, 4, 3)


def statistics(deviations: float) -> tuple[np.ndarray, np.ndarray]:
    """Of one channel so far from 0, the others near."""
    random = np.random.default_rng(0)
    variance = random.uniform(1e-3, 2, CHANNELS).astype(np.float32)
    mean = np.sqrt(variance + np.float32(1e-5)) * random.uniform(-1, 1, CHANNELS)
    mean[3] = -deviations * np.sqrt(variance[3] + np.float32(1e-5))
    return mean.astype(np.float32), variance


def with_scale(deviations: float) -> Plan:
    mean, variance = statistics(deviations)
    ones = np.ones(CHANNELS, np.float32)
    text = inputs_text({"data": PICTURE}) + layer("bn", "BatchNorm", ["data"], ["bn"]) + SC
    blobs = [[], [mean, variance, ones[:1]], [ones * 3, ones]]
    return plan(net_from_text(text, "f"), blobs, {"data": PICTURE})
