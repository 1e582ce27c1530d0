"""What is wrong with a net and with its weights, said together; and nets that have no weights at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from decant.loader.errors import BadInput, Unsupported
from tests.helpers import encode_caffemodel as encode
from tests.helpers.nets import inputs_text, layer
from tests.helpers.pairs import dumped, made, params, random

DATA = inputs_text({"data": (1, 3, 8, 8)})
CONV = layer(
    "c", "Convolution", ["data"], ["c"], "convolution_param { num_output: 4 kernel_size: 3 }"
)
ODD = layer("odd", "Oddity", ["c"], ["odd"])
FC = layer("fc", "InnerProduct", ["odd"], ["fc"], "inner_product_param { num_output: 2 }")
HAS_CONV = encode.net("current", [("c", "Convolution", [random(4, 3, 3, 3), random(4)])])


@pytest.mark.parametrize("weights", [HAS_CONV, None], ids=["a layer short", "no file"])
def test_unsupported_layers_and_missing_weights_come_together(
    weights: bytes | None, tmp_path: Path
) -> None:
    with pytest.raises(Unsupported) as caught:
        dumped(tmp_path, DATA + CONV + ODD + FC, weights)
    error = caught.value
    assert error.code == 4
    assert "'odd' (Oddity): the type is not supported" in error.message
    assert "the weights do not fit either: " in error.message
    assert any("'fc' (InnerProduct)" in line and "weights" in line for line in error.details)
    assert any("Oddity" in line for line in error.details)


def test_two_unsupported_layers_beside_a_strange_one_of_the_file(tmp_path: Path) -> None:
    text = DATA + CONV + ODD + layer("two", "Strange", ["odd"], ["two"])
    weights = HAS_CONV + encode.net("current", [("extra", "InnerProduct", [random(2, 2)])])
    with pytest.raises(Unsupported) as caught:
        dumped(tmp_path, text, weights)
    assert sum("not supported" in line for line in caught.value.details) >= 1
    assert any("'extra' of the caffemodel has no place" in line for line in caught.value.details)


def test_weights_alone_are_a_file_that_does_not_fit(tmp_path: Path) -> None:
    """Of the definition nothing is unsupported: another file would do."""
    wrong = encode.net("current", [("c", "Convolution", [random(4, 5, 3, 3), random(4)])])
    with pytest.raises(BadInput, match="4 x 5 x 3 x 3") as caught:
        dumped(
            tmp_path,
            DATA.replace("dim: 3", "dim: 6") + CONV + layer("r", "ReLU", ["c"], ["r"]),
            wrong,
        )
    assert caught.value.code == 3


# --- types

DEPTHWISE = "convolution_param { num_output: 4 group: 4 kernel_size: 3 bias_term: false }"
PAIRS = {
    "dw": ("Convolution", DEPTHWISE, "DepthwiseConvolution", [(4, 1, 3, 3)]),
    "its other name": ("Convolution", DEPTHWISE, "ConvolutionDepthwise", [(4, 1, 3, 3)]),
    "scale": ("Scale", "scale_param { bias_term: true }", "ChannelScale", [(4,), (4,)]),
    "prelu": ("PReLU", "", "PReLU2", [(4,)]),
    "none recorded": ("Scale", "", "", [(4,)]),
}


@pytest.mark.parametrize("name", PAIRS)
def test_the_files_type_is_a_note_where_the_blobs_fit(name: str, tmp_path: Path) -> None:
    kind, param, recorded, shapes = PAIRS[name]
    text = inputs_text({"data": (1, 4, 8, 8)}) + layer("x", kind, ["data"], ["x"], param)
    blobs = [random(*shape, seed=at) for at, shape in enumerate(shapes)]
    dump = dumped(tmp_path, text, encode.net("current", [("x", recorded, blobs)]))
    assert [array.shape for array in params(dump)["x"]] == shapes
    assert len(dump.notes) == bool(recorded)
    assert all(f"{recorded} in the caffemodel, {kind} in the prototxt" in x for x in dump.notes)
    made(dump).build()


@pytest.mark.parametrize(
    ("kind", "param", "recorded", "shapes"),
    [
        ("Convolution", DEPTHWISE, "InnerProduct", [(4, 36)]),
        ("Scale", "", "BatchNorm", [(4,), (4,), (1,)]),
        ("BatchNorm", "", "Scale", [(4,), (4,)]),
    ],
)
def test_another_type_with_other_blobs_is_refused(
    kind: str, param: str, recorded: str, shapes: list[tuple[int, ...]], tmp_path: Path
) -> None:
    text = inputs_text({"data": (1, 4, 8, 8)}) + layer("x", kind, ["data"], ["x"], param)
    blobs = [random(*shape, seed=at) for at, shape in enumerate(shapes)]
    with pytest.raises(BadInput, match="'x'"):
        dumped(tmp_path, text, encode.net("current", [("x", recorded, blobs)]))


def test_the_reports_own_pair(reports: Path, tmp_path: Path) -> None:
    folder = reports / "dw"
    text = (folder / "net.prototxt").read_text()
    dump = dumped(tmp_path, text, (folder / "net.caffemodel").read_bytes())
    assert "DepthwiseConvolution in the caffemodel" in dump.notes[0]


# --- nets without parameters

PLAIN = DATA + layer("r", "ReLU", ["data"], ["r"]) + layer("s", "Softmax", ["r"], ["s"])
EMPTY = {
    "an empty file": b"",
    "a net's name": encode.chunk(1, b"net"),
    "layers without blobs": encode.net("current", [("data", "Input", []), ("r", "ReLU", [])]),
    "old layers without blobs": encode.net("v1", [("r", "ReLU", [])]),
}


@pytest.mark.parametrize("name", EMPTY)
def test_a_net_without_parameters_takes_a_file_without_weights(name: str, tmp_path: Path) -> None:
    dump = dumped(tmp_path, PLAIN, EMPTY[name])
    assert not params(dump)
    assert dump.notes == ["net.caffemodel: holds no weights, and the net has no parameters"]
    assert len(dump.caffemodel_sha256) == 64
    made(dump).build()


@pytest.mark.parametrize("name", EMPTY)
def test_a_net_with_parameters_does_not(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="the file is empty|no weights at all"):
        dumped(tmp_path, DATA + CONV, EMPTY[name])


@pytest.mark.parametrize(
    "content",
    [b"<!DOCTYPE html><html>", b'name: "x"\nlayer { }', bytes(64), b"version https://git-lfs"],
)
def test_another_file_is_refused_also_where_no_weights_are_needed(
    content: bytes, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="not a caffemodel but"):
        dumped(tmp_path, PLAIN, content)


# --- what Caffe aborts on
