"""What differs from one machine, and one installation, to the next."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

# of the checkout, or the installed package
ROOT = Path(__file__).resolve().parents[1]


def peak_memory() -> int:
    """The most memory that this process has held at once, in bytes.

    ru_maxrss is in KiB on Linux and in bytes on macOS (getrusage(2) of each).
    """
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else found * 1024


def is_checkout() -> bool:
    """Whether Decant runs from its source tree, and not as an installed package."""
    return (ROOT / "pyproject.toml").is_file()


def next_step(target: str, program: str) -> str:
    """What a user types as the next step: a make target in a checkout; a package has no Makefile."""
    return target if is_checkout() else program


def convert_command(model: str) -> str:
    """The command that converts a model."""
    return next_step(f"make convert MODEL={model}", f"decant convert {model}")
