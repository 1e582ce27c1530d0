"""The embedded reader against files from an encoder that shares nothing with it, and real nets."""

from __future__ import annotations

import hashlib
import json
import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from decant.loader.layers.rule import same_shape
from decant.loader.weights import caffemodel
from decant.loader.weights.caffemodel import CaffemodelError
from tests.helpers import encode_caffemodel as encode

RANDOM = np.random.default_rng(5)
CONV = (
    "conv",
    "Convolution",
    [RANDOM.random((4, 3, 5, 5), np.float32), RANDOM.random(4, np.float32)],
)
FC = ("fc/1", "InnerProduct", [RANDOM.random((1, 7), np.float32), RANDOM.random(1, np.float32)])
RELAXED = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read(tmp_path: Path, data: bytes) -> caffemodel.Caffemodel:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(data)
    return caffemodel.read(path)


@pytest.mark.parametrize("era", ["current", "v1", "v0"])
def test_all_eras_give_names_types_and_bits(era: str, tmp_path: Path) -> None:
    model = read(tmp_path, encode.net(era, [CONV, FC]))
    assert model.era == era
    assert [(layer.name, layer.type) for layer in model.layers] == [CONV[:2], FC[:2]]
    for layer, (_, _, arrays) in zip(model.layers, (CONV, FC), strict=True):
        for blob, array in zip(layer.blobs, arrays, strict=True):
            assert np.array_equal(blob.array().view("u4"), array.reshape(-1).view("u4"))
            assert blob.legacy == (era != "current")
            assert same_shape(blob.shape, array.shape)
            assert not same_shape(blob.shape, (*array.shape, 2))


@RELAXED
@given(
    array=hnp.arrays(np.float32, hnp.array_shapes(min_dims=0, max_dims=5, max_side=4)),
    split=st.integers(1, 3),
    packed=st.booleans(),
    kind=st.sampled_from(["float", "double"]),
)
def test_any_array_comes_back_however_it_was_encoded(
    array: np.ndarray, split: int, packed: bool, kind: str, tmp_path: Path
) -> None:
    blob = encode.blob(array, packed=packed, split=split, kind=kind)
    model = read(tmp_path, encode.layer("current", "a", "Convolution", [blob]))
    found = model.layers[0].blobs[0]
    assert found.shape == array.shape
    assert np.array_equal(found.array(), array.reshape(-1), equal_nan=True)


def test_half_precision_of_nvcaffe_is_read(tmp_path: Path) -> None:
    array = RANDOM.random((3, 2)).astype(np.float16)
    blob = encode.blob(array, kind="half")
    model = read(tmp_path, encode.layer("current", "a", "InnerProduct", [blob]))
    assert np.array_equal(model.layers[0].blobs[0].array(), array.astype(np.float32).reshape(-1))


def test_packed_floats_are_a_view_of_the_file(tmp_path: Path) -> None:
    values = read(tmp_path, encode.net("current", [CONV])).layers[0].blobs[0].array()
    assert values.base is not None and not values.flags.owndata
    assert values.flags.c_contiguous and not values.flags.writeable


def test_unknown_fields_of_forks_are_passed_over(tmp_path: Path) -> None:
    extra = encode.chunk(400, b"fork") + encode.number(99, 7)
    data = extra + encode.net("current", [CONV]) + extra
    assert read(tmp_path, data).layers[0].name == "conv"


GOOD = encode.net("current", [CONV, FC])
BOTH = encode.blob(np.ones(2, np.float32)) + encode.blob(np.ones(2), kind="double")
ATTACKS = {
    "empty": (b"", "the file is empty"),
    "web page": (b"\n<!doctype html><p>", "a web page"),
    "git-lfs": (b"version https://git-lfs.github.com/spec/v1\n", "a git-lfs pointer"),
    "zip": (b"PK\x03\x04" + bytes(64), "a zip archive"),
    "gzip": (b"\x1f\x8b\x08" + bytes(64), "a gzip archive"),
    "bzip2": (b"BZh91AY" + bytes(64), "a bzip2 archive"),
    "xz": (b"\xfd7zXZ\x00" + bytes(64), "an xz archive"),
    "tar": (bytes(257) + b"ustar\x00" + bytes(64), "a tar archive"),
    "pickle 3": (b"\x80\x03c" + bytes(64), "a pickle"),
    "npy": (b"\x93NUMPY\x01\x00" + bytes(64), "a NumPy array"),
    "UTF-16": ("\ufeffname: 'x'".encode("utf-16-le"), "UTF-16 text"),
    "zeros": (bytes(100), "a run of zero bytes"),
    "definition": (b'name: "x"\nlayer { }', "a prototxt"),
    "cut": (GOOD[:-1], "announced"),
    "field 0": (GOOD + b"\x00", "field number 0"),
    "wire type 7": (GOOD + b"\x0f", "wire type 7"),
    "long number": (b"\x08" + b"\xff" * 10 + b"\x01", "more than 64 bits"),
    "far length": (b"\xa2\x06\xff\xff\xff\xff\x7f", "announced"),
    "two kinds of data": (encode.layer("current", "a", "x", [BOTH]), "both float and double"),
    "count": (encode.layer("current", "a", "x", [encode.blob(np.ones(3, np.float32))[:-4]]), "announced"),
    "shape": (
        encode.layer("current", "a", "x", [encode.chunk(7, encode.chunk(1, b"\x09")) + encode.chunk(5, bytes(8))]),
        "holds 2 values",
    ),
    "odd data": (encode.layer("current", "a", "x", [encode.chunk(5, bytes(7))]), "7 bytes of values"),
    "twice": (encode.net("current", [CONV, CONV]), "twice for 'conv'"),
    "both lists": (GOOD + encode.net("v1", [CONV]), "both `layer` and `layers`"),
    "no weights": (encode.net("current", [("a", "ReLU", [])]), "no weights at all"),
    "not UTF-8": (encode.chunk(100, encode.chunk(1, b"\xff\xfe")), "not UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_a_bad_file_gives_one_clear_line(name: str, tmp_path: Path) -> None:
    data, expected = ATTACKS[name]
    with pytest.raises(CaffemodelError) as caught:
        read(tmp_path, data)
    assert expected in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "net.caffemodel"))
    assert "\n" not in str(caught.value)


def test_ten_megabytes_of_empty_layers_cost_no_memory(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CaffemodelError, match="more than 10000 layers"):
        read(tmp_path, encode.chunk(100, b"") * 3_300_000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


@RELAXED
@given(
    cut=st.integers(0, len(GOOD)),
    flips=st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255))),
)
def test_damage_ends_in_our_own_error_or_in_a_reading(
    cut: int, flips: list[tuple[int, int]], tmp_path: Path
) -> None:
    data = bytearray(GOOD[:cut])
    for position, value in flips:
        if position < len(data):
            data[position] = value
    try:
        for layer in read(tmp_path, bytes(data)).layers:
            for blob in layer.blobs:
                assert blob.array().size == blob.count
    except CaffemodelError:
        pass


@RELAXED
@given(data=st.binary(max_size=300))
def test_random_bytes_end_in_our_own_error(data: bytes, tmp_path: Path) -> None:
    try:
        read(tmp_path, data)
    except CaffemodelError:
        pass


def test_nan_and_inf_are_told_apart() -> None:
    array = RANDOM.random(3_000_000, np.float32)
    assert caffemodel.not_finite(array) is None
    array[2_999_999] = np.inf
    assert caffemodel.not_finite(array) == "Inf"
    array[5] = np.nan
    assert caffemodel.not_finite(array) == "NaN"


def test_real_files_hold_what_real_caffe_read_from_them(real_nets: list[Path]) -> None:
    checked = 0
    for folder in real_nets:
        if not (folder / "truth.json").is_file():
            continue
        model = caffemodel.read(next(folder.glob("net.caffemodel*"))).by_name()
        for param in json.loads((folder / "truth.json").read_text())["params"]:
            blob = model[param["layer"]].blobs[param["index"]]
            digest = hashlib.sha256(blob.array().tobytes()).hexdigest()
            assert digest == param["sha256"], (folder.name, param)
            assert same_shape(blob.shape, tuple(param["shape"]))
            checked += 1
    assert checked > 800


def test_a_file_of_more_than_two_gibibytes_is_read(tmp_path: Path) -> None:
    """Caffe stops at 2 GiB; the file here is a hole, so it costs no disk."""
    count = (1 << 29) + 1024
    shape = encode.chunk(7, encode.chunk(1, encode.varint(count)))
    head = encode.varint(5 << 3 | 2) + encode.varint(count * 4)
    blob = encode.varint(7 << 3 | 2) + encode.varint(len(shape) + len(head) + count * 4)
    name = encode.chunk(1, b"big")
    start = encode.varint(100 << 3 | 2)
    start += encode.varint(len(name) + len(blob) + len(shape) + len(head) + count * 4)
    start += name + blob + shape + head
    path = tmp_path / "big.caffemodel"
    with path.open("wb") as file:
        file.write(start)
        file.truncate(len(start) + count * 4)
    found = caffemodel.read(path).layers[0].blobs[0]
    assert path.stat().st_size > 1 << 31
    assert found.array().shape == (count,)
    assert found.array()[-1] == 0
