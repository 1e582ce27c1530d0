"""A user's own layer: found by module and class, and copied whole; each mistake is said in one line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from decant.loader.definition.graph import net_from_text
from decant.loader.errors import UsageError
from decant.loader.plan.plugins import load_plugins
from tests.helpers.nets import inputs_text, layer

SOURCE = """
import math
import torch
from torch import nn

class Warp(nn.Module):
    caffe_type = "Warp"

    def __init__(self, params, blobs):
        super().__init__()

    def forward(self, x):
        return x * 2

class Again(Warp):
    caffe_type = "Warp"

class Nameless(nn.Module):
    pass

class Outside(nn.Module):
    caffe_type = "Outside"

    def forward(self, x):
        return x * math.pi

plain = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name = "mirror_of_plugins"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    monkeypatch.undo()


def test_a_class_stands_for_its_type_and_its_source_is_its_own(module: str) -> None:
    found = load_plugins([f"{module}:Warp"])
    assert list(found.classes) == list(found.rules) == ["Warp"]
    text = inputs_text({"data": (1, 2)}) + layer("w", "Warp", ["data"], ["w"])
    net = net_from_text(text, "f")
    assert [found.handles(one) for one in net.layers] == [False, True]
    source = found.sources(net)["Warp"]
    assert source.startswith("class Warp(nn.Module):") and source.endswith("return x * 2")
    assert found.sources(net_from_text(inputs_text({"data": (1, 2)}), "f")) == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["Warp"], "expected module:Class"),
        (["{m}:Nothing"], "has no class Nothing"),
        (["no_such_module_of_ours:Warp"], "run from the folder that holds"),
        (["{m}:plain"], "not a class derived from torch.nn.Module"),
        (["{m}:Nameless"], "has no caffe_type"),
        (["{m}:Outside"], "uses math, which stands outside"),
        (["{m}:Warp", "{m}:Again"], "has a plugin already"),
    ],
)
def test_what_is_no_plugin(words: list[str], said: str, module: str) -> None:
    with pytest.raises(UsageError, match=said):
        load_plugins([word.format(m=module) for word in words])
