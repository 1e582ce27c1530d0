"""RefineDet's first stage: what it moves, and what it weeds out; the whole against published loops."""

from __future__ import annotations

import numpy as np
import torch

from decant.loader.ops.detection import decode_boxes
from decant.loader.ops.refinedet import RefinedDetectionOutput, only_objects, refined_boxes
from tests.helpers.forks import FORKS


def test_what_is_no_object_is_background_for_sure() -> None:
    scores = torch.tensor([[0.2, 0.3, 0.5, 0.1, 0.8, 0.1]])
    objectness = torch.tensor([[0.995, 0.005, 0.4, 0.6]])
    wanted = torch.tensor([[1.0, 0.0, 0.0, 0.1, 0.8, 0.1]])
    assert torch.equal(only_objects(scores, objectness, 3, 0.01), wanted)


def test_boxes_are_decoded_from_boxes_that_are_decoded_themselves() -> None:
    random = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 1, 8, generator=random)
    priors = torch.tensor([[0.1, 0.1, 0.4, 0.5], [0.3, 0.2, 0.9, 0.8]])
    variance = torch.full((2, 4), 0.1)
    anchors = decode_boxes(first.reshape(1, 2, 1, 4), priors, variance, "CENTER_SIZE")
    wanted = decode_boxes(
        second.reshape(1, 2, 1, 4), anchors.reshape(2, 4), variance, "CENTER_SIZE"
    )
    found = refined_boxes(second, first, priors, variance, "CENTER_SIZE")
    assert torch.equal(found, wanted)
    unmoved = refined_boxes(second, None, priors, variance, "CENTER_SIZE")
    assert not torch.equal(unmoved, wanted)


def test_the_whole_is_the_published_layer() -> None:
    fork = FORKS["refinedet"]
    arrays = fork.arrays()
    module = RefinedDetectionOutput(
        4, "CENTER_SIZE", 0.45, objectness=0.01, confidence=0.1, top_k=30, keep=20
    )
    found = module(*map(torch.from_numpy, arrays.values()))
    wanted = fork.wanted({key: array.astype(np.float64) for key, array in arrays.items()}, [])
    assert found.shape == wanted.shape
    assert np.abs(found.numpy() - wanted).max() <= 1e-5
