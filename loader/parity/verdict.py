"""What a comparison with Caffe found: plain data, without torch. loader/parity/measuring.py makes it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

# of the largest value of a top; docs/parity.md says how it was chosen
BOUND = 1e-5


@dataclass
class LayerParity:
    """One top. `error` is max|torch - caffe| / max|caffe|; NaN stands for "not computed".

    `error`: fed by our own layers from the input on, allowed up to `bound`; `isolated`: fed with
    Caffe's own bottoms. `verdict`: "passed", "failed", "ill-conditioned" (rounding alone moves it too
    far to tell), "fused" (compared at another layer) or "left out" (the module ends before it).
    """

    layer: str
    type: str
    verdict: str
    top: str = ""
    bound: float = BOUND
    error: float = math.nan
    isolated: float = math.nan
    max_abs: float = math.nan
    relative_l2: float = math.nan
    cosine: float = math.nan
    caffe_float64: float = math.nan
    torch_float64: float = math.nan
    reason: str = ""


@dataclass
class Parity:
    """status: "passed", "failed" or "not measured" (with the reason)."""

    status: str
    reason: str = ""
    device: str = ""
    layers: list[LayerParity] = field(default_factory=list)

    @property
    def first_failure(self) -> LayerParity | None:
        """The first failing layer in order of execution."""
        return next((layer for layer in self.layers if layer.verdict == "failed"), None)

    @property
    def worst(self) -> LayerParity | None:
        """The compared layer with the largest error in terms of its bound; near ties aside."""
        compared = [
            layer
            for layer in self.layers
            if layer.verdict == "failed"
            or (layer.verdict == "passed" and layer.error <= layer.bound)
        ]
        return max(compared, key=lambda layer: layer.error / layer.bound, default=None)

    def to_json(self) -> dict[str, Any]:
        """Plain data; numbers that do not exist become null."""
        if self.status == "not measured":
            return {"status": self.status, "reason": self.reason}
        failure = self.first_failure
        return {
            "status": self.status,
            "device": self.device,
            "first_failure": failure.layer if failure else None,
            "layers": [
                {
                    key: None if isinstance(value, float) and not math.isfinite(value) else value
                    for key, value in asdict(layer).items()
                }
                for layer in self.layers
            ],
        }


def not_measured(reason: str) -> Parity:
    """For a dump without activations."""
    return Parity("not measured", reason)
