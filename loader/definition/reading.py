"""How a definition is to be read, where more than one reading of the same text is right.

The default is pycaffe's `Net(file, TEST)` with stock Caffe's meaning of every layer. A reading that
differs travels with the dump and the artifact, so that everything later reads the text alike.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from decant.loader.definition import rpn
from decant.loader.errors import UsageError

# what may be said of each; the first is the default
WORDS = {
    "phase": ("TEST", "TRAIN"),
    "crop": ("stock", "aligned"),
    "prior_sizes": ("whole", "exact"),
}


@dataclass(frozen=True)
class Reading:
    """`phase`, `stages`, `level`: which layers are included; all are computed as at TEST, in deploy
    form.

    `crop`: a Crop that says no offset begins at 0 (stock) or where its bottoms align (aligned, as the
    forks of FCN's time have it). `prior_sizes`: PriorBox's sizes are cut to whole numbers as in SSD's
    C++, or exact as in OpenCV. `float_weights`: quantised layers are computed with the float weights
    that the file holds. `rpn`: settings of py-faster-rcnn's ProposalLayer, by name (rpn.py), where they
    are not its defaults. Raises ValueError for any other word.
    """

    phase: str = "TEST"
    stages: tuple[str, ...] = ()
    level: int = 0
    crop: str = "stock"
    prior_sizes: str = "whole"
    float_weights: bool = False
    rpn: tuple[tuple[str, int | float], ...] = ()

    def __post_init__(self) -> None:
        for name, words in WORDS.items():
            if getattr(self, name) not in words:
                raise ValueError(f"{name} is {getattr(self, name)!r}: one of {', '.join(words)}")
        if not all(isinstance(stage, str) and stage for stage in self.stages):
            raise ValueError(f"stages are {self.stages!r}: names are expected")
        if type(self.level) is not int or type(self.float_weights) is not bool:
            raise ValueError("level is a whole number, float_weights a truth value")
        rpn.check(dict(self.rpn))

    @property
    def of_caffe(self) -> bool:
        """Whether pycaffe's `Net(file, TEST)` includes the same layers."""
        return (self.phase, self.stages, self.level) == (STOCK.phase, STOCK.stages, STOCK.level)

    def to_json(self) -> dict[str, Any]:
        """What differs from the default."""
        found = {
            name: value for name, value in asdict(self).items() if value != getattr(STOCK, name)
        }
        plain = {"stages": list(self.stages), "rpn": dict(self.rpn)}
        return {name: plain.get(name, value) for name, value in found.items()}

    def to_text(self) -> str:
        """JSON for a dump; "" where nothing differs."""
        found = self.to_json()
        return json.dumps(found, sort_keys=True) if found else ""


STOCK = Reading()


def from_json(found: Mapping[str, Any]) -> Reading:
    """The reading of which `found` is `to_json`. Raises ValueError."""
    known = {field.name for field in fields(Reading)}
    unknown = sorted(set(found) - known)
    if unknown:
        raise ValueError(f"{unknown[0]!r} is unknown")
    stages = found.get("stages", ())
    if not isinstance(stages, (list, tuple)):
        raise ValueError(f"stages are {stages!r}: a list is expected")
    settings = found.get("rpn", {})
    if not isinstance(settings, dict):
        raise ValueError(f"rpn is {settings!r}: an object is expected")
    return Reading(**{**found, "stages": tuple(stages), "rpn": rpn.in_order(settings)})


def from_text(text: str) -> Reading:
    """The reading of which `text` is `to_text`. Raises ValueError."""
    found = json.loads(text) if text else {}
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return from_json(found)


@dataclass(frozen=True)
class ReadingOptions:
    """What the command line says of it; None and () say nothing."""

    phase: str | None = None
    stages: Sequence[str] = ()
    level: int | None = None
    crop: str | None = None
    prior_sizes: str | None = None
    float_weights: bool = False
    rpn: Sequence[str] = ()

    def over(self, base: Reading = STOCK) -> Reading:
        """`base` with what is said here; stages and settings are added.

        Raises UsageError for an unknown word.
        """
        said: dict[str, Any] = {
            "phase": self.phase.upper() if self.phase is not None else None,
            "level": self.level,
            "crop": self.crop,
            "prior_sizes": self.prior_sizes,
            "float_weights": self.float_weights or None,
        }
        given = {name: value for name, value in said.items() if value is not None}
        stages = tuple(dict.fromkeys([*base.stages, *self.stages]))
        try:
            settings = rpn.in_order({**dict(base.rpn), **rpn.parsed(self.rpn)})
            return replace(base, **given, stages=stages, rpn=settings)
        except ValueError as error:
            name, _, rest = str(error).partition(" ")
            option = "stage" if name == "stages" else name.replace("_", "-")
            raise UsageError(f"--{option} {rest}") from None


NO_OPTIONS = ReadingOptions()
