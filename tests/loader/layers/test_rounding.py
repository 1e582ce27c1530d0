"""Layers whose order of operations, or whose constants, float32 makes much of: as Caffe has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from decant.dumper.dumpfile import Dump
from decant.loader.artifact.conversion import conversion_of
from decant.loader.artifact.loading import module_from_source
from decant.loader.parity import measuring
from decant.loader.source.codegen import generate
from tests.helpers.batch_norms import PICTURE, statistics, with_scale


@pytest.mark.parametrize("name", [
    "exp_base", "exp_shift", "exp_steep", "log_base", "bn_far_mean", "bn_farther_mean",
    "bn_far_mean_scale", "bn_no_variance", "bn_negative_variance",
])  # fmt: skip
def test_a_layer_rounds_as_caffe_does(name: str, golden: dict[str, Dump]) -> None:
    converted = conversion_of(golden[name], None, name)
    found = measuring.measure(golden[name], converted.build(), converted.caffe_map())
    alone = [top.isolated for top in found.layers if top.verdict != "fused"]
    assert alone and max(alone) <= 2.5e-7


def far_module() -> tuple[nn.Module, torch.Tensor]:
    """A net of means 1000 deviations from 0, as its source has it, and values near them."""
    planned = with_scale(1000)
    module = module_from_source(generate(planned, "net").source).eval()
    tensors = planned.steps[0].written.tensors
    module.load_state_dict({f"bn.{key}": torch.from_numpy(a) for key, a in tensors.items()})
    mean, variance = (array.reshape(-1, 1, 1) for array in statistics(1000))
    random = np.random.default_rng(2)
    x = mean + np.sqrt(variance) * random.standard_normal(PICTURE)
    return module, torch.from_numpy(x.astype(np.float32))


@torch.no_grad()
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.slow
def test_its_graphs_compute_the_same() -> None:
    module, x = far_module()
    wanted = module(x)
    for graph in (
        torch.fx.symbolic_trace(module),
        torch.jit.trace(module, x),
        torch.export.export(module, (x,)).module(),
        torch.compile(module, backend="aot_eager", fullgraph=True),
    ):
        assert torch.equal(graph(x), wanted)


@torch.no_grad()
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.slow
def test_its_onnx_is_not_folded_back(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    module, x = far_module()
    file = tmp_path / "net.onnx"
    torch.onnx.export(module, (x,), file, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    wanted = module(x).numpy()
    assert np.abs(found - wanted).max() <= 2.5e-7 * np.abs(wanted).max()


def test_the_source_stands_alone() -> None:
    source = generate(with_scale(1000), "net").source
    assert "from loader" not in source and "import loader" not in source
