"""RPN_*: what py-faster-rcnn's ProposalLayer takes from its configuration, and not from the definition.

Source: py-faster-rcnn's fast_rcnn/config.py, cfg.TEST. A count of 0 means no limit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from decant.loader.definition.graph import Layer

MODULE = "rpn.proposal_layer"
DEFAULTS: dict[str, int | float] = {
    "min_size": 16,
    "pre_nms_top_n": 6000,
    "post_nms_top_n": 300,
    "nms_thresh": 0.7,
}
COUNTS = ("pre_nms_top_n", "post_nms_top_n")


def parsed(words: Sequence[str]) -> dict[str, int | float]:
    """`post_nms_top_n=1000`, or in the configuration's own spelling. Raises ValueError."""
    found: dict[str, int | float] = {}
    for word in words:
        name, _, text = word.partition("=")
        try:
            value = int(text) if text.strip().isdecimal() else float(text)
        except ValueError:
            raise ValueError(f"rpn {word!r}: NAME=NUMBER is expected") from None
        found[name.strip().lower().removeprefix("rpn_")] = value
    return found


def check(settings: Mapping[str, Any]) -> None:
    """Raise ValueError for a setting that is unknown, or not a number that it can have."""
    for name, value in settings.items():
        if name not in DEFAULTS:
            raise ValueError(f"rpn {name!r} is unknown: one of {', '.join(DEFAULTS)}")
        types = (int,) if name in COUNTS else (int, float)
        if type(value) not in types or not 0 <= value < math.inf:
            kind = "a whole number" if name in COUNTS else "a number"
            raise ValueError(f"rpn {name} is {value!r}: {kind} of at least 0 is expected")


def in_order(settings: Mapping[str, int | float]) -> tuple[tuple[str, int | float], ...]:
    """One order for equal settings."""
    return tuple(sorted(settings.items()))


def notes(layers: Sequence[Layer], settings: Mapping[str, Any]) -> list[str]:
    """Whether the settings are for nothing: no layer takes them."""
    if not settings or any(
        layer.fields.message("python_param").text("module") == MODULE for layer in layers
    ):
        return []
    return [f"--rpn changes nothing: no layer is a Python layer of module {MODULE}"]
