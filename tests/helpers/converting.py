"""What a person does with two files, in this process: convert them, and look at what came out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from decant.loader.definition.reading import NO_OPTIONS, ReadingOptions
from decant.stages.convert import convert
from decant.stages.inputs import Source
from decant.stages.options import Options
from tests.helpers import encode_caffemodel as encode

Layers = Sequence[tuple[str, str, Sequence[np.ndarray]]]


def write_pair(folder: Path, text: str, layers: Layers) -> None:
    """net.prototxt and net.caffemodel."""
    (folder / "net.prototxt").write_text(text)
    (folder / "net.caffemodel").write_bytes(encode.net("current", layers))


def converted(
    folder: Path, asked: ReadingOptions = NO_OPTIONS, source: Source | None = None, **more: Any
) -> dict[str, Any]:
    """The manifest of the artifact that is made of the pair in `folder`; `more`: of Options."""
    usual = {"out": folder / "artifacts", "engine": "reader", "reading": asked}
    options = Options(**{**usual, "parity": more.get("engine") == "caffe", **more})
    files = Source(None, folder / "net.prototxt", folder / "net.caffemodel", "net")
    made = convert(source or files, options)
    found: dict[str, Any] = json.loads((made.folder / "manifest.json").read_text())
    return found


def alone(folder: Path) -> Source:
    """The caffemodel without its definition."""
    return Source(caffemodel=folder / "net.caffemodel", name="net")


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
