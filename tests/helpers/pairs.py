"""A definition and weights on disk, through the embedded reader or real Caffe, in this process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from decant.dumper import dumpfile
from decant.loader.artifact.conversion import Conversion, conversion_of
from decant.stages.definition import Definition
from decant.stages.dump import refuse_unconvertible, run
from decant.stages.inputs import Inputs
from decant.stages.options import Options, Wanted

Shape = tuple[int, ...]


def random(*shape: int, seed: int = 0) -> np.ndarray:
    """Standard normal, float32, never 0."""
    found = np.random.default_rng(seed + sum(shape)).standard_normal(shape, np.float32)
    return np.where(found == 0, np.float32(1), found)


def stage(
    folder: Path,
    text: str,
    weights: bytes | None,
    engine: Wanted = "reader",
    shapes: Mapping[str, Shape] | None = None,
) -> Any:
    """Stage 1, as `convert` runs it: what cannot be converted is refused before an engine runs."""
    (folder / "net.prototxt").write_text(text)
    caffemodel = folder / "net.caffemodel" if weights is not None else None
    if caffemodel is not None and weights is not None:
        caffemodel.write_bytes(weights)
    return run(
        Definition(Inputs("net", None, folder / "net.prototxt", caffemodel)),
        Options(engine=engine, parity=engine == "caffe", shapes=shapes or {}),
        out=folder / f"{engine}.h5",
        check=refuse_unconvertible,
    )


def dumped(
    folder: Path, text: str, weights: bytes | None, engine: Wanted = "reader"
) -> dumpfile.Dump:
    """The dump, as it is read from its file."""
    return dumpfile.read(stage(folder, text, weights, engine).dump)


def params(dump: dumpfile.Dump) -> dict[str, list[np.ndarray]]:
    """By layer."""
    return {layer.name: layer.params for layer in dump.layers if layer.params}


def made(dump: dumpfile.Dump) -> Conversion:
    """Stage 2."""
    return conversion_of(dump, None, "net")


def answer(dump: dumpfile.Dump, **inputs: np.ndarray) -> np.ndarray:
    """What the module of the dump makes of its inputs."""
    import torch

    module = made(dump).build()
    found: np.ndarray = module(*map(torch.from_numpy, inputs.values())).numpy()
    return found
