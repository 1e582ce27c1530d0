"""The engines of stage 1: each is a file engines/NAME.py with an `ENGINE`, and its name here.

Nothing of them is imported before it is asked for: the command line shows the names, and starts without
numpy and Docker.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from decant.engines.engine import Engine

# in this order `auto` asks them
Name = Literal["caffe", "reader"]
Wanted = Literal["auto", Name]


def engine(name: Name) -> Engine:
    """The engine of that name."""
    found: Engine = import_module(f"decant.engines.{name}").ENGINE
    return found


def engines() -> list[Engine]:
    """All of them, the best first."""
    return [engine(name) for name in get_args(Name)]


def named(wanted: Wanted) -> Engine | None:
    """The engine that was asked for; None where the choice is left open."""
    return next((engine(name) for name in get_args(Name) if name == wanted), None)
