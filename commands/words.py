"""What words of the command line mean, where an option's type alone does not say it."""

from __future__ import annotations

from collections.abc import Iterable

from decant.loader.errors import UsageError


def parse_shapes(words: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """`data=1,3,224,224` -> {"data": (1, 3, 224, 224)}. Raises UsageError."""
    shapes = {}
    for word in words:
        blob, _, numbers = word.partition("=")
        try:
            shape = tuple(int(number) for number in numbers.split(","))
        except ValueError:
            shape = ()
        if not blob or not shape or min(shape) < 1:
            raise UsageError(f"--input {word!r}: expected BLOB=1,3,224,224")
        shapes[blob] = shape
    return shapes
