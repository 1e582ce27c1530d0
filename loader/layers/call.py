"""A module's constructor in its parts; its text is made once, where the source is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from decant.loader.layers.pretty import literal

# keyword, or "" for a positional one, and the literal
Argument = tuple[str, str]


@dataclass(frozen=True)
class Call:
    """`target`: `nn.Conv2d`, or a class that is written into the source."""

    target: str
    arguments: tuple[Argument, ...] = ()

    def __str__(self) -> str:
        return f"{self.target}({listed(self.arguments)})"


def arguments(*positional: object, **named: object) -> tuple[Argument, ...]:
    """Literals; None leaves an argument out."""
    parts = [("", literal(value)) for value in positional if value is not None]
    parts += [(name, literal(value)) for name, value in named.items() if value is not None]
    return tuple(parts)


def listed(arguments: Sequence[Argument]) -> str:
    """As they stand between brackets."""
    return ", ".join(f"{name}={text}" if name else text for name, text in arguments)
