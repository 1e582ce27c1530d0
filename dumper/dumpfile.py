"""The dump: what stage 1 writes and stage 2 reads, in HDF5 or NPZ. docs/dump-format.md specifies it.

The host's door to the format; no file that runs beside Caffe imports it. What a dump holds is in
content.py. A form is written by its `_writer`, read by its `_guard`; writing.py and reading.py know
the tree of places that both forms share.
"""

from __future__ import annotations

from .content import FORMAT as FORMAT
from .content import VERSION as VERSION
from .content import Dump as Dump
from .content import DumpError as DumpError
from .content import Header as Header
from .content import Layer as Layer
from .content import Owner as Owner
from .reading import read as read
from .writing import write as write
