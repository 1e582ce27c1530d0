"""Every real net converts: without a container, against the outputs that real Caffe computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from decant.dumper import dumpfile
from decant.engines import reader
from decant.engines.job import Job
from decant.loader.artifact.conversion import conversion_of
from decant.loader.definition.graph import read_net
from decant.loader.progress import SILENT
from tests.conftest import CASES

NAMES = sorted(path.parent.name for path in CASES.glob("*/net.prototxt")) or ["(no cases here)"]


@torch.no_grad()
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.slow
def test_a_real_net_converts(name: str, cases: Path, tmp_path: Path) -> None:
    folder = cases / name
    weights = next(folder.glob("net.caffemodel*"))
    net = read_net(folder / "net.prototxt")
    reader.dump(
        Job(folder / "net.prototxt", weights, {}, ("conv5-3",), net=net), tmp_path / "d.h5", SILENT
    )
    converted = conversion_of(dumpfile.read(tmp_path / "d.h5"), None, name)
    module = converted.build()
    if not (folder / "truth.npz").exists():
        inputs = [torch.zeros(shape) for shape in converted.inputs.values()]
        found = module(*inputs)
        assert all(
            torch.isfinite(top).all()
            for top in (found.values() if isinstance(found, dict) else [found])
        )
        return
    with np.load(folder / "truth.npz") as truth:
        arrays = {key[3:]: truth[key] for key in truth.files if key.startswith("in/")}
        outputs = {key[4:]: truth[key] for key in truth.files if key.startswith("out/")}
    found = module(*(torch.from_numpy(arrays[blob]) for blob in converted.inputs))
    tops = found if isinstance(found, dict) else dict(zip(outputs, [found], strict=True))
    assert set(tops) == set(outputs)
    for blob, expected in outputs.items():
        assert np.abs(tops[blob].numpy() - expected).max() <= 1e-5 * np.abs(expected).max()
