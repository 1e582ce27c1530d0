"""Faster R-CNN's Python layer: its limits, its ties, its parameters, and whose it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from decant.loader.definition.graph import net_from_text
from decant.loader.errors import Unsupported
from decant.loader.ops.proposal import RegionProposal
from decant.loader.plan.planning import plan
from decant.loader.plan.plugins import Plugins
from decant.loader.plan.steps import Plan
from tests.helpers.forks import FASTER, computes_its_definition, forks_of, python
from tests.helpers.nets import inputs_text, layer


def found(x: dict[str, np.ndarray], **changed: float) -> tuple[np.ndarray, np.ndarray]:
    """The layer's tops under these settings, with the anchors of the definition's defaults."""
    written = planned(python("rpn.proposal_layer", "'feat_stride': 16")).steps[0].written
    module = eval(str(written.module), {"RegionProposal": RegionProposal})
    for name, value in changed.items():
        assert hasattr(module, name)
        setattr(module, name, value)
    module.with_scores = True
    boxes, scores = module(*(torch.from_numpy(array) for array in x.values()))
    return boxes.numpy(), scores.numpy()


def planned(param: str, shapes: dict[str, tuple[int, ...]] | None = None, tops: int = 1) -> Plan:
    shapes = shapes or FASTER
    names = [f"out{number}" for number in range(tops)]
    text = inputs_text(shapes) + layer("it", "Python", list(shapes), names, param)
    return plan(net_from_text(text, "net.prototxt"), [[]] * (len(shapes) + 1), shapes)


def test_the_defaults_are_those_of_the_published_configuration() -> None:
    written = planned(python("rpn.proposal_layer", "'feat_stride': 16")).steps[0].written
    for setting in (
        "min_size=16,",
        "pre_nms_top_n=6000,",
        "post_nms_top_n=300,",
        "nms_thresh=0.7)",
    ):
        assert setting in str(written.module)
    # as the comment in generate_anchors.py has them, counted from 0
    assert "(-84.0, -40.0, 99.0, 55.0)" in str(written.module)
    assert "(-168.0, -344.0, 183.0, 359.0)" in str(written.module)


def test_texts_anchors_are_those_of_ctpn() -> None:
    shapes = {"scores": (1, 20, 2, 2), "offsets": (1, 20, 2, 2), "info": (1, 3)}
    param = python("layers.text_proposal_layer", "'feat_stride': 16")
    source = str(planned(param, shapes, tops=2).steps[0].written.module)
    for anchor in ("(0, 2, 15, 12)", "(0, 0, 15, 15)", "(0, -3, 15, 18)", "(0, -133, 15, 148)"):
        assert anchor in source


WRONG = {
    "": "expected 'feat_stride': 16",
    "16": "expected 'feat_stride': 16",
    "'scales': [8, 16, 32]": "feat_stride None",
    "'feat_stride': 0": "feat_stride 0",
    "'feat_stride': 1.5": "feat_stride 1.5",
    "'feat_stride': true": "feat_stride True",
    "{'feat_stride': 16": "is not YAML",
    "!!python/object/apply:os.abort []": "is not YAML",
    "'feat_stride': 16 \\n'scales': 8": "scales 8 is not a list",
    "'feat_stride': 16 \\n'scales': []": "scales [] is not a list",
    "'feat_stride': 16 \\n'scales': [8, -1, 2]": "scales [8, -1, 2]",
    "'feat_stride': 16 \\n'ratios': [0.5, .nan, 2]": "ratios [0.5, nan, 2]",
    "'feat_stride': 16 \\n'base_size': 8": "'base_size' is not supported",
    "'feat_stride': 16 \\n'scales': [8]": "expected 1 x 6 x H x W",
}


@pytest.mark.parametrize("param_str", list(WRONG))
def test_a_param_str_that_says_something_else_is_refused(param_str: str) -> None:
    with pytest.raises(Unsupported) as refused:
        planned(python("rpn.proposal_layer", param_str))
    assert WRONG[param_str] in refused.value.message


@pytest.mark.parametrize("batch", [0, 1, 2])
def test_more_than_one_picture_is_refused_as_the_layer_asserts(batch: int) -> None:
    blob = list(FASTER)[batch % 2]
    shapes = {**FASTER, blob: (2, *FASTER[blob][1:])}
    with pytest.raises(Unsupported, match="expected 1 x 18 x H x W"):
        planned(python("rpn.proposal_layer", "'feat_stride': 16"), shapes)


def test_a_class_of_another_module_is_another_layer() -> None:
    for module in ("my.proposal_layer", "rpn.proposal_layer2", ""):
        with pytest.raises(Unsupported, match="the type is not supported"):
            planned(python(module, "'feat_stride': 16"))


def test_what_to_do_about_programs_is_said_once() -> None:
    text = inputs_text({"data": (1, 3, 8, 8)})
    for name in ("a", "b", "c"):
        text += layer(name, "Python", ["data"], [name], python("mine", ""))
    with pytest.raises(Unsupported) as refused:
        plan(net_from_text(text, "net.prototxt"), [[]] * 4, {"data": (1, 3, 8, 8)})
    assert len(refused.value.details) == 3
    assert all("module 'mine'" in line for line in refused.value.details)
    everything = refused.value.message + " ".join(refused.value.details)
    assert everything.count("--layer-plugin") == 1


@pytest.mark.parametrize("module", ["rpn.anchor_target_layer", "roi_data_layer.layer"])
def test_layers_of_training_ask_for_the_definition_for_tests(module: str) -> None:
    with pytest.raises(Unsupported, match="test.prototxt"):
        planned(python(module, "'feat_stride': 16"))


def test_a_users_own_class_comes_before_ours() -> None:
    class Own(torch.nn.Module):
        caffe_type = "Python:ProposalLayer"

        def __init__(self, params: dict, blobs: list) -> None:  # type: ignore[type-arg]
            super().__init__()

        def forward(self, a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
            return a

    plugins = Plugins({Own.caffe_type: Own})
    param = python("rpn.proposal_layer", "'feat_stride': 16")
    text = inputs_text(FASTER) + layer("it", "Python", list(FASTER), ["out"], param)
    net = net_from_text(text, "net.prototxt")
    found = plan(net, [[]] * 4, FASTER, plugins.rules)
    assert str(found.steps[0].written.module).startswith("Own(")


@pytest.mark.parametrize("name", forks_of("faster_rcnn"))
def test_a_layer_computes_its_published_definition(name: str, tmp_path: Path) -> None:
    computes_its_definition(name, tmp_path)
