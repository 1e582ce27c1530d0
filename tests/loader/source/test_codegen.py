"""The generated source: readable, formatted, folded, and the same function however it is run."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch import nn

from decant.loader.artifact.loading import module_from_source
from decant.loader.artifact.recording import activations
from decant.loader.definition.graph import Net, net_from_text
from decant.loader.plan.planning import plan
from decant.loader.source import codegen
from decant.loader.source.axes import axes_of
from decant.loader.source.codegen import Generated, generate
from decant.loader.source.tracing import CaffeMap
from tests.helpers import definitions
from tests.helpers.nets import inputs_text, layer
from tests.helpers.random_weights import Blobs, random_blobs, shapes_of
from tests.helpers.structures import STRUCTURES

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow

TEXTS = {name: make() for name, make in STRUCTURES.items()} | {"googlenet": definitions.googlenet()}


def made(text: str, name: str = "net") -> tuple[Net, Generated, nn.Module, Blobs]:
    """A net with random weights, generated and loaded."""
    net = net_from_text(text, name)
    blobs = random_blobs(net)
    found, module = built(net, blobs, name)
    return net, found, module, blobs


def built(net: Net, blobs: Blobs, name: str = "net") -> tuple[Generated, nn.Module]:
    planned = plan(net, blobs, shapes_of(net))
    found = generate(planned, name, axes=axes_of(net, shapes_of(net)))
    module = module_from_source(found.source)
    state = {
        step.key(key): torch.from_numpy(np.array(array))
        for step in planned.steps
        for key, array in step.written.tensors.items()
    }
    module.load_state_dict(state, strict=True)
    module.__dict__["caffe_map"] = CaffeMap(
        found.modules, found.statements, planned.input_layers, list(planned.inputs)
    )
    return found, module.eval()


def picture(net: Net) -> torch.Tensor:
    (shape,) = shapes_of(net).values()
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def tensors(found: object) -> list[torch.Tensor]:
    return list(found.values()) if isinstance(found, dict) else [found]  # type: ignore[list-item]


@torch.no_grad()
@pytest.mark.parametrize("name", list(TEXTS))
def test_folding_changes_names_and_nothing_else(name: str) -> None:
    net, folded, module, blobs = made(TEXTS[name], name)
    with patch.object(codegen, "fold", lambda planned: planned.steps):
        _, flat = built(net, blobs, name)
    x = picture(net)
    for one, other in zip(tensors(module(x)), tensors(flat(x)), strict=True):
        assert torch.equal(one, other)
    there, plain = activations(module, x), activations(flat, x)
    assert list(there) == list(plain)
    for key, tops in plain.items():
        assert (
            torch.equal(there[key], tops)
            if isinstance(tops, torch.Tensor)
            else all(torch.equal(a, b) for a, b in zip(there[key], tops, strict=True))
        )


FOLDED = {
    "googlenet": {"Inception": 9},
    "squeezenet": {"Fire": 4},
    "resnet": {"Residual": 3, "Residual2": 4},
    "densenet": {"Dense": 7},
    "mobilenet": {"Depthwise": 5},
    "mobilenet_v2": {"Depthwise": 7},
    "inception_v3": {"Inception": 2, "Inception2": 3},
    "vgg": {},
    "nin": {},
}


@pytest.mark.parametrize("name", list(FOLDED))
def test_repeats_become_classes(name: str) -> None:
    _, found, _, _ = made(TEXTS[name], name)
    tree = ast.parse(found.source)
    classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
    counts = {of: found.source.count(f" = {of}(") for of in classes if of not in ("Model", "LRN")}
    assert counts == FOLDED[name]
    lines = found.source.count("\n")
    net = net_from_text(TEXTS[name], name)
    with patch.object(codegen, "fold", lambda planned: planned.steps):
        flat, _ = built(net, random_blobs(net), name)
    assert lines <= flat.source.count("\n")


def test_googlenet_reads_as_one_would_write_it() -> None:
    _, found, module, _ = made(TEXTS["googlenet"], "googlenet")
    assert "self.inception_3a = Inception(192, 64, 96, 128, 16, 32, 32)" in found.source
    assert "x = self.inception_3a(x)  # N x 256 x 28 x 28" in found.source
    assert "inception_4c.conv_5x5.weight" in module.state_dict()
    assert "Split" not in found.source


@pytest.mark.parametrize("name", list(TEXTS))
def test_the_source_is_formatted_and_imports_torch_only(name: str, tmp_path: Path) -> None:
    _, found, module, _ = made(TEXTS[name], name)
    file = tmp_path / "model.py"
    file.write_text(found.source)
    ruff = [sys.executable, "-m", "ruff"]
    subprocess.run(
        [*ruff, "format", "--line-length", "100", "--check", file], check=True, capture_output=True
    )
    subprocess.run([*ruff, "check", "--isolated", file], check=True)
    imported = {
        name.name
        for node in ast.walk(ast.parse(found.source))
        if isinstance(node, ast.Import)
        for name in node.names
    } | {
        str(node.module)
        for node in ast.walk(ast.parse(found.source))
        if isinstance(node, ast.ImportFrom)
    }
    assert imported <= {"torch", "collections", "__future__"}
    for key in module.state_dict():
        assert all(part.isidentifier() for part in key.split("."))


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:.torch.jit.trace.*deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", list(TEXTS))
def test_a_whole_net_goes_through_fx_export_and_jit(name: str) -> None:
    net, _, module, _ = made(TEXTS[name], name)
    x = picture(net)
    wanted = tensors(module(x))
    for other in (
        torch.fx.symbolic_trace(module),
        torch.jit.trace(module, x, strict=False, check_trace=False),
        torch.export.export(module, (x,)).module(),
    ):
        for one, want in zip(tensors(other(x)), wanted, strict=True):
            assert torch.allclose(one, want, rtol=1e-5, atol=1e-6)


@torch.no_grad()
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["resnet", "hed", "fcn8s", "light_cnn"])
def test_compile_takes_the_net_as_one_graph(name: str) -> None:
    net, _, module, _ = made(TEXTS[name], name)
    x = picture(net)
    # without a C++ compiler: what Dynamo captures, run as it is
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    for one, want in zip(tensors(compiled(x)), tensors(module(x)), strict=True):
        assert torch.allclose(one, want, rtol=1e-5, atol=1e-6)


@torch.no_grad()
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_compiled_code_has_the_same_numbers() -> None:
    headers = Path(sysconfig.get_path("include"), "Python.h")
    if shutil.which("g++") is None or not headers.exists():
        pytest.skip("torch.compile needs a C++ compiler (g++) and Python's headers")
    net, _, module, _ = made(TEXTS["light_cnn"], "light_cnn")
    x = picture(net)
    compiled = torch.compile(module, fullgraph=True)
    for one, want in zip(tensors(compiled(x)), tensors(module(x)), strict=True):
        assert torch.allclose(one, want, rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@torch.no_grad()
@pytest.mark.parametrize(
    "name", ["googlenet", "resnet", "mobilenet", "fcn8s", "ssd_trunk", "light_cnn"]
)
def test_onnx_has_the_same_numbers(name: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    net, _, module, _ = made(TEXTS[name], name)
    x = picture(net)
    file = tmp_path / "net.onnx"
    torch.onnx.export(module, (x,), file, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    for one, want in zip(found, tensors(module(x)), strict=True):
        assert np.abs(one - want.numpy()).max() <= 1e-5 * float(want.abs().max())


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@torch.no_grad()
@pytest.mark.parametrize(
    ("kind", "param"),
    [
        ("Pooling", "pooling_param { pool: AVE kernel_size: 2 stride: 3 }"),
        ("Pooling", "pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 2 }"),
        ("SPP", "spp_param { pyramid_height: 2 pool: AVE }"),
        ("MVN", ""),
        ("Normalize", "norm_param { channel_shared: true }"),
        ("ArgMax", ""),
        ("ArgMax", "argmax_param { axis: 1 }"),
    ],
)
def test_onnx_has_the_numbers_of_each_layer(kind: str, param: str, tmp_path: Path) -> None:
    """Maps of equal values too: a dead channel."""
    onnxruntime = pytest.importorskip("onnxruntime")
    text = inputs_text({"data": (2, 3, 8, 8)}) + layer("l", kind, ["data"], ["l"], param)
    net = net_from_text(text, "net")
    blobs = [np.ones(1, np.float32)] if kind == "Normalize" else []
    planned = plan(net, [[], blobs], shapes_of(net))
    module = module_from_source(generate(planned, "net").source).eval()
    x = torch.randn(2, 3, 8, 8)
    x[0, 1] = 0
    x[1] = 0
    file = tmp_path / "net.onnx"
    torch.onnx.export(module, (x,), file, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    want = module(x).numpy()
    assert np.isfinite(want).all()
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-5 * np.abs(want).max())


@torch.no_grad()
@pytest.mark.parametrize("name", ["resnet", "mobilenet", "nin", "openpose"])
def test_other_batches_and_sizes_work_where_the_net_allows(name: str) -> None:
    net, _, module, _ = made(TEXTS[name], name)
    x = picture(net)
    more = torch.cat([x, x.flip(-1)])
    for one, both in zip(tensors(module(x)), tensors(module(more)), strict=True):
        assert torch.allclose(both[:1], one, rtol=1e-4, atol=1e-5)
    larger = torch.randn(1, 3, x.shape[2] + 16, x.shape[3] + 32)
    assert all(torch.isfinite(top).all() for top in tensors(module(larger)))
    half = tensors(module.bfloat16()(x.bfloat16()))
    assert all(top.dtype == torch.bfloat16 for top in half)


def test_gradients_reach_the_input() -> None:
    net, _, module, _ = made(TEXTS["googlenet"], "googlenet")
    x = picture(net).requires_grad_()
    module.train()
    module(x).square().sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0


def test_memory_is_released_on_the_way() -> None:
    """Every value goes with its last reader, or with the line behind it that fills its name again."""
    text = inputs_text({"data": (1, 2, 8, 8)})
    for number in range(6):
        bottom = f"c{number - 1}" if number else "data"
        text += layer(f"c{number}", "Power", [bottom], [f"c{number}"], "power_param { scale: 2 }")
    text += layer("sum", "Eltwise", ["c1", "c5"], ["sum"])
    net = net_from_text(text, "net")
    found = generate(plan(net, [[] for _ in net.layers], shapes_of(net)), "net")
    body = found.source[found.source.index("def forward") :]
    assert body.splitlines()[1:] == [
        "        x = 2.0 * x  # 1 x 2 x 8 x 8",
        "        x = 2.0 * x",
        *[
            "        y = 2.0 * x",
            "        y = 2.0 * y",
            "        y = 2.0 * y",
            "        y = 2.0 * y",
        ],
        "        return x + y",
    ]


def test_names_that_python_cannot_have() -> None:
    text = inputs_text({"1/class": (1, 2, 4, 4)})
    names = ["for", "1x1", "self", "a.b", "a/b", "type", "é", "l", "forward", "torch", "a b"]
    blob = "1/class"
    for name in names:
        text += layer(
            name,
            "Convolution",
            [blob],
            [name],
            "convolution_param { num_output: 2 kernel_size: 1 }",
        )
        blob = name
    net, found, module, _ = made(text)
    assert len(module.state_dict()) == 2 * len(names)
    assert len({found.modules[name] for name in names}) == len(names)
    assert set(activations(module, picture(net))) == {*names, "1/class"}


def test_several_inputs_by_position_and_by_name() -> None:
    text = inputs_text({"left-eye": (1, 2), "right": (1, 2)})
    text += layer(
        "sum", "Eltwise", ["left-eye", "right"], ["sum"], "eltwise_param { coeff: 1 coeff: -1 }"
    )
    net = net_from_text(text, "net")
    found, module = built(net, [[] for _ in net.layers])
    assert "def forward(self, left_eye: torch.Tensor, right: torch.Tensor)" in found.source
    a, b = torch.ones(1, 2), torch.full((1, 2), 3.0)
    assert torch.equal(module(a, b), module(right=b, left_eye=a))


def test_shared_weights_are_one_parameter() -> None:
    share = 'param { name: "w" } param { name: "b" } inner_product_param { num_output: 3 }'
    text = inputs_text({"a": (1, 4), "b": (1, 4)})
    text += layer("one", "InnerProduct", ["a"], ["one"], share) + layer(
        "two", "InnerProduct", ["b"], ["two"], share
    )
    net = net_from_text(text, "net")
    random = np.random.default_rng(0)
    weight, bias = random.standard_normal((3, 4), np.float32), random.standard_normal(3, np.float32)
    found, module = built(net, [[], [], [weight, bias], [weight, bias]])
    assert "self.two.weight = self.one.weight" in found.source
    assert module.get_parameter("two.weight") is module.get_parameter("one.weight")
    assert set(module.state_dict()) == {"one.weight", "one.bias", "two.weight", "two.bias"}


def test_a_thousand_layers_are_generated() -> None:
    text = inputs_text({"data": (1, 4, 8, 8)})
    blob = "data"
    for number in range(500):
        name = f"conv{number}"
        text += layer(
            name,
            "Convolution",
            [blob],
            [name],
            "convolution_param { num_output: 4 kernel_size: 1 }",
        )
        text += layer(f"relu{number}", "ReLU", [name], [name])
        blob = name
    net, found, module, _ = made(text)
    assert len(found.statements) == 1000
    assert torch.isfinite(module(picture(net))).all()


def test_what_forward_may_not_hide_is_renamed() -> None:
    text = inputs_text({"torch": (1, 2, 4, 4)})
    text += layer("a", "Split", ["torch"], ["nn", "x"])
    text += layer("s", "Slice", ["nn"], ["self", "LRN"]) + layer(
        "sum", "Eltwise", ["self", "LRN"], ["torch2"]
    )
    text += layer("end", "Concat", ["x", "torch2"], ["OrderedDict"])
    net = net_from_text(text, "net")
    _, module = built(net, [[] for _ in net.layers])
    assert module(torch.randn(1, 2, 4, 4)).shape == (1, 3, 4, 4)
