"""Which parts of a module's constructor may differ where blocks are alike otherwise."""

from __future__ import annotations

import re
from functools import cache

from decant.loader.layers.call import Argument, Call


@cache
def full(call: Call | None) -> tuple[Argument, ...]:
    """With the stride written out, so that blocks of stride 1 and 2 are alike; () for no call."""
    if call is None:
        return ()
    if not re.fullmatch(r"nn\.Conv\dd", call.target) or "stride" in dict(call.arguments):
        return call.arguments
    return (*call.arguments[:3], ("stride", "1"), *call.arguments[3:])


@cache
def free(call: Call | None) -> frozenset[int]:
    """Positions of `full(call)` that may differ from block to block: channels, strides, groups."""
    if call is None:
        return frozenset()
    if re.fullmatch(r"nn\.(Conv\dd|ConvTranspose\dd|Linear)", call.target):
        named = [at for at, (name, _) in enumerate(full(call)) if name in ("stride", "groups")]
        return frozenset({0, 1, *named})
    if re.fullmatch(r"nn\.(BatchNorm\dd|PReLU)|CentredBatchNorm", call.target):
        return frozenset({0} if call.arguments else ())
    return frozenset()


def is_depthwise(call: Call | None) -> bool:
    """A convolution of each channel by itself."""
    if call is None:
        return False
    return call.target == "nn.Conv2d" and dict(call.arguments).get("groups") == call.arguments[0][1]
