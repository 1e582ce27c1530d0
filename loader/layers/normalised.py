"""BatchNorm, of whichever layer: as torch has it, or subtracting first, which its statistics decide."""

from __future__ import annotations

import numpy as np

from decant.loader.layers.call import Call, arguments
from decant.loader.layers.rule import Refused, Shape, Written, count

# |mean| / sqrt(variance + eps) up to which nn.BatchNorm's x * a + b is as good as Caffe's order: it
# errs by 1.2e-8 times this, as a part of the largest value, and by ten times as much where the values
# spread a tenth as wide as the statistics say (docs/parity.md)
MOST_DEVIATIONS = 32.0


def check_batch(shape: Shape, stored: bool = True, eps: float = 1e-5) -> None:
    """Raise Refused for other axes, and, not `stored`, for a batch that has no statistics."""
    if not 2 <= len(shape) <= 5:
        raise Refused(f"an input of {len(shape)} axes; torch normalises N x C and up to three more")
    if not stored and shape[0] * count(shape[2:]) == 1:
        raise Refused("use_global_stats: false on one value a channel; give a larger --input")
    if not stored and eps <= 0:
        raise Refused(f"use_global_stats: false with eps {eps:g}; torch takes a positive one")


def normalised(
    shape: Shape, eps: float, tensors: dict[str, np.ndarray], stored: bool = True
) -> Written:
    """`tensors`: the state of nn.BatchNorm; `stored`: its statistics are used, not the batch's own."""
    literals = arguments(
        shape[1],
        eps=None if eps == 1e-5 else eps,
        affine=None if "weight" in tensors else False,
        track_running_stats=None if stored else False,
    )
    if stored and _cancels(tensors["running_mean"], tensors["running_var"], eps):
        module, ops = Call("CentredBatchNorm", literals), ("CentredBatchNorm",)
        return Written("{self}({0})", [shape], module, tensors, ops)
    axes = {2: 1, 3: 1, 4: 2, 5: 3}[len(shape)]
    return Written("{self}({0})", [shape], Call(f"nn.BatchNorm{axes}d", literals), tensors)


def _cancels(mean: np.ndarray, variance: np.ndarray, eps: float) -> bool:
    """Whether a mean is so many deviations from 0 that x * a + b cancels; also where there is none."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        deviations = np.abs(mean) / np.sqrt(variance + np.float32(eps))
    return not bool((deviations <= MOST_DEVIATIONS).all())
