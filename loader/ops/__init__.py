"""What Caffe computes and torch has no module for: classes that are written into a net's model.py.

Each file imports torch and the standard library only (what a name uses of the latter goes into
model.py with it), and each name here stands alone but for those named beside it.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent

# name -> (file, other names that it needs)
OPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ArgMax": ("argmax", ()),
    "AvgPool": ("pooling", ("WindowPool", "average_pool", "padded", "windows")),
    "Bias": ("scale", ()),
    "CentredBatchNorm": ("batch_norm", ("centred",)),
    "DetectionOutput": (
        "detection",
        ("decode_boxes", "detections", "overlaps", "rows_of", "suppress"),
    ),
    "Embed": ("embed", ()),
    "FreshLSTM": ("recurrent", ("lstm", "lstm_step")),
    "GlobalMaxPoolMask": ("pooling", ()),
    "LRN": ("lrn", ()),
    "LRNWithinChannel": ("lrn", ()),
    "LSTM": ("recurrent", ("is_real", "lstm", "lstm_step")),
    "LSTMUnit": ("recurrent", ("lstm_step",)),
    "MVN": ("mvn", ()),
    "MaxPool": ("pooling", ("WindowPool", "max_pool", "padded", "windows")),
    "MaxPoolMask": ("pooling", ()),
    "Normalize": ("normalize", ()),
    "PSROIPooling": ("roi", ("bins", "psroi_pool", "rounded")),
    "PriorBox": ("prior_box", ("prior_boxes",)),
    "Proposal": ("proposal", ("first_apart", "moved_anchors", "overlaps", "proposals")),
    "RNN": ("recurrent", ("is_real", "rnn")),
    "ROIAlign": ("roi", ("between", "roi_align")),
    "ROIPooling": ("roi", ("bins", "roi_pool", "rounded")),
    "RefinedDetectionOutput": (
        "refinedet",
        (
            "decode_boxes",
            "detections",
            "only_objects",
            "overlaps",
            "refined_boxes",
            "rows_of",
            "suppress",
        ),
    ),
    "Region": ("yolo", ()),
    "RegionProposal": (
        "proposal",
        ("first_apart", "moved_anchors", "overlaps", "region_proposals"),
    ),
    "Reorg": ("reorg", ()),
    "Resize": ("resampling", ("steps",)),
    "Scale": ("scale", ()),
    "SpatialPyramidPool": ("pooling", ("average_pool", "max_pool", "padded", "pyramid", "windows")),
    "TextProposal": ("proposal", ("text_boxes",)),
    "Unpool": ("resampling", ("unpool",)),
    "VolumeAvgPool": (
        "volume_pooling",
        ("VolumePool", "average_volume", "padded_volume", "volume_windows"),
    ),
    "VolumeMaxPool": (
        "volume_pooling",
        ("VolumePool", "max_volume", "padded_volume", "volume_windows"),
    ),
    "VolumeMaxPoolMask": (
        "volume_pooling",
        ("VolumePool", "max_volume_mask", "padded_volume", "volume_windows"),
    ),
    "VolumePool": ("volume_pooling", ()),
    "WideMaxPoolMask": ("pooling", ("WindowPool", "max_pool_mask", "padded", "windows")),
    "WindowPool": ("pooling", ()),
    "YoloDetectionOutput": (
        "yolo",
        ("centred_overlaps", "yolo_cells", "yolo_detections", "yolo_rows"),
    ),
    "Yolov3DetectionOutput": (
        "yolo",
        ("centred_overlaps", "yolo_cells", "yolo_rows", "yolov3_detections"),
    ),
    "average_pool": ("pooling", ()),
    "average_volume": ("volume_pooling", ()),
    "between": ("roi", ()),
    "bins": ("roi", ()),
    "centred_overlaps": ("yolo", ()),
    "continuation": ("recurrent", ()),
    "centred": ("batch_norm", ()),
    "decode_boxes": ("detection", ()),
    "detections": ("detection", ()),
    "first_apart": ("proposal", ()),
    "is_real": ("recurrent", ()),
    "lstm": ("recurrent", ()),
    "lstm_step": ("recurrent", ()),
    "max_pool": ("pooling", ()),
    "max_pool_mask": ("pooling", ()),
    "middle_of": ("crop", ()),
    "moved_anchors": ("proposal", ()),
    "only_objects": ("refinedet", ()),
    "max_volume": ("volume_pooling", ()),
    "max_volume_mask": ("volume_pooling", ()),
    "overlaps": ("detection", ()),
    "padded": ("pooling", ()),
    "padded_volume": ("volume_pooling", ()),
    "prior_boxes": ("prior_box", ()),
    "proposals": ("proposal", ()),
    "psroi_pool": ("roi", ()),
    "pyramid": ("pooling", ()),
    "refined_boxes": ("refinedet", ()),
    "region_proposals": ("proposal", ()),
    "rnn": ("recurrent", ()),
    "roi_align": ("roi", ()),
    "roi_pool": ("roi", ()),
    "rounded": ("roi", ()),
    "rows_of": ("detection", ()),
    "steps": ("resampling", ()),
    "suppress": ("detection", ()),
    "text_boxes": ("proposal", ()),
    "unpool": ("resampling", ()),
    "volume_windows": ("volume_pooling", ()),
    "windows": ("pooling", ()),
    "yolo_cells": ("yolo", ()),
    "yolo_detections": ("yolo", ()),
    "yolo_rows": ("yolo", ()),
    "yolov3_detections": ("yolo", ()),
}


def sources(names: set[str]) -> list[str]:
    """The source of these names and of all that they need, in the order of the files."""
    wanted = set(names)
    for name in names:
        wanted.update(OPS[name][1])
    files = sorted({OPS[name][0] for name in wanted})
    return [text for file in files for name, text in _definitions(file).items() if name in wanted]


def imports(texts: Sequence[str]) -> dict[str, set[str]]:
    """Of the standard library, what these sources of ops use: module -> names, none for itself."""
    used = {
        node.id
        for text in texts
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Name)
    }
    found: dict[str, set[str]] = {}
    for file in sorted({file for file, _ in OPS.values()}):
        for name, (module, member) in _imported(file).items():
            if name in used:
                found.setdefault(module, set()).update({member} - {""})
    return found


@cache
def _imported(file: str) -> dict[str, tuple[str, str]]:
    """Name -> (module, its member of this name or ""), of the standard library."""
    found = {}
    for node in ast.parse((HERE / f"{file}.py").read_text()).body:
        if isinstance(node, ast.Import):
            found.update({item.name: (item.name, "") for item in node.names})
        elif isinstance(node, ast.ImportFrom):
            found.update({item.name: (str(node.module), item.name) for item in node.names})
    return {
        name: place
        for name, place in found.items()
        if place[0].split(".")[0] in sys.stdlib_module_names - {"__future__"}
    }


def _first(node: ast.ClassDef | ast.FunctionDef) -> int:
    """Its first line, decorators included."""
    return min([node.lineno, *(item.lineno for item in node.decorator_list)])


@cache
def _definitions(file: str) -> dict[str, str]:
    """Top-level classes and functions of a file, with their source."""
    text = (HERE / f"{file}.py").read_text()
    lines = text.splitlines()
    return {
        node.name: "\n".join(lines[_first(node) - 1 : node.end_lineno])
        for node in ast.parse(text).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef)
    }
