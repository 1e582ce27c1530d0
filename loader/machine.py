"""What Linux and macOS say in different ways."""

from __future__ import annotations

import resource
import sys


def peak_memory() -> int:
    """The most memory that this process has held at once, in bytes.

    ru_maxrss is in KiB on Linux and in bytes on macOS (getrusage(2) of each).
    """
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else found * 1024
