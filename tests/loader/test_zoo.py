"""The hand-written modules: structure against the published totals, tracing, export, self-containment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from decant.loader import zoo
from decant.loader.ops.lrn import LRN
from decant.loader.pictures.transforms import Transform
from tests.helpers import definitions

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow

ENTRIES = [
    ("googlenet", {}, 6_998_552, 224),
    ("googlenet", {"num_classes": 205}, 6_183_677, 224),
    ("googlenet", {"num_classes": 365}, 6_347_677, 224),
    ("caffenet", {}, 60_965_224, 227),
    ("alexnet", {}, 60_965_224, 227),
    ("vgg16", {}, 138_357_544, 224),
    ("vgg19", {}, 143_667_240, 224),
    ("vgg16", {"num_classes": 2622}, 145_002_878, 224),
]


def random(module: str, seed: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    net = zoo.build(module, {})
    for parameter in net.parameters():
        scale = (2 / parameter[0].numel()) ** 0.5 if parameter.dim() > 1 else 0.1
        nn.init.normal_(parameter, std=scale)
    return net


@pytest.mark.parametrize(("module", "arguments", "count", "side"), ENTRIES)
def test_the_published_number_of_parameters(
    module: str, arguments: dict[str, int], count: int, side: int
) -> None:
    with torch.device("meta"):
        net = zoo.build(module, arguments)
        out = net(torch.empty(2, 3, side, side))
    assert sum(parameter.numel() for parameter in net.parameters()) == count
    assert out.shape == (2, arguments.get("num_classes", 1000))


def test_googlenets_names_are_those_that_people_use() -> None:
    with torch.device("meta"):
        keys = set(zoo.build("googlenet", {}).state_dict())
    for name in ("conv1", "conv2_reduce", "conv2", "inception_4c.conv_5x5", "inception_5b.pool_proj",
                 "inception_3a.conv_3x3_reduce", "loss3_classifier"):  # fmt: skip
        assert {f"{name}.weight", f"{name}.bias"} <= keys
    assert len(keys) == 2 * 58


def test_every_layer_of_the_definitions_has_a_place() -> None:
    for module, text in (
        ("googlenet", definitions.googlenet()),
        ("caffenet", definitions.caffenet()),
        ("vgg19", definitions.vgg((2, 2, 4, 4, 4))),
    ):
        from decant.loader.definition.graph import net_from_text

        names = {layer.name for layer in net_from_text(text, "x").layers if layer.type != "Input"}
        with torch.device("meta"):
            assert set(zoo.build(module, {}).caffe_layers()) == names  # type: ignore[operator]


def lrn_by_loops(x: np.ndarray, size: int, alpha: float, beta: float, k: float) -> np.ndarray:
    """lrn_layer.cpp, CrossChannelForward: scale = k + alpha / n * sum over the window, in float64."""
    scale = np.full(x.shape, k, np.float64)
    for channel in range(x.shape[1]):
        low, high = max(0, channel - size // 2), min(x.shape[1], channel + size // 2 + 1)
        scale[:, channel] += alpha / size * (x[:, low:high].astype(np.float64) ** 2).sum(1)
    return x * scale**-beta


@pytest.mark.parametrize(("size", "beta", "k"), [(5, 0.75, 1.0), (3, 0.75, 2.0), (7, 0.5, 1.5)])
@pytest.mark.parametrize("spread", [1.0, 60.0, 4000.0])
def test_lrn_is_caffes(size: int, beta: float, k: float, spread: float) -> None:
    x = torch.randn(2, 9, 4, 5, generator=torch.Generator().manual_seed(1)) * spread
    expected = lrn_by_loops(x.numpy(), size, 1e-4, beta, k)
    found = LRN(size, 1e-4, beta, k)(x).numpy()
    assert np.abs(found - expected).max() <= 4e-7 * np.abs(expected).max()


def test_lrn_differentiates_and_does_not_touch_its_input() -> None:
    layer, x = LRN(5, 0.5, 0.75), torch.randn(1, 7, 2, 2, dtype=torch.double, requires_grad=True)
    before = x.detach().clone()
    assert torch.autograd.gradcheck(layer, x)
    assert torch.equal(x.detach(), before)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_lrn_works_in_half_precision_without_overflow(dtype: torch.dtype) -> None:
    x = (torch.randn(1, 16, 5, 5) * 900).to(dtype)
    found = LRN(5, 1e-4, 0.75)(x)
    assert found.dtype == dtype
    exact = LRN(5, 1e-4, 0.75)(x.double())
    assert (found.double() - exact).abs().max() <= 0.03 * exact.abs().max()


def test_the_order_of_pooling_and_normalisation_is_told_apart() -> None:
    """No shape check catches this: AlexNet and CaffeNet with equal weights must differ."""
    one, other = random("alexnet"), random("caffenet")
    x = torch.randn(1, 3, 227, 227) * 50
    with torch.no_grad():
        assert (one(x) - other(x)).abs().max() > 1e-3


@pytest.mark.parametrize("module", ["googlenet", "caffenet"])
def test_tracing_export_and_formats_keep_the_numbers(module: str) -> None:
    net, side = random(module), 224 if module == "googlenet" else 227
    x = torch.randn(2, 3, side, side) * 50
    with torch.no_grad():
        expected = net(x)
        near = {"rtol": 1e-4, "atol": float(expected.abs().max()) * 1e-5}
        torch.testing.assert_close(torch.fx.symbolic_trace(net)(x), expected, **near)
        exported = torch.export.export(net, (x,)).module()
        torch.testing.assert_close(exported(x), expected, **near)
        with pytest.warns(DeprecationWarning):
            traced = torch.jit.trace(net, x[:1])
        torch.testing.assert_close(traced(x), expected, **near)
        last = net.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
        torch.testing.assert_close(last, expected, **near)
        half = net.bfloat16()(x.bfloat16())
    assert half.dtype == torch.bfloat16
    assert nn.functional.cosine_similarity(half.float(), expected).min() > 0.99


def test_googlenet_compiles() -> None:
    net = random("googlenet")
    x = torch.randn(1, 3, 224, 224) * 50
    with torch.no_grad():
        graph = torch.compile(net, backend="aot_eager", fullgraph=True)
        expected = net(x)
        torch.testing.assert_close(
            graph(x), expected, rtol=1e-4, atol=float(expected.abs().max()) * 1e-5
        )


def test_the_gradient_reaches_the_picture_through_the_transform() -> None:
    net = random("googlenet")
    picture = torch.rand(1, 3, 224, 224, requires_grad=True)
    net(Transform("BGR", (104.0, 117.0, 123.0), 1.0)(picture)).norm().backward()
    assert picture.grad is not None
    assert torch.isfinite(picture.grad).all()
    assert picture.grad.abs().sum() > 0


BARE = """
import importlib.util, sys
class Only:
    def find_spec(self, name, *_):
        if name.split('.')[0] in ('loader', 'dumper', 'engines', 'commands', 'stages', 'h5py', 'docker', 'yaml'):
            raise ImportError(name)
sys.meta_path.insert(0, Only())
spec = importlib.util.spec_from_file_location('model', sys.argv[1])
module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)
import torch
with torch.device('meta'):
    net = module.Model()
print(sum(p.numel() for p in net.parameters()))
"""


@pytest.mark.parametrize(("module", "arguments", "count", "side"), ENTRIES[2:6])
def test_the_source_is_self_contained(
    module: str, arguments: dict[str, int], count: int, side: int, tmp_path: Path
) -> None:
    (tmp_path / "model.py").write_text(zoo.source(module, arguments))
    command = [sys.executable, "-I", "-c", BARE, str(tmp_path / "model.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(count), done.stderr


@pytest.mark.parametrize("module", sorted(zoo.MODULES))
def test_the_written_source_is_formatted_and_clean(module: str, tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(zoo.source(module, {"num_classes": 7}))
    ruff = str(Path(sys.executable).with_name("ruff"))
    for command in (
        ["format", "--check", "--line-length", "100"],
        ["check", "--select", "F,E4,E7"],
    ):
        done = subprocess.run(
            [ruff, *command, "--isolated", str(path)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_transform_is_caffes_arithmetic() -> None:
    x = torch.rand(2, 3, 4, 4)
    found = Transform("BGR", (104.0, 117.0, 123.0), 0.017)(x)
    for channel, mean in ((0, 104.0), (1, 117.0), (2, 123.0)):
        expected = (x[:, 2 - channel] * 255 - mean) * 0.017
        torch.testing.assert_close(found[:, channel], expected)
    assert Transform("gray", (0.0,), 0.5).double()(x[:, :1].double()).dtype == torch.double
