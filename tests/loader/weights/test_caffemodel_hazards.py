"""Files made to hurt the embedded reader, and honest ones that Caffe itself writes and reloads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from decant.loader.weights import caffemodel
from decant.loader.weights.caffemodel import CaffemodelError
from tests.helpers import encode_caffemodel as encode
from tests.helpers import in_child
from tests.helpers.work import lines_run

RANDOM = np.random.default_rng(17)
WEIGHT = RANDOM.random((4, 4), np.float32)
BIAS, OTHER_BIAS = RANDOM.random(4, np.float32), RANDOM.random(4, np.float32)
FULL = encode.chunk(7, encode.blob(BIAS))


def layer(body: bytes, name: bytes = b"a") -> bytes:
    """A layer of today's list with raw bytes behind its name and type."""
    head = encode.chunk(1, name) + encode.chunk(2, b"InnerProduct")
    return encode.chunk(100, head + body)


def placed(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(data)
    return path


def stored(tmp_path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """Caffe's HDF5 layout: a group for every layer, an array for every blob that it owns."""
    path = tmp_path / "net.caffemodel.h5"
    with h5py.File(str(path), "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


def test_a_file_cut_anywhere_but_between_layers_is_refused(tmp_path: Path) -> None:
    parts = [encode.chunk(1, b"net"), layer(FULL, b"a"), layer(FULL, b"b")]
    whole = b"".join(parts)
    seams = {len(parts[0]) + len(parts[1]), len(whole)}
    for cut in range(1, len(whole) + 1):
        path = placed(tmp_path, whole[:cut])
        if cut in seams:
            assert caffemodel.read(path).layers
        else:
            with pytest.raises(CaffemodelError, match="net.caffemodel"):
                caffemodel.read(path)


def test_more_than_two_gibibytes_are_read_without_memory(tmp_path: Path) -> None:
    count, last = 600_000_000, np.float32(7).tobytes()
    shape = encode.chunk(7, encode.chunk(1, encode.varint(count)))
    data_head = encode.varint(5 << 3 | 2) + encode.varint(4 * count)
    size = len(shape) + len(data_head) + 4 * count
    blob_head = encode.varint(7 << 3 | 2) + encode.varint(size)
    head = encode.chunk(1, b"big") + blob_head + shape + data_head
    path = tmp_path / "big.caffemodel"
    with path.open("wb") as file:  # sparse: only the ends take room
        file.write(encode.varint(100 << 3 | 2) + encode.varint(len(head) + 4 * count) + head)
        file.seek(4 * count - len(last), 1)
        file.write(last)
    blob = caffemodel.read(path).layers[0].blobs[0]
    assert blob.shape == (count,)
    assert blob.array()[-1] == 7
    assert in_child.read("caffemodel", path)["mebibytes"] < 64


def test_a_million_unpacked_floats_are_read_in_bulk(tmp_path: Path) -> None:
    array = RANDOM.random(1_000_000).astype(np.float32)
    records = np.zeros((array.size, 5), np.uint8)
    records[:, 0] = 5 << 3 | 5
    records[:, 1:] = array.view(np.uint8).reshape(-1, 4)
    shape = encode.chunk(7, encode.chunk(1, encode.varint(array.size)))
    path = placed(tmp_path, layer(encode.chunk(7, shape + records.tobytes())))
    assert lines_run(lambda: caffemodel.read(path).layers[0].blobs[0].array()) < 10_000
    found = caffemodel.read(path).layers[0].blobs[0].array()
    assert np.array_equal(found.view("u4"), array.view("u4"))


@pytest.mark.parametrize("old", ["v0", "v1"])
def test_a_shared_name_without_weights_is_no_duplicate(old: str, tmp_path: Path) -> None:
    fc = ("fc", "InnerProduct", [WEIGHT])
    data = encode.net(old, [fc]) + encode.net(old, [("fc", "InnerProduct", [])])
    assert list(caffemodel.read(placed(tmp_path, data)).by_name()) == ["fc"]


def test_values_between_unknown_fields_take_linear_time(tmp_path: Path) -> None:
    mixed = (b"\x2d" + bytes(4) + b"\x78\x01") * 180_000  # 1.3 MB; 10.6 s of CPU when found
    path = placed(tmp_path, layer(encode.chunk(7, mixed)))
    assert in_child.read("caffemodel", path)["kind"] == "CaffemodelError"


def test_many_shape_messages_are_refused_at_once(tmp_path: Path) -> None:
    shapes = encode.chunk(7, encode.chunk(1, b"\x01")) * 200_000  # 1 MB; about 50 s when found
    path = placed(tmp_path, layer(encode.chunk(7, shapes + encode.chunk(5, bytes(4)))))
    assert in_child.read("caffemodel", path)["kind"] == "CaffemodelError"


def test_more_axes_than_caffe_allows_are_refused_however_they_are_split(tmp_path: Path) -> None:
    shape = encode.chunk(7, encode.chunk(1, b"\x01" * 20)) * 2
    with pytest.raises(CaffemodelError, match="32 axes"):
        caffemodel.read(placed(tmp_path, layer(encode.chunk(7, shape + encode.chunk(5, bytes(4))))))


FLOODS: dict[str, bytes] = {
    "empty blobs": b"\x3a\x02\x08\x00" * 750_000,
    "one-value blobs": encode.chunk(7, b"\x2d" + bytes(4)) * 430_000,
    "empty records in one blob": encode.chunk(7, b"\x2a\x00" * 1_500_000),
}


@pytest.mark.parametrize("name", sorted(FLOODS))
def test_three_megabytes_of_tiny_parts_cost_little_memory(name: str, tmp_path: Path) -> None:
    found = in_child.read("caffemodel", placed(tmp_path, layer(FLOODS[name])))
    assert found["kind"] == "CaffemodelError"
    assert found["mebibytes"] < 64


def test_a_double_past_float32_becomes_infinite_in_silence_as_in_caffe(tmp_path: Path) -> None:
    data = layer(encode.chunk(7, encode.blob(np.array([1e300, 1.0]), kind="double")))
    blob = caffemodel.read(placed(tmp_path, data)).layers[0].blobs[0]
    assert caffemodel.not_finite(blob.array()) == "Inf"


V0 = encode.chunk(1, b"a") + encode.chunk(2, b"conv") + encode.chunk(50, encode.blob(BIAS))
OUTER = {
    "blobs after": encode.chunk(1, V0) + encode.chunk(6, encode.blob(OTHER_BIAS)),
    "blobs before": encode.chunk(6, encode.blob(OTHER_BIAS)) + encode.chunk(1, V0),
    "garbage after": encode.chunk(1, V0) + b"\x00\x07\x0f",
}


@pytest.mark.parametrize("name", sorted(OUTER))
def test_what_stands_beside_a_v0_layer_is_not_dropped(name: str, tmp_path: Path) -> None:
    """Caffe aborts on V0 layers with outer blobs (upgrade_proto.cpp)."""
    with pytest.raises(CaffemodelError):
        caffemodel.read(placed(tmp_path, encode.chunk(2, OUTER[name])))


@pytest.mark.parametrize("name", [b"n" * 35, b"n" * 60, b"n" * 123, b"layer_net"])
def test_a_cut_caffemodel_is_called_cut_whatever_the_net_is_called(
    name: bytes, tmp_path: Path
) -> None:
    with pytest.raises(CaffemodelError, match="damaged or cut"):
        caffemodel.read(placed(tmp_path, (encode.chunk(1, name) + layer(FULL))[:-3]))


def test_a_message_stays_short_whatever_a_layer_is_called(tmp_path: Path) -> None:
    with pytest.raises(CaffemodelError) as caught:
        caffemodel.read(placed(tmp_path, layer(FULL, b"x" * 100_000) * 2))
    assert len(str(caught.value)) < 2000


BORROWED = {"data/a/0": WEIGHT, "data/a/1": BIAS, "data/b/1": OTHER_BIAS}


def test_a_layer_that_borrows_its_weight_and_owns_its_bias_is_read_from_hdf5(
    tmp_path: Path,
) -> None:
    """Net::ToHDF5 saves owned blobs only; real Caffe writes this very file and reloads it."""
    model = caffemodel.read(stored(tmp_path, BORROWED))
    assert sorted(model.by_name()) == ["a", "b"]


def test_a_blob_number_in_other_digits_gives_our_own_error(tmp_path: Path) -> None:
    path = stored(tmp_path, {"data/a/0": WEIGHT, "data/a/\u00b2": WEIGHT})
    try:
        caffemodel.read(path)
    except CaffemodelError:
        return
    raise AssertionError("accepted")


@pytest.mark.parametrize("second", ["00", "\u0660"])
def test_two_arrays_for_one_blob_are_refused(second: str, tmp_path: Path) -> None:
    with pytest.raises(CaffemodelError):
        caffemodel.read(stored(tmp_path, {"data/a/0": WEIGHT, "data/a/" + second: WEIGHT * 2}))


def hostile_heap(path: Path) -> None:
    """An object in the heap of texts whose size, rounded up with its header, is 0."""
    data = bytearray(path.read_bytes())
    first = data.index(b"GCOL") + 16
    data[first + 8 : first + 16] = (2**64 - 16).to_bytes(8, "little")
    path.write_bytes(data)


def test_a_hostile_attribute_in_hdf5_weights_does_not_hang_the_reader(tmp_path: Path) -> None:
    path = stored(tmp_path, {"data/a/0": WEIGHT})
    with h5py.File(str(path), "r+") as file:
        file.attrs.create("x", "text", dtype=h5py.special_dtype(vlen=str))
    hostile_heap(path)
    assert in_child.read("caffemodel", path)["kind"] == ""  # left unread


def test_hdf5_weights_of_a_deep_net_are_read_with_the_usual_limit_of_open_files(
    tmp_path: Path,
) -> None:
    arrays = {f"data/l{n}/0": np.full(3, n, np.float32) for n in range(1100)}
    assert in_child.read("caffemodel", stored(tmp_path, arrays), files=1024)["kind"] == ""


REFUSED: dict[str, Callable[[h5py.File], object]] = {
    "chunked": lambda file: file.create_dataset("data/b/0", data=WEIGHT, chunks=True),
    "half": lambda file: file.create_dataset("data/b/0", data=WEIGHT.astype("f2")),
    "soft link": lambda file: file.__setitem__("data/b", h5py.SoftLink("/data/a")),
    "hard link": lambda file: file.__setitem__("data/b", file["data/a"]),
    "outside": lambda file: file.create_dataset("data/b/0", (4,), "<f4", external=[("x", 0, 16)]),
    "never stored": lambda file: file.create_dataset("data/b/0", (1 << 40,), "<f4"),
    "other layout": lambda file: file.create_dataset("weights", data=WEIGHT),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_hdf5_that_caffe_does_not_write_is_refused(name: str, tmp_path: Path) -> None:
    path = stored(tmp_path, {"data/a/0": WEIGHT})
    with h5py.File(str(path), "r+") as file:
        REFUSED[name](file)
    with pytest.raises(CaffemodelError, match="net.caffemodel.h5"):
        caffemodel.read(path)
