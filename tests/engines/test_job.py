"""What an engine is given: weights that were read already are not read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from decant.engines.job import Job
from decant.loader.definition.graph import net_from_text
from tests.helpers import encode_caffemodel as encode
from tests.helpers.nets import inputs_text, layer

FC = layer("fc", "InnerProduct", ["data"], ["fc"], "inner_product_param { num_output: 3 }")
NET = net_from_text(inputs_text({"data": (1, 8)}) + FC, "net.prototxt")
BLOBS = [np.ones((3, 8), np.float32), np.ones(3, np.float32)]


def test_weights_are_read_once_and_their_shapes_are_known_then(tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(encode.net("current", [("fc", "InnerProduct", BLOBS)]))
    unread = Job(tmp_path / "net.prototxt", path, {}, net=NET)
    assert unread.blob_shapes() == {}
    weights = unread.read_weights()
    read = Job(tmp_path / "net.prototxt", path, {}, net=NET, weights=weights)
    assert read.read_weights() is weights
    assert read.blob_shapes() == {"fc": [(3, 8), (3,)]}


def test_a_net_without_weights_and_one_whose_definition_nobody_read(tmp_path: Path) -> None:
    job = Job(tmp_path / "net.prototxt", None, {})
    assert job.read_weights() is None is job.for_caffe()
    assert job.digest() == ""
