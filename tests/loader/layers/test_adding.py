"""docs/adding-a-layer.md, followed: one function, one record; and that the records are all there is."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from decant.loader import load
from decant.loader.definition import crop
from decant.loader.definition.graph import Net, net_from_text, outputs
from decant.loader.errors import BadInput, Unsupported
from decant.loader.layers import LAYER_TYPES, rule
from decant.loader.layers.layer_type import LayerType, Parameters
from decant.loader.plan.deploy import deploy
from tests.helpers.converting import conv, converted, input_layer, layer, random, write_pair

ROOT = Path(__file__).resolve().parents[3]
PLUGIN, RULE, RECORD = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs/adding-a-layer.md").read_text(), re.DOTALL
)
WARP = "warp_param { power: 2 }"


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> LayerType:
    """The page's record, with the page's rule."""
    found: dict[str, object] = vars(rule).copy()
    exec(RULE, found)
    names = {
        "LayerType": LayerType,
        "ALWAYS": Parameters.ALWAYS,
        "activation": SimpleNamespace(**found),
    }
    of: LayerType = eval(RECORD, names)
    monkeypatch.setitem(LAYER_TYPES, of.name, of)
    return of


def weights(folder: Path, text: str) -> np.ndarray:
    """The pair of `text` in the folder; what Warp is given."""
    factor = np.array([1, -2, 3, 0.5], np.float32)
    filed = [("c", "Convolution", [random(4, 3, 3, 3), random(4)]), ("warp", "Warp", [factor])]
    write_pair(folder, text, filed)
    return factor


IN_PLACE = (
    input_layer("data", 1, 3, 8, 8) + conv("c", "data", "c") + layer("warp", "Warp", "c", "c", WARP)
)


@torch.no_grad()
def test_it_is_converted_in_place(added: LayerType, tmp_path: Path) -> None:
    factor = weights(tmp_path, IN_PLACE)
    converted(tmp_path)
    model, _ = load(tmp_path / "artifacts/net")
    x = torch.from_numpy(random(1, 3, 8, 8))
    before = torch.nn.functional.conv2d(x, model.c.weight, model.c.bias).numpy()
    expected = factor.reshape(-1, 1, 1) * before**2
    assert np.allclose(model(x).numpy(), expected, rtol=1e-5, atol=1e-5)


def test_in_place_is_refused_of_a_type_whose_record_does_not_say_so(
    added: LayerType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LAYER_TYPES, "Warp", replace(added, in_place=False))
    weights(tmp_path, IN_PLACE)
    with pytest.raises(Unsupported, match="'warp'.*works in place"):
        converted(tmp_path)


def test_it_is_missed_where_the_file_lacks_it(added: LayerType, tmp_path: Path) -> None:
    write_pair(tmp_path, IN_PLACE, [("c", "Convolution", [random(4, 3, 3, 3), random(4)])])
    with pytest.raises(BadInput, match="'warp' \\(Warp\\) has no weights in the file"):
        converted(tmp_path)


DATA = layer(
    "d", "Data", "", "data other", "transform_param { crop_size: 8 } data_param { source: 'x' }"
)
SHAPES = {"data": (1, 3, 8, 8), "other": (1, 3, 8, 8)}
LOSS = conv("c", "data", "c") + layer("loss", "EuclideanLoss", "c branch", "loss")


def deployed(branch: str) -> Net:
    return deploy(net_from_text(DATA + branch + LOSS, "net"), SHAPES, {})


def test_its_branch_in_a_training_net_is_kept(added: LayerType, tmp_path: Path) -> None:
    net = deployed(layer("warp", "Warp", "other", "branch", WARP))
    assert list(net.inputs) == ["data", "other"] and set(outputs(net)) == {"c", "branch"}
    # and converted, where it stands before the loss
    text = DATA.replace('"other"', '"label"') + conv("c", "data", "c")
    text += layer("warp", "Warp", "c", "w", WARP) + layer(
        "loss", "SoftmaxWithLoss", "w label", "loss"
    )
    weights(tmp_path, text)
    manifest = converted(tmp_path)
    assert [item["blob"] for item in manifest["outputs"]] == ["loss"]


@pytest.mark.parametrize(
    ("kind", "kept"),
    [
        ("Convolution", True), ("DepthwiseConvolution", True), ("ConvolutionDepthwise", True),
        ("BN", True), ("Normalize", True), ("Scale", True), ("Flatten", False), ("Power", False),
    ],
)  # fmt: skip
def test_a_branch_that_learns_is_kept(kind: str, kept: bool) -> None:
    """The second bottom of a loss is a label, unless what has weights makes it."""
    net = deployed(layer("b", kind, "other", "branch"))
    assert ("b" in [x.name for x in net.layers]) is kept
    assert ("other" in net.inputs) is kept


@torch.no_grad()
def test_a_plugin_of_the_type_comes_first(
    added: LayerType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pages_layers.py").write_text(PLUGIN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    factor = weights(tmp_path, IN_PLACE)
    converted(tmp_path, plugins=["pages_layers:Warp"])
    monkeypatch.delitem(sys.modules, "pages_layers")
    assert "class Warp(nn.Module):" in (tmp_path / "artifacts/net/model.py").read_text()
    model, _ = load(tmp_path / "artifacts/net")
    x = torch.from_numpy(random(1, 3, 8, 8))
    before = torch.nn.functional.conv2d(x, model.c.weight, model.c.bias).numpy()
    assert np.allclose(model(x).numpy(), factor.reshape(-1, 1, 1) * before**2, rtol=1e-5, atol=1e-5)


def test_crop_knows_no_type_that_has_no_record() -> None:
    assert {*crop.SAME_PLACE, *crop.WINDOWS} <= set(LAYER_TYPES)
