"""The engines of stage 1: a file engines/NAME.py with an `ENGINE`, and its name here.

Imports nothing of them: the command line shows the names, and starts without numpy and Docker.
"""

from __future__ import annotations

from typing import Literal

# in this order `auto` asks them
Name = Literal["caffe", "reader"]
Wanted = Literal["auto", Name]
