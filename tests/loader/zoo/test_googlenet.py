"""GoogLeNet: its names, torchvision's feature extraction of it, and one graph of it."""

from __future__ import annotations

import warnings

import pytest
import torch

from decant.loader import zoo
from tests.helpers.zoo_nets import random

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow

OPERATORS = (
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align(Tensor input, Tensor rois, float spatial_scale, int pooled_height, int pooled_width,"
    " int sampling_ratio, bool aligned) -> Tensor",
)


def test_features_of_googlenet_can_be_extracted() -> None:
    library = torch.library.Library("torchvision", "DEF")
    for operator in OPERATORS:
        library.define(operator)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        extraction = pytest.importorskip(
            "torchvision.models.feature_extraction", exc_type=Exception
        )
        net = zoo.build("googlenet", {})
        nodes = extraction.get_graph_node_names(net)[1]
        norm1 = [node for node in nodes if node.startswith("norm1")][-1]
        extractor = extraction.create_feature_extractor(net, [norm1, "inception_4c.cat"])
    x = torch.randn(1, 3, 224, 224) * 50
    with torch.no_grad():
        found = extractor(x)
        expected = net.norm1(net.pool1(net.relu1(net.conv1(x))))
    assert found["inception_4c.cat"].shape == (1, 512, 14, 14)
    torch.testing.assert_close(found[norm1], expected)


def test_googlenets_names_are_those_that_people_use() -> None:
    with torch.device("meta"):
        keys = set(zoo.build("googlenet", {}).state_dict())
    for name in ("conv1", "conv2_reduce", "conv2", "inception_4c.conv_5x5", "inception_5b.pool_proj",
                 "inception_3a.conv_3x3_reduce", "loss3_classifier"):  # fmt: skip
        assert {f"{name}.weight", f"{name}.bias"} <= keys
    assert len(keys) == 2 * 58


def test_googlenet_compiles() -> None:
    net = random("googlenet")
    x = torch.randn(1, 3, 224, 224) * 50
    with torch.no_grad():
        graph = torch.compile(net, backend="aot_eager", fullgraph=True)
        expected = net(x)
        torch.testing.assert_close(
            graph(x), expected, rtol=1e-4, atol=float(expected.abs().max()) * 1e-5
        )
