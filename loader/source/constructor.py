"""A module's constructor in its parts, and which of them may differ where blocks are alike otherwise."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache

Argument = tuple[str, str]


@dataclass(frozen=True)
class Call:
    """A constructor's call: `nn.Conv2d`, and (keyword or "", literal) for each argument."""

    callee: str
    arguments: tuple[Argument, ...]


@cache
def parse_call(text: str) -> Call:
    """`nn.Conv2d(3, 64, 7, stride=2)` in its parts; Call("", ()) for nothing."""
    if not text:
        return Call("", ())
    node = ast.parse(text, mode="eval").body
    assert isinstance(node, ast.Call)
    positional = [("", ast.unparse(item)) for item in node.args]
    named = [(str(item.arg), ast.unparse(item.value)) for item in node.keywords]
    return Call(ast.unparse(node.func), (*positional, *named))


@cache
def full(call: Call) -> tuple[Argument, ...]:
    """With the stride written out, so that blocks of stride 1 and 2 are alike."""
    if not re.fullmatch(r"nn\.Conv\dd", call.callee) or "stride" in dict(call.arguments):
        return call.arguments
    return (*call.arguments[:3], ("stride", "1"), *call.arguments[3:])


@cache
def free(call: Call) -> frozenset[int]:
    """Positions of `full(call)` that may differ from block to block: channels, strides, groups."""
    if re.fullmatch(r"nn\.(Conv\dd|ConvTranspose\dd|Linear)", call.callee):
        named = [at for at, (name, _) in enumerate(full(call)) if name in ("stride", "groups")]
        return frozenset({0, 1, *named})
    if re.fullmatch(r"nn\.(BatchNorm\dd|PReLU)|CentredBatchNorm", call.callee):
        return frozenset({0} if call.arguments else ())
    return frozenset()


def is_depthwise(call: Call) -> bool:
    """A convolution of each channel by itself."""
    return call.callee == "nn.Conv2d" and dict(call.arguments).get("groups") == call.arguments[0][1]
