"""Two of dump, artifact and activations, layer by layer."""

from __future__ import annotations

import math
from pathlib import Path

from decant.loader import compare as comparing
from decant.loader.compare import Compared
from decant.loader.errors import ParityError, UsageError
from decant.loader.parity.verdict import BOUND
from decant.stages.inputs import Place
from decant.stages.load import check_device
from decant.stages.options import DEFAULTS, Options


def compare(
    one: Place, other: Place, options: Options = DEFAULTS, *, bound: float = BOUND
) -> Compared:
    """Every layer that both sides have: each a dump, an artifact's folder or an NPZ of activations.

    `bound`: on max|a - b|, as a part of max|b|; what is beyond it is `wrong` in the result.
    """
    check_device(options.device)
    if not (math.isfinite(bound) and bound >= 0):
        raise UsageError(f"--bound {bound}: a part of the largest value, as 1e-5")
    mine, reference = comparing.open_side(Path(one)), comparing.open_side(Path(other))
    return comparing.compare(mine, reference, bound, options.device)


def refuse_difference(found: Compared) -> None:
    """Raise ParityError, naming the first layer, where the sides differ."""
    first, bound = found.first, found.bound
    if first is None:
        return
    about = first.reason or f"error {first.error:.1e} of the largest value, allowed {bound:.0e}"
    alone = ""
    if first.isolated <= bound:
        alone = "; alone on Caffe's own input it agrees, so the error came with its input"
    raise ParityError(
        f"layer {first.layer!r} is the first of {len(found.wrong)} that differ: {about}{alone}",
        [f"layer {row.layer!r}: {row.reason or f'error {row.error:.1e}'}" for row in found.wrong],
    )
