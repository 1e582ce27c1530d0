"""Layers over length, height and width: geometries that nobody chose, what is refused, whole nets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decant.loader.artifact.loading import module_from_source
from decant.loader.definition.graph import net_from_text
from decant.loader.errors import Unsupported
from decant.loader.plan.planning import plan
from decant.loader.source.codegen import generate
from tests.helpers import by_hand_volumes as by_hand
from tests.helpers.forks import computes_its_definition, forks_of
from tests.helpers.nets import Shape, inputs_text, layer

SHAPE = (2, 3, 5, 6, 7)


def written(kind: str, param: str, shape: Shape, blobs: list[np.ndarray]) -> torch.nn.Module:
    text = inputs_text({"data": shape}) + layer("it", kind, ["data"], ["out"], param)
    planned = plan(net_from_text(text, "net.prototxt"), [[], blobs], {"data": shape})
    module = module_from_source(generate(planned, "net").source).eval()
    tensors = planned.steps[0].written.tensors
    module.load_state_dict({f"it.{key}": torch.from_numpy(a) for key, a in tensors.items()})
    module.planned_shape = tuple(planned.steps[0].written.shapes[0])  # type: ignore[assignment]
    return module


SIZES = st.tuples(*[st.integers(1, 6)] * 3)
SMALL = st.integers(1, 4)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    sizes=SIZES, pool=st.sampled_from(["MAX", "AVE"]), c3d=st.booleans(), depth=SMALL, side=SMALL,
    stride=SMALL, along=SMALL, pad=st.integers(0, 3), pad_l=st.integers(0, 3),
)  # fmt: skip
@torch.no_grad()
@pytest.mark.slow
def test_any_geometry_pools_as_its_fork_does(
    sizes: by_hand.Three, pool: str, c3d: bool, depth: int, side: int, stride: int, along: int,
    pad: int, pad_l: int,
) -> None:  # fmt: skip
    if c3d:
        pads = (0, pad, pad)
        names = f"kernel_depth: {depth} temporal_stride: {along}"
    else:
        pads = (pad_l, pad, pad)
        names = f"kernel_l: {depth} stride_l: {along} pad_l: {pad_l}"
    param = f"pool: {pool} kernel_size: {side} stride: {stride} pad: {pad} {names}"
    shape = (2, 2, *sizes)
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    try:
        module = written("Pooling3D", f"pooling3d_param {{ {param} }}", shape, [])
    except Unsupported as error:
        outside = not c3d and (pad >= side or pad_l >= depth)
        small = any(n + 2 * p <= k - s for n, p, k, s in zip(
            sizes, pads, (depth, side, side), (along, stride, stride), strict=True))  # fmt: skip
        assert outside or (c3d and pad and pool == "MAX") or small, str(error)
        return
    kernel, steps = (depth, side, side), (along, stride, stride)
    wanted, _ = by_hand.pool3d(x.astype(np.float64), pool, kernel, steps, pads, clip=not c3d)
    found = module(torch.from_numpy(x)).numpy()
    assert found.shape == wanted.shape == module.planned_shape
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    sizes=SIZES, depth=SMALL, side=SMALL, stride=SMALL, along=SMALL, pad=st.integers(0, 2),
    pad_l=st.integers(0, 2), c3d=st.booleans(), back=st.booleans(),
)  # fmt: skip
@torch.no_grad()
@pytest.mark.slow
def test_any_geometry_convolves_as_its_fork_does(
    sizes: by_hand.Three, depth: int, side: int, stride: int, along: int, pad: int, pad_l: int,
    c3d: bool, back: bool,
) -> None:  # fmt: skip
    kernel, steps, pads = (depth, side, side), (along, stride, stride), (pad_l, pad, pad)
    length = (
        ("kernel_depth", "temporal_stride", "temporal_pad")
        if c3d
        else ("kernel_l", "stride_l", "pad_l")
    )
    names = " ".join(f"{name}: {n}" for name, n in zip(length, (depth, along, pad_l), strict=True))
    param = f"num_output: 4 kernel_size: {side} stride: {stride} pad: {pad} {names}"
    random = np.random.default_rng(0)
    shape = (2, 2, *sizes)
    x = random.standard_normal(shape).astype(np.float32)
    inner = (2, 4) if back else (4, 2)
    weight = random.standard_normal((*inner, *kernel)).astype(np.float32)
    bias = random.standard_normal((1, 1, 1, 1, 4)).astype(np.float32)
    kind = "Deconvolution3D" if back else "Convolution3D"
    compute = by_hand.deconv3d if back else by_hand.conv3d
    try:
        module = written(kind, f"convolution3d_param {{ {param} }}", shape, [weight, bias])
    except Unsupported:
        assert any(
            ((n - 1) * s - 2 * p + k < 1) if back else (n + 2 * p - k <= -s)
            for n, s, p, k in zip(sizes, steps, pads, kernel, strict=True)
        )
        return
    wanted = compute(x.astype(np.float64), weight, bias, steps, pads)
    found = module(torch.from_numpy(x)).numpy()
    assert found.shape == wanted.shape == module.planned_shape
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


REFUSED = {
    "no length": ("Pooling3D", "pooling3d_param { kernel_size: 2 }", "neither kernel_depth"),
    "two lengths": ("Pooling3D", "pooling3d_param { kernel_size: 2 kernel_depth: 2 kernel_l: 2 }", "with kernel_l"),
    "padded maxima": ("Pooling3D", "pooling3d_param { kernel_size: 3 kernel_depth: 2 pad: 1 }", "pads only averages"),
    "large pad": ("Pooling3D", "pooling3d_param { kernel_size: 3 kernel_l: 2 pad_l: 2 }", "refuses it"),
    "stochastic": ("Pooling3D", "pooling3d_param { pool: STOCHASTIC kernel_size: 3 kernel_depth: 2 }", "STOCHASTIC"),
    "another fork's field": ("Pooling3D", "pooling3d_param { kernel_size: 2 kernel_depth: 2 ceil_mode: false }", "pooling3d_param.ceil_mode"),
    "too small": ("Pooling3D", "pooling3d_param { kernel_size: 9 kernel_depth: 2 }", "smaller than the kernel"),
    "global with a kernel": ("Pooling3D", "pooling3d_param { global_pooling: true kernel_size: 2 }", "global_pooling with kernel_size"),
    "parts": ("Convolution3D", "convolution3d_param { num_output: 4 kernel_size: 1 kernel_depth: 1 filter_group: 3 }", "3 parts"),
    "no kernel": ("Convolution3D", "convolution3d_param { num_output: 4 kernel_depth: 1 }", "kernel 1 x 0 x 0"),
    "message of yet another fork": ("Pooling3D", "pooling_3d_param { kernel_size: 2 }", "neither kernel_depth"),
}  # fmt: skip


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_no_known_fork_has_is_refused(case: str) -> None:
    kind, param, expected = REFUSED[case]
    with pytest.raises(Unsupported, match=expected.replace("(", r"\(")):
        written(kind, param, SHAPE, [])


@pytest.mark.parametrize("kind", ["Convolution3D", "Deconvolution3D", "Pooling3D"])
def test_a_picture_is_no_volume(kind: str) -> None:
    with pytest.raises(Unsupported, match="an input of 4 axes"):
        written(kind, "", (2, 3, 6, 7), [])


@pytest.mark.parametrize("name", forks_of("volumes"))
def test_a_layer_computes_its_published_definition(name: str, tmp_path: Path) -> None:
    computes_its_definition(name, tmp_path)
