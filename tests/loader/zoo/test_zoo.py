"""The hand-written modules: structure against the published totals, tracing, export, self-containment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from decant.loader import zoo
from tests.helpers import definitions
from tests.helpers.zoo_nets import random

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


@pytest.mark.parametrize(("module", "arguments", "count", "side"), ENTRIES)
def test_the_published_number_of_parameters(
    module: str, arguments: dict[str, int], count: int, side: int
) -> None:
    with torch.device("meta"):
        net = zoo.build(module, arguments)
        out = net(torch.empty(2, 3, side, side))
    assert sum(parameter.numel() for parameter in net.parameters()) == count
    assert out.shape == (2, arguments.get("num_classes", 1000))


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
