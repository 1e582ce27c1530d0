"""Nets in forks' spellings, run by real Caffe in stock spelling: parity, layer by layer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from decant.dumper import dumpfile
from decant.loader.artifact.conversion import deploy_form
from decant.loader.definition.graph import net_from_text
from decant.loader.definition.reading import NO_OPTIONS, ReadingOptions
from decant.stages.inputs import Source
from tests.helpers.converting import converted, input_layer, layer
from tests.helpers.random_weights import random_blobs, write_caffemodel

HEAD = input_layer("data", 1, 3, 33, 33)
CONV = "num_output: 4 kernel_size: 3"
SPELLINGS = HEAD + "".join(
    [
        layer("hole", "Convolution", "data", "a", f'engine: "MKL2017" convolution_param {{ {CONV} hole: 2 }}'),
        layer("holes", "Convolution", "a", "b", f"convolution_param {{ {CONV} hole_w: 3 hole_h: 2 engine: MKLDNN }}"),
        layer("cudnn", "Convolution", "b", "c", f"convolution_param {{ {CONV} engine: CUDNN relu: false }}"),
        layer("relu", "ReLU", "c", "c", "relu_param { negative_slope: 0.1 engine: CUDNN }"),
        layer("floor", "Pooling", "c", "d", "pooling_param { kernel_size: 3 stride: 2 ceil_mode: false engine: CUDNN }"),
        layer("ceil", "Pooling", "c", "e", "pooling_param { kernel_size: 3 stride: 2 ceil_mode: true avg_include_pad: true pool: AVE }"),
        layer("scaled", "Dropout", "d", "f", "dropout_param { dropout_ratio: 0.3 scale_train: false }"),
        layer("in_place", "Dropout", "e", "e", "dropout_param { dropout_ratio: 0.9 scale_train: false }"),
        layer("bn", "BatchNorm", "f", "g", "batch_norm_param { engine: MKLDNN scale_bias: false }"),
        layer("lrn", "LRN", "g", "h", "lrn_param { local_size: 3 engine: MKLDNN } forward_type: FLOAT16"),
        layer("cat", "Concat", "h g", "i", "concat_param { engine: MKLDNN }"),
        layer("sum", "Eltwise", "h g", "j", "eltwise_param { operation: SUM engine: MKLDNN }"),
        layer("fc", "InnerProduct", "i", "k", "inner_product_param { num_output: 5 engine: MKLDNN }"),
        layer("prob", "Softmax", "k", "l", "softmax_param { engine: CUDNN }"),
        layer("out", "TanH", "j", "m", "tanh_param { engine: CUDNN }"),
        layer("sig", "Sigmoid", "e", "n", "sigmoid_param { engine: 2 }"),
    ]
)  # fmt: skip
V1_HEAD = 'engine: "MKLDNN" input: "data" input_dim: [1, 3, 12, 12]\n'
OLD = (
    V1_HEAD
    + f'layers {{ name: "c" type: CONVOLUTION bottom: "data" top: "c" convolution_param {{ {CONV} pad: 2 }} }}\n'
    + 'layers { name: "p" type: PRELU bottom: "c" top: "p" }\n'
    + 'layers { name: "s" type: CROP bottom: "p" bottom: "data" top: "s" crop_param { offset: 1 } }\n'
)
INPUTS = (
    'input: "data" input: "info"\n'
    + input_layer("data", 2, 3, 8, 8)
    + layer("c", "Convolution", "data", "c", f"convolution_param {{ {CONV} }}")
    + layer("r", "ReLU", "info", "r")
)
QUANTISED = "quantization_param { bw_layer_in: 8 fl_params: 9 }"
FLOATS = HEAD + "".join(
    [
        layer("c", "ConvolutionRistretto", "data", "c", f"convolution_param {{ {CONV} }} {QUANTISED}"),
        layer("d", "DeconvolutionRistretto", "c", "d", f"convolution_param {{ {CONV} }} {QUANTISED}"),
        layer("n", "LRNRistretto", "d", "n", f"lrn_param {{ local_size: 3 }} {QUANTISED}"),
        layer("f", "FcRistretto", "n", "f", f"inner_product_param {{ num_output: 5 }} {QUANTISED}"),
    ]
)  # fmt: skip

CASES = {
    "spellings": (SPELLINGS, NO_OPTIONS, {}),
    "a mark of UTF-8": ("\ufeff" + HEAD + layer("r", "ReLU", "data", "r"), NO_OPTIONS, {}),
    "old words": (OLD, NO_OPTIONS, {}),
    "inputs": (INPUTS, NO_OPTIONS, {"info": (1, 4)}),
    "few bits": (FLOATS, ReadingOptions(float_weights=True), {}),
}


@pytest.mark.parametrize("name", CASES)
def test_real_caffe_agrees(name: str, tmp_path: Path) -> None:
    text, asked, shapes = CASES[name]
    net = net_from_text(text, "net.prototxt", asked.over())
    given = {**net.inputs, "info": (1, 4)} if shapes else net.inputs
    blobs = random_blobs(net, {blob: shape for blob, shape in given.items() if shape})
    (tmp_path / "net.prototxt").write_text(text)
    weights = any(blobs)
    if weights:
        write_caffemodel(tmp_path / "net.caffemodel", net, blobs)
    source = None if weights else Source(prototxt=tmp_path / "net.prototxt", name="net")
    converted(tmp_path, asked, source, engine="auto", parity=True, shapes=shapes)
    parity = json.loads((tmp_path / "artifacts/net/parity.json").read_text())
    assert parity["status"] == "passed"
    compared = {item["layer"] for item in parity["layers"]}
    assert {item.name for item in net.layers if item.type not in ("Input", "BatchNorm")} <= compared


def test_caffe_multiplies_by_what_the_fork_does(tmp_path: Path) -> None:
    """The Power is not a guess: on caffe-fast-rcnn's own formula, in its precisions."""
    text = HEAD + layer(
        "d", "Dropout", "data", "d", "dropout_param { dropout_ratio: 0.3 scale_train: false }"
    )
    (tmp_path / "net.prototxt").write_text(text)
    converted(
        tmp_path, source=Source(prototxt=tmp_path / "net.prototxt", name="net"), engine="caffe"
    )
    build = json.loads((tmp_path / "artifacts/net/build.json").read_text())
    dump = dumpfile.read(
        Path(next(str(value) for value in _strings(build) if str(value).endswith("dump.h5")))
    )
    assert [item.type for item in deploy_form(dump, {}).layers] == ["Input", "Power"]
    scale = np.float32(1.0 / (1.0 - float(np.float32(0.3))))
    factor = np.float32(1.0 / float(scale))
    power = next(item for item in dump.layers if item.name == "d")
    assert np.array_equal(power.activations[0], dump.probe["data"] * factor)


def _strings(found: object) -> list[object]:
    if isinstance(found, dict):
        return [value for part in found.values() for value in _strings(part)]
    return [found]
