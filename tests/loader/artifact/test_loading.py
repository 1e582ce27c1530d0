"""A model.py's text as a module: the same class for the same text, found by pickle."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from decant.loader.artifact.loading import caffe_map, load, module_from_source
from decant.loader.errors import ArtifactMissing, IntegrityError
from tests.helpers.artifacts import manifest, write_lenet

SOURCE = "from torch import nn\n\n\nclass Model(nn.Module):\n    def forward(self, x):\n        return x + 1\n"


def test_a_text_becomes_a_module_that_can_be_pickled_and_scripted() -> None:
    module = module_from_source(SOURCE)
    x = torch.zeros(2)
    assert module(x).tolist() == [1.0, 1.0]
    assert pickle.loads(pickle.dumps(module))(x).tolist() == [1.0, 1.0]
    # another text is another module, though its class has the same name
    other = module_from_source(SOURCE.replace("+ 1", "+ 2"))
    assert other(x).tolist() == [2.0, 2.0] and module(x).tolist() == [1.0, 1.0]


def test_which_part_is_which_layer_is_the_manifests() -> None:
    found = caffe_map(
        manifest(
            layers={"c": "conv", "r": None},
            statements={"r": ["9"]},
            input_layers={"in": ["data"]},
            inputs=[{"blob": "data", "shape": [1, 3]}],
            fused={"bn": "c"},
        )
    )
    assert dict(found.modules) == {"c": "conv", "r": None} and dict(found.fused) == {"bn": "c"}
    assert found.blobs == ["data"] and dict(found.statements) == {"r": ("9",)}


def test_what_is_not_there_names_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissing, match="make convert MODEL=none"):
        load(tmp_path / "none")
    folder = write_lenet(tmp_path / "lenet_digits")
    (folder / "model.py").unlink()
    with pytest.raises(IntegrityError, match=r"model\.py is missing"):
        load(folder)
