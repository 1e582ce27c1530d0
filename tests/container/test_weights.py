"""Weights that stock Caffe cannot read, or does not get, measured against it all the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from decant.engines.caffe import run_script
from tests.commands.test_cli import run
from tests.engines import test_stand_in as stand_in
from tests.engines import test_weights as engines_weights
from tests.helpers import encode_caffemodel as encode
from tests.helpers.in_caffe import SCRIPTS
from tests.helpers.nets import inputs_text, layer
from tests.helpers.pairs import dumped, params, random
from tests.loader.definition import test_stock_bytes
from tests.loader.layers import test_nvcaffe as bn
from tests.loader.plan import test_fillers
from tests.loader.weights import test_caffemodel_raw as raw

FOUR = inputs_text({"data": (2, 4, 6, 6)})
IN_PLACE = bn.norm(bn.ASKED, top="data") + stand_in.BEHIND.replace("num_output: 2", "num_output: 3")
SHARED = random(3, 144)
MANY = "".join(
    test_fillers.up(test_fillers.BILINEAR, more, f"up{size}").replace(
        "kernel_size: 4", f"kernel_size: {size}"
    )
    for size, more in [
        (2, ""),
        (3, "bias_term: false"),
        (4, ""),
        (5, "bias_filler { value: 0.1 }"),
        (6, ""),
        (15, ""),
    ]
)
CONSTANTS = (
    layer("s", "Scale", ["c"], ["s"], "scale_param { filler { value: 20 } bias_term: true }")
    + layer("p", "PReLU", ["s"], ["p"], "prelu_param { filler { value: 0.3 } }")
    + layer("b", "Bias", ["p"], ["b"], "bias_param { filler { value: -1.7 } }")
    + layer("ip", "InnerProduct", ["b"], ["ip"], "inner_product_param { num_output: 3 weight_filler { value: 0.01 } }")
    + layer("cc", "Convolution", ["b"], ["cc"], "convolution_param { num_output: 2 kernel_size: 3 weight_filler { value: 1e-3 } bias_filler { value: 2 } }")
)  # fmt: skip
NETS = {
    "halves": (
        raw.DATA + raw.CONV,
        encode.layer("current", "c", "Convolution", [raw.raw(x, "half") for x in (raw.WEIGHT, raw.BIAS)]),
    ),
    "doubles in V1": (
        raw.DATA + raw.CONV,
        encode.layer("v1", "c", "Convolution", [raw.raw(x, "double", True) for x in (raw.WEIGHT, raw.BIAS)]),
    ),
    "five blobs": (FOUR + bn.norm(bn.ASKED), encode.net("current", [bn.BN_5])),
    "five blobs of DIGITS": (FOUR + bn.norm(""), encode.net("current", [("bn", "BatchNorm", bn.OLD)])),
    "five blobs, raw": (
        FOUR + bn.norm(bn.ASKED),
        encode.layer("current", "bn", "BatchNorm", [raw.raw(x, "float") for x in bn.NEW]),
    ),
    "five blobs in place, shared ones behind": (
        FOUR + IN_PLACE,
        encode.net("current", [
            bn.BN_5,
            ("fc", "InnerProduct", [SHARED, random(3)]),
            ("fd", "InnerProduct", [SHARED, random(3, seed=1)]),
        ]),
    ),
    "five blobs, the Scale's among them": (
        FOUR + bn.norm("batch_norm_param { eps: 0.0001 }") + bn.SC,
        encode.net("current", [bn.BN_5]),
    ),
    "five blobs and a Scale": (
        FOUR + bn.norm(bn.ASKED) + bn.SC,
        encode.net("current", [bn.BN_5, ("sc", "Scale", [random(4, seed=7), random(4, seed=8)])]),
    ),
    "bilinear kernels": (test_fillers.DATA + test_fillers.CONV + MANY, test_fillers.FILE),
    "constants": (test_fillers.DATA + test_fillers.CONV + CONSTANTS, test_fillers.FILE),
    "shared fillers": (
        test_fillers.DATA + test_fillers.CONV + test_fillers.shared("up") + test_fillers.shared("up2"),
        test_fillers.FILE,
    ),
    "another recorded type": (
        FOUR + layer("dw", "Convolution", ["data"], ["dw"], engines_weights.DEPTHWISE),
        encode.net("current", [("dw", "DepthwiseConvolution", [random(4, 1, 3, 3)])]),
    ),
    "a fork's fields": (raw.DATA + raw.CONV, test_stock_bytes.ABORTS["a text where a message is"]),
}  # fmt: skip


@pytest.mark.parametrize("name", NETS)
def test_parity_is_measured_and_both_engines_write_the_same(
    name: str, image: str, tmp_path: Path
) -> None:
    """The cross-check compares the dump with the user's own file, and with our fillers, bit for bit."""
    text, weights = NETS[name]
    (tmp_path / "net.prototxt").write_text(text)
    (tmp_path / "net.caffemodel").write_bytes(weights)
    files = ["--prototxt", "net.prototxt", "--caffemodel", "net.caffemodel", "--no-report"]
    done = run("convert", *files, "--engine", "caffe", "--out", "caffe", "--json", cwd=tmp_path)
    parity = json.loads(done.stdout)["parity"]
    assert parity["status"] == "passed"
    assert all(top["error"] is None or top["error"] <= 1e-5 for top in parity["layers"])
    run("convert", *files, "--engine", "reader", "--out", "reader", cwd=tmp_path)
    one, other = (tmp_path / out / "net/SHA256SUMS" for out in ("reader", "caffe"))
    assert one.read_text() == other.read_text()


@pytest.mark.parametrize("name", engines_weights.EMPTY)
def test_caffe_takes_a_file_without_weights_too(name: str, image: str, tmp_path: Path) -> None:
    """A net without parameters: Caffe itself is given the file."""
    dump = dumped(tmp_path, engines_weights.PLAIN, engines_weights.EMPTY[name], "caffe")
    assert dump.has_activations and not params(dump)


def test_an_input_of_another_size_than_the_text_declares(image: str, tmp_path: Path) -> None:
    """An InnerProduct keeps the size that it was set up with: the given shape stands in the text."""
    from tests.helpers.pairs import stage
    from tests.loader.plan.test_fit import PLAIN, text

    blobs = [random(4, 3, 3, 3), random(4)], [random(5, 784), random(5)]
    layers = [("c", "Convolution", blobs[0]), ("fc", "InnerProduct", blobs[1])]
    given = {"data": (2, 3, 16, 16)}
    for body in (text((1, 3, 20, 20), PLAIN), LEGACY + PLAIN):
        found = stage(tmp_path, body, encode.net("current", layers), "caffe", given)
        assert found.content.layers[-1].activations[0].shape == (2, 5)
        assert found.content.probe["data"].shape == (2, 3, 16, 16)
        assert np.array_equal(params(found.content)["fc"][0], blobs[1][0])


LEGACY = 'input: "data" input_dim: 1 input_dim: 3 input_dim: 20 input_dim: 20\n'


def test_validate_runs_such_a_file_in_caffe_as_well(image: str, tmp_path: Path) -> None:
    """`forward`, which `validate --engine caffe` calls, gives Caffe the same copy."""
    from decant.engines.caffe import forward
    from decant.loader.definition.graph import read_net
    from decant.loader.progress import SILENT

    dump = dumped(tmp_path, *NETS["five blobs, raw"], "caffe")
    paths = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
    answers = forward(*paths, dump.probe, "bn", SILENT, net=read_net(paths[0]))
    assert np.array_equal(answers, dump.layers[-1].activations[0])


def test_caffe_parses_what_we_say_it_parses(image: str, tmp_path: Path) -> None:
    files = [*test_stock_bytes.ABORTS.values(), *test_stock_bytes.TAKES.values()]
    for number, weights in enumerate(files):
        (tmp_path / f"{number}.caffemodel").write_bytes(weights)
    run_script(SCRIPTS / "parse_weights.py", tmp_path, "answers.json")
    answers = json.loads((tmp_path / "answers.json").read_text())
    said = [answers[f"{number}.caffemodel"] for number in range(len(files))]
    assert said == [False] * len(test_stock_bytes.ABORTS) + [True] * len(test_stock_bytes.TAKES)
