"""What a person does with two files, in this process: convert them, and look at what came out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from decant.commands.convert import convert
from decant.loader.definition.reading import NOTHING_ASKED, Asked
from tests.helpers import encode_caffemodel as encode

Layers = Sequence[tuple[str, str, Sequence[np.ndarray]]]


def write_pair(folder: Path, text: str, layers: Layers) -> None:
    """net.prototxt and net.caffemodel."""
    (folder / "net.prototxt").write_text(text)
    (folder / "net.caffemodel").write_bytes(encode.net("current", layers))


def converted(
    folder: Path, asked: Asked = NOTHING_ASKED, *, engine: str = "reader", **more: Any
) -> dict[str, Any]:
    """The manifest of the artifact that is made of the pair in `folder`."""
    words: dict[str, Any] = {
        "model": None,
        "prototxt": folder / "net.prototxt",
        "caffemodel": folder / "net.caffemodel",
        "name": "net",
        "out": folder / "artifacts",
        "engine": engine,
        "device": "cpu",
        "gpu": False,
        "probe": None,
        "input_shapes": [],
        "asked": asked,
        "ignore": [],
        "layer_plugins": [],
        "parity": engine == "caffe",
        "page": False,
        "catalog": None,
        "as_json": None,
    }
    words = {**words, **more}
    convert(**words)
    if words["name"] is None:
        return {}
    found: dict[str, Any] = json.loads((words["out"] / words["name"] / "manifest.json").read_text())
    return found


def random(*shape: int, seed: int = 0) -> np.ndarray:
    """Standard normal, float32."""
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape, np.float32)


def input_layer(blob: str, *shape: int, rule: str = "") -> str:
    """An Input layer's text."""
    dims = " ".join(f"dim: {size}" for size in shape)
    return (
        f'layer {{ name: "{blob}" type: "Input" top: "{blob}" {rule} '
        f"input_param {{ shape {{ {dims} }} }} }}\n"
    )


def layer(name: str, kind: str, bottoms: str, tops: str, more: str = "") -> str:
    """A layer's text; blobs are separated by spaces."""
    wires = [f'bottom: "{blob}"' for blob in bottoms.split()]
    wires += [f'top: "{blob}"' for blob in tops.split()]
    return f'layer {{ name: "{name}" type: "{kind}" {" ".join(wires)} {more} }}\n'


def conv(name: str, bottom: str, top: str, more: str = "kernel_size: 3", rule: str = "") -> str:
    """A convolution of four outputs."""
    param = f"convolution_param {{ num_output: 4 {more} }}"
    return layer(name, "Convolution", bottom, top, f"{param} {rule}")
