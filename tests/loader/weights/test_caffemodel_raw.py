"""Files of NVCaffe 0.16 and DIGITS: every blob as bytes, of type double, float or half."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from decant.loader.weights import caffemodel
from decant.loader.weights.caffemodel import CaffemodelError
from tests.helpers import encode_caffemodel as encode
from tests.helpers.nets import inputs_text, layer
from tests.helpers.pairs import dumped, params, random
from tests.helpers.raw_blobs import DTYPES, TYPES, raw, shape_of

chunk, number = encode.chunk, encode.number
DATA = inputs_text({"data": (1, 3, 8, 8)})
CONV = layer(
    "c", "Convolution", ["data"], ["c"], "convolution_param { num_output: 4 kernel_size: 3 }"
)
WEIGHT, BIAS = random(4, 3, 3, 3), random(4)


@pytest.mark.parametrize("era", ["current", "v1"])
@pytest.mark.parametrize("kind", TYPES)
def test_every_type_and_era_is_read(kind: str, era: str, tmp_path: Path) -> None:
    blobs = [raw(array, kind, era == "v1") for array in (WEIGHT, BIAS)]
    found = params(dumped(tmp_path, DATA + CONV, encode.layer(era, "c", "Convolution", blobs)))
    for array, expected in zip(found["c"], (WEIGHT, BIAS), strict=True):
        rounded = expected.astype(DTYPES[kind]).astype(np.float32)
        assert array.shape == expected.shape
        assert np.array_equal(array.view(np.uint32), rounded.view(np.uint32))


def test_a_layer_may_have_blobs_of_every_kind(tmp_path: Path) -> None:
    """Plain beside raw, doubles beside halves, the type behind the data."""
    type_behind = shape_of(BIAS) + chunk(12, BIAS.tobytes()) + number(10, 1)
    plain, double = random(2, 144), random(2)
    fc = layer("fc", "InnerProduct", ["c"], ["fc"], "inner_product_param { num_output: 2 }")
    weights = encode.layer("current", "c", "Convolution", [raw(WEIGHT, "half"), type_behind])
    blobs = [encode.blob(plain), raw(double, "double")]
    weights += encode.layer("current", "fc", "InnerProduct", blobs)
    found = params(dumped(tmp_path, DATA + CONV + fc, weights))
    assert np.array_equal(found["c"][0], WEIGHT.astype(np.float16).astype(np.float32))
    assert np.array_equal(found["c"][1], BIAS)
    assert np.array_equal(found["fc"][0], plain)
    assert np.array_equal(found["fc"][1], double)


DAMAGED = {
    "trailing bytes": (shape_of(BIAS) + number(10, 1) + chunk(12, BIAS.tobytes() + b"\0"), "17 bytes"),
    "a value too many": (shape_of(BIAS) + number(10, 1) + chunk(12, bytes(20)), "holds 5 values"),
    "a value too few": (shape_of(BIAS) + number(10, 1) + chunk(12, bytes(12)), "holds 3 values"),
    "another type's size": (shape_of(BIAS) + number(10, 0) + chunk(12, BIAS.tobytes()), "holds 2 values"),
    "no type": (shape_of(BIAS) + chunk(12, BIAS.tobytes()), "without its type"),
    "integers": (shape_of(BIAS) + number(10, 3) + chunk(12, BIAS.tobytes()), "raw data of type 3"),
    "an unknown type": (shape_of(BIAS) + number(10, 9) + chunk(12, BIAS.tobytes()), "raw data of type 9"),
    "twice": (raw(BIAS, "float") + chunk(12, BIAS.tobytes()), "raw data twice"),
    "beside plain values": (raw(BIAS, "float") + chunk(5, BIAS.tobytes()), "both float and raw"),
    "beside doubles": (raw(BIAS, "half") + chunk(8, bytes(32)), "both double and raw"),
    "cut": (raw(BIAS, "float")[:-4], "announced|no caffemodel has|number"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_raw_data_that_is_not_whole_is_refused_by_its_layer(name: str, tmp_path: Path) -> None:
    blob, expected = DAMAGED[name]
    (tmp_path / "net.caffemodel").write_bytes(encode.layer("current", "conv/1", "x", [blob]))
    with pytest.raises(CaffemodelError, match=expected) as caught:
        caffemodel.read(tmp_path / "net.caffemodel")
    assert (
        name == "cut" or "'conv/1'" in str(caught.value) or "bytes of values" in str(caught.value)
    )


def test_a_million_empty_raw_fields_cost_no_memory(tmp_path: Path) -> None:
    blob = shape_of(BIAS) + number(10, 1) + chunk(12, b"") * 300_000 + chunk(12, BIAS.tobytes())
    (tmp_path / "net.caffemodel").write_bytes(encode.layer("current", "a", "x", [blob]))
    with pytest.raises(CaffemodelError, match="twice"):
        caffemodel.read(tmp_path / "net.caffemodel")


def test_a_mean_may_be_raw(tmp_path: Path) -> None:
    mean = random(1, 3, 4, 4)
    (tmp_path / "mean.binaryproto").write_bytes(raw(mean, "half"))
    found = caffemodel.read_blob(tmp_path / "mean.binaryproto").array()
    assert np.array_equal(found, mean.astype(np.float16).astype(np.float32).reshape(-1))


BLOBS = {
    **{kind: raw(WEIGHT, kind) for kind in TYPES},
    "packed in three": encode.blob(WEIGHT, split=3),
    "one value a key": encode.blob(WEIGHT, packed=False),
    "doubles, one a key": encode.blob(WEIGHT, kind="double", packed=False),
}


@pytest.mark.parametrize("name", BLOBS)
def test_pieces_of_a_blob_are_all_of_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "net.caffemodel").write_bytes(encode.layer("current", "a", "x", [BLOBS[name]]))
    blob = caffemodel.read(tmp_path / "net.caffemodel").layers[0].blobs[0]
    assert blob is not None
    pieces = list(blob.pieces(7))
    assert all(piece.size <= 7 and piece.dtype == np.float32 for piece in pieces)
    assert np.array_equal(np.concatenate(pieces), blob.array())


@pytest.mark.parametrize("name", ["nvcaffe_raw_float", "nvcaffe_raw_half"])
def test_the_reports_own_raw_files(name: str, reports: Path, tmp_path: Path) -> None:
    folder = reports / name
    found = dumped(
        tmp_path, (folder / "net.prototxt").read_text(), (folder / "net.caffemodel").read_bytes()
    )
    assert [array.shape for array in params(found)["c"]] == [(4, 3, 3, 3), (4,)]
    # both were made of the same values
    assert np.abs(params(found)["c"][0].reshape(-1)[:2] - [2.0409, -2.5557]).max() < 2e-3
