"""What Caffe computes and torch has no module for: classes that are written into a net's model.py.

Each file imports torch only, and each name here stands alone but for those named beside it.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent

# name -> (file, other names that it needs)
OPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ArgMax": ("argmax", ("largest",)),
    "AvgPool": ("pooling", ("windows",)),
    "Bias": ("scale", ()),
    "Embed": ("embed", ()),
    "GlobalMaxPoolMask": ("pooling", ()),
    "LRN": ("lrn", ()),
    "LRNWithinChannel": ("lrn", ()),
    "LSTM": ("recurrent", ("LSTMUnit",)),
    "LSTMUnit": ("recurrent", ()),
    "MVN": ("mvn", ()),
    "MaxPool": ("pooling", ("windows",)),
    "MaxPoolMask": ("pooling", ()),
    "Normalize": ("normalize", ()),
    "RNN": ("recurrent", ()),
    "Reorg": ("reorg", ()),
    "Scale": ("scale", ()),
    "SpatialPyramidPool": ("pooling", ("AvgPool", "MaxPool", "windows")),
    "largest": ("argmax", ()),
    "windows": ("pooling", ()),
}


def sources(names: set[str]) -> list[str]:
    """The source of these names and of all that they need, in the order of the files."""
    wanted = set(names)
    for name in names:
        wanted.update(OPS[name][1])
    files = sorted({OPS[name][0] for name in wanted})
    return [text for file in files for name, text in _definitions(file).items() if name in wanted]


@cache
def _definitions(file: str) -> dict[str, str]:
    """Top-level classes and functions of a file, with their source."""
    text = (HERE / f"{file}.py").read_text()
    lines = text.splitlines()
    return {
        node.name: "\n".join(lines[node.lineno - 1 : node.end_lineno])
        for node in ast.parse(text).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef)
    }
