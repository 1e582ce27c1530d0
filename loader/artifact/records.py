"""build.json and parity.json as frozen objects: what may differ from run to run.

Either may be missing from an artifact. An older one lacks keys, which are then at their defaults.
"""

from __future__ import annotations

import math
from typing import Any

from pydantic import ConfigDict

from decant.loader.artifact.manifest import Many, Record
from decant.loader.parity.verdict import BOUND, LayerParity, Parity


class Build(Record):
    """How and where the artifact was made; what is not named here is kept as it is.

    `prototxt`, `caffemodel`, `parity_dump`: paths on the machine that converted. `seconds`: of stage 2,
    by step, wall-clock time.
    """

    model_config = ConfigDict(extra="allow")

    when: str = ""
    engine: str = ""
    caffe_version: str = ""
    device: str = ""
    python: str = ""
    versions: dict[str, str] = {}
    seconds: dict[str, float] = {}
    prototxt: str | None = None
    caffemodel: str | None = None
    parity_dump: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data, without what was not there."""
        return self.model_dump(mode="json", exclude_unset=True)


class TopRecord(Record):
    """A top's comparison with Caffe, as in loader/parity/verdict.py; None is what was not computed."""

    layer: str
    type: str
    verdict: str
    top: str = ""
    bound: float = BOUND
    error: float | None = None
    isolated: float | None = None
    max_abs: float | None = None
    relative_l2: float | None = None
    cosine: float | None = None
    caffe_float64: float | None = None
    torch_float64: float | None = None
    reason: str = ""


class ParityRecord(Record):
    """`status`: "passed", "failed", or "not measured" with the `reason`."""

    status: str
    reason: str = ""
    device: str = ""
    first_failure: str | None = None
    layers: Many[TopRecord] = ()

    def parity(self) -> Parity:
        """What was found, as it was before it was written: what was not computed is NaN."""
        return Parity(self.status, self.reason, self.device, [_top(item) for item in self.layers])


def _top(record: TopRecord) -> LayerParity:
    known: dict[str, Any] = {k: math.nan if v is None else v for k, v in record}
    return LayerParity(**known)
