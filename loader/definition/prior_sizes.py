"""Which PriorBox sizes two readings of a definition take differently, and what is said of it.

SSD's prior_box_layer.cpp keeps `min_size` and `max_size`, floats in the definition, as `int` while it
works; OpenCV, ncnn and OpenVINO, which run most of these nets today, take them as they are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from decant.loader.definition.prototxt import Message
from decant.loader.definition.reading import Reading

if TYPE_CHECKING:
    from decant.loader.definition.graph import Layer

NAMES = ("min_size", "max_size")


def notes(layers: Sequence[Layer], reading: Reading) -> list[str]:
    """One line where a size is not a whole number; [] where both readings are one."""
    found = [
        f"{', '.join(sizes)} ({layer.name!r}, line {layer.line})"
        for layer in layers
        if layer.type == "PriorBox"
        and (sizes := _not_whole(layer.fields.message("prior_box_param")))
    ]
    if not found:
        return []
    if reading.prior_sizes == "exact":
        return [f"PriorBox sizes as they are written, where SSD cuts them: {'; '.join(found)}"]
    return [
        f"PriorBox sizes are cut to whole numbers, as SSD does: {'; '.join(found)}; OpenCV, ncnn and "
        "OpenVINO keep them: --prior-sizes exact"
    ]


def _not_whole(param: Message) -> list[str]:
    return [text for name in NAMES for text in param.texts(name) if not _is_whole(text)]


def _is_whole(text: str) -> bool:
    """Also what is not a number: the layer's rule refuses that."""
    try:
        return float(text.lower().removesuffix("f")).is_integer()
    except ValueError:
        return True
