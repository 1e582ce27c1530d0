"""The embedded engine: same parameters as real Caffe, and everything that does not fit, at once."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from decant.dumper import dumpfile
from decant.engines.choose import choose
from decant.engines.job import Job
from decant.engines.reader import dump
from decant.loader.definition.graph import read_net
from decant.loader.errors import BadInput, Unsupported
from decant.loader.progress import SILENT
from tests.container.test_silent_failures import CONV, FC, TEXT
from tests.helpers import encode_caffemodel as encode

NO_TRUTH = {"toolbox_face_detection_0044", "ultralight_slim320", "yufacedetect_open_v1"}


def run(folder: Path, weights: bytes, text: str = TEXT, *ignored: str) -> dumpfile.Dump:
    (folder / "net.prototxt").write_text(text)
    (folder / "net.caffemodel").write_bytes(weights)
    job = Job(folder / "net.prototxt", folder / "net.caffemodel", {}, ignored)
    dump(job, folder / "dump.h5", SILENT)
    return dumpfile.read(folder / "dump.h5")


@pytest.mark.parametrize("era", ["current", "v1", "v0"])
def test_legacy_shapes_become_caffes_own(era: str, tmp_path: Path) -> None:
    one = ("fc", "InnerProduct", [FC[2][0][:1].copy(), FC[2][1][:1].copy()])
    text = TEXT.replace(
        "inner_product_param { num_output: 3 }", "inner_product_param { num_output: 1 }"
    )
    found = {
        layer.name: layer for layer in run(tmp_path, encode.net(era, [CONV, one]), text).layers
    }
    assert [array.shape for array in found["fc"].params] == [(1, 32), (1,)]
    assert [array.shape for array in found["conv"].params] == [(2, 1, 3, 3), (2,)]


def test_everything_that_does_not_fit_is_said_at_once(tmp_path: Path) -> None:
    nan = ("conv", "Convolution", [np.full((2, 1, 3, 3), np.nan, np.float32), CONV[2][1]])
    with pytest.raises(BadInput) as caught:
        run(tmp_path, encode.net("current", [nan, ("fcc", *FC[1:])]))
    text = str(caught.value)
    assert "'fcc'" in text
    assert "is it" in text
    assert "'fc' (InnerProduct) has no weights" in text
    assert "NaN" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.caffemodel", "net.prototxt"]


def test_real_nets_give_the_bits_and_shapes_of_real_caffe(
    real_nets: list[Path], tmp_path: Path
) -> None:
    for folder in real_nets:
        weights = next(folder.glob("net.caffemodel*"))
        job = Job(folder / "net.prototxt", weights, {}, ("conv5-3", "*mbox*", "*"))
        dump(job, tmp_path / "dump.h5", SILENT)
        found = dumpfile.read(tmp_path / "dump.h5")
        if folder.name in NO_TRUTH:
            continue
        truth = json.loads((folder / "truth.json").read_text())
        layers = {layer.name: layer for layer in found.layers}
        for param in truth["params"]:
            array = layers[param["layer"]].params[param["index"]]
            assert list(array.shape) == param["shape"], (folder.name, param)
            assert hashlib.sha256(array.tobytes()).hexdigest() == param["sha256"]
        assert sum(len(layer.params) for layer in found.layers) == len(truth["params"])
        walked = [
            (layer["name"], layer["type"]) for layer in truth["layers"] if layer["type"] != "Split"
        ]
        assert walked == [(layer.name, layer.type) for layer in found.layers]


def test_a_net_that_stock_caffe_cannot_parse_goes_to_the_reader(cases: Path) -> None:
    for name in NO_TRUTH:
        net = read_net(cases / name / "net.prototxt")
        assert choose("auto", net).engine.name == "reader"
        with pytest.raises(Unsupported, match="line"):
            choose("caffe", net)
