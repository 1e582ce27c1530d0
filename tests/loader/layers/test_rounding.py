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
from decant.loader.definition.graph import net_from_text
from decant.loader.layers.normalised import MOST_DEVIATIONS
from decant.loader.ops.batch_norm import CentredBatchNorm
from decant.loader.parity import measuring
from decant.loader.plan.planning import plan
from decant.loader.plan.steps import Plan
from decant.loader.source.codegen import generate
from tests.helpers.nets import SC, inputs_text, layer

CHANNELS = 5
PICTURE = (2, CHANNELS, 4, 3)


@pytest.mark.parametrize("name", [
    "exp_base", "exp_shift", "exp_steep", "log_base", "bn_far_mean", "bn_farther_mean",
    "bn_far_mean_scale", "bn_no_variance", "bn_negative_variance",
])  # fmt: skip
def test_a_layer_rounds_as_caffe_does(name: str, golden: dict[str, Dump]) -> None:
    converted = conversion_of(golden[name], None, name)
    found = measuring.measure(golden[name], converted.build(), converted.caffe_map())
    alone = [top.isolated for top in found.layers if top.verdict != "fused"]
    assert alone and max(alone) <= 2.5e-7


def statistics(deviations: float) -> tuple[np.ndarray, np.ndarray]:
    """Of one channel so far from 0, the others near."""
    random = np.random.default_rng(0)
    variance = random.uniform(1e-3, 2, CHANNELS).astype(np.float32)
    mean = np.sqrt(variance + np.float32(1e-5)) * random.uniform(-1, 1, CHANNELS)
    mean[3] = -deviations * np.sqrt(variance[3] + np.float32(1e-5))
    return mean.astype(np.float32), variance


def batch_norm(deviations: float) -> Plan:
    factor = np.full(1, 0.5, np.float32)
    blobs = [array * factor for array in statistics(deviations)]
    text = inputs_text({"data": PICTURE}) + layer("bn", "BatchNorm", ["data"], ["bn"])
    return plan(net_from_text(text, "f"), [[], [*blobs, factor]], {"data": PICTURE})


def with_scale(deviations: float) -> Plan:
    mean, variance = statistics(deviations)
    ones = np.ones(CHANNELS, np.float32)
    text = inputs_text({"data": PICTURE}) + layer("bn", "BatchNorm", ["data"], ["bn"]) + SC
    blobs = [[], [mean, variance, ones[:1]], [ones * 3, ones]]
    return plan(net_from_text(text, "f"), blobs, {"data": PICTURE})


def fork(deviations: float) -> Plan:
    mean, variance = statistics(deviations)
    ones = np.ones(CHANNELS, np.float32)
    text = inputs_text({"data": PICTURE}) + layer("bn", "BN", ["data"], ["bn"])
    return plan(net_from_text(text, "f"), [[], [ones, ones, mean, variance]], {"data": PICTURE})


@pytest.mark.parametrize("made", [batch_norm, with_scale, fork])
def test_the_form_goes_by_how_far_a_mean_is_from_0(made: object) -> None:
    for deviations, expected in [
        (0, "nn.BatchNorm2d"),
        (0.99 * MOST_DEVIATIONS, "nn.BatchNorm2d"),
        (1.01 * MOST_DEVIATIONS, "CentredBatchNorm"),
        (1e7, "CentredBatchNorm"),
    ]:
        found: Plan = made(deviations)  # type: ignore[operator]
        assert str(found.steps[0].written.module).split("(")[0] == expected


def test_both_forms_have_one_state() -> None:
    near, far = with_scale(1), with_scale(1000)
    assert far.steps[0].origin == near.steps[0].origin
    tensors = far.steps[0].written.tensors
    assert list(tensors) == list(near.steps[0].written.tensors)
    module = module_from_source(generate(far, "net").source)
    wanted = {f"bn.{name}": torch.from_numpy(array) for name, array in tensors.items()}
    assert sorted(module.state_dict()) == sorted(wanted)
    module.load_state_dict(wanted)


@pytest.mark.parametrize("scaled", [False, True])
def test_within_the_limit_torchs_form_is_good_and_beyond_it_is_not(scaled: bool) -> None:
    """The oracle is Caffe's order in float32, whose bits are the container's (golden.zip)."""
    random = np.random.default_rng(1)
    errors = {}
    for deviations in (0.5 * MOST_DEVIATIONS, MOST_DEVIATIONS, 1000 * MOST_DEVIATIONS):
        mean, variance = statistics(deviations)
        deviation = np.sqrt(variance + np.float32(1e-5))
        x = (mean + deviation * random.standard_normal((4096, CHANNELS))).astype(np.float32)
        weight, bias = random.standard_normal((2, CHANNELS)).astype(np.float32)
        caffe = (x - mean) / deviation
        caffe = caffe * weight + bias if scaled else caffe
        for kind in (nn.BatchNorm1d, CentredBatchNorm):
            module = kind(CHANNELS, affine=scaled).eval()
            state = {"running_mean": mean, "running_var": variance, "weight": weight, "bias": bias}
            module.load_state_dict(
                {
                    key: torch.from_numpy(state.get(key, np.zeros((), np.int64)))
                    for key in module.state_dict()
                }
            )
            found = module(torch.from_numpy(x)).detach().numpy()
            errors[kind, deviations] = np.abs(found - caffe).max() / np.abs(caffe).max()
    for (kind, deviations), error in errors.items():
        if kind is CentredBatchNorm:
            assert error <= 2.5e-7
        elif deviations <= MOST_DEVIATIONS:
            assert error <= 1e-6
        else:
            assert error > 1e-5


def test_the_form_that_subtracts_first_trains_as_torchs_does() -> None:
    torch.manual_seed(0)
    ours, theirs = CentredBatchNorm(CHANNELS), nn.BatchNorm2d(CHANNELS)
    x = torch.randn(PICTURE)
    for _ in range(2):
        assert torch.equal(ours(x), theirs(x))
        assert torch.equal(ours.running_var, theirs.running_var)
        ours.eval()
        theirs.eval()
        for module in (ours, theirs):
            module.zero_grad()
            module(x).square().sum().backward()
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.allclose(mine.grad, other.grad, rtol=1e-4)
        ours.train()
        theirs.train()


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
