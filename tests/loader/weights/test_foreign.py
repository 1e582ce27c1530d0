"""What people give for a caffemodel, or for a definition, that is neither: named, and what to give instead."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from decant.loader.weights import caffemodel
from decant.loader.weights.caffemodel import CaffemodelError
from tests.helpers import encode_caffemodel as encode
from tests.helpers.pairs import random

chunk, number = encode.chunk, encode.number
BLOB = encode.blob(random(4, 3, 3, 3))
NAME = b"/data/net_iter_10000.caffemodel"
HISTORY = chunk(3, BLOB) + chunk(3, encode.blob(random(4), legacy=True))
LEARNED = r"a solverstate \(iteration 10000\); .*snapshot, /data/net_iter_10000.caffemodel"
SOLVER = number(1, 10000) + chunk(2, NAME)


def operator(kind: bytes, inputs: tuple[bytes, ...], outputs: tuple[bytes, ...]) -> bytes:
    """An OperatorDef with an argument."""
    wires = b"".join(chunk(1, blob) for blob in inputs) + b"".join(chunk(2, x) for x in outputs)
    return chunk(2, wires + chunk(3, b"") + chunk(4, kind) + chunk(5, chunk(1, b"values") + BLOB))


INIT = chunk(1, b"init") + operator(b"GivenTensorFill", (), (b"conv1_w",)) * 2
PREDICT = (
    chunk(1, b"predict")
    + operator(b"Conv", (b"data", b"conv1_w"), (b"conv1",))
    + chunk(7, b"data")
    + chunk(8, b"conv1")
)
NODE = chunk(1, b"conv1/kernel") + chunk(2, b"Const") + chunk(5, chunk(1, b"dtype"))
GRAPH = chunk(1, NODE) + chunk(1, NODE) + chunk(4, number(1, 27))
ONNX = (
    number(1, 8)
    + chunk(2, b"pytorch")
    + chunk(3, b"2.1")
    + chunk(7, chunk(1, chunk(1, b"x") + chunk(4, b"Conv")))
    + chunk(8, chunk(1, b"") + number(2, 17))
)
CORE_ML = number(1, 4) + chunk(2, chunk(1, b"x")) + chunk(500, chunk(1, b"layer"))
FLOATS = np.abs(random(64)).tobytes()
DARKNET = np.array([0, 2, 5], "<i4").tobytes() + np.int64(32013312).tobytes() + FLOATS
OLD_DARKNET = np.array([0, 1, 0, 6400], "<i4").tobytes() + FLOATS
SAFE = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'


def torch_zip() -> bytes:
    file = io.BytesIO()
    torch.save({"w": torch.ones(2)}, file)
    return file.getvalue()


def torch_pickle() -> bytes:
    file = io.BytesIO()
    torch.save({"w": torch.ones(2)}, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def numpy_zip() -> bytes:
    file = io.BytesIO()
    np.savez(file, w=np.ones(2))
    return file.getvalue()


def any_zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("net.caffemodel", BLOB)
    return file.getvalue()


FILES = {
    "solverstate": (SOLVER + HISTORY + number(4, 2), LEARNED),
    "solverstate without history": (SOLVER, LEARNED),
    "solverstate that is cut": ((SOLVER + HISTORY)[:-20], LEARNED),
    "solverstate without a name": (
        number(1, 7) + HISTORY,
        r"a solverstate \(iteration 7\); .*of the same snapshot$",
    ),
    "solverstate with NVCaffe's blobs": (
        number(1, 9) + chunk(3, encode.blob(random(4), kind="half")),
        r"a solverstate \(iteration 9\)",
    ),
    "mean": (encode.blob(random(1, 3, 8, 8), legacy=True), r"a mean file .*--mean"),
    "mean with a shape": (encode.blob(random(1, 3, 8, 8)), "a mean file"),
    "mean of doubles": (encode.blob(random(3, 8, 8), kind="double"), "a mean file"),
    "mean, one value a key": (encode.blob(random(1, 3, 8, 8), packed=False), "a mean file"),
    "mean that is cut": (encode.blob(random(1, 3, 8, 8))[:-5] + b"\xff", "damaged or cut"),
    "Caffe2's weights": (INIT, r"weights of Caffe2 \(init_net.pb\); .*caffemodel"),
    "Caffe2's net": (PREDICT, r"a net of Caffe2 \(predict_net.pb\)"),
    "ONNX": (ONNX, "an ONNX model; .*caffemodel"),
    "TensorFlow": (GRAPH, "a TensorFlow graph"),
    "TensorFlow, saved": (number(1, 1) + chunk(2, chunk(2, GRAPH)), "a TensorFlow graph"),
    "Core ML": (CORE_ML, "a Core ML model"),
    "torch": (torch_zip(), "a PyTorch checkpoint; .*load it with torch"),
    "torch before 1.6": (torch_pickle(), "a PyTorch checkpoint"),
    "NumPy's zip": (numpy_zip(), r"a NumPy archive \(.npz\)"),
    "any zip": (any_zip(), "a zip archive; give the .caffemodel that is inside"),
    "an array": (b"\x93NUMPY" + bytes(64), "a NumPy array .*; give the .caffemodel$"),
    "a page": (b"<html>404</html>", "a web page; get it again$"),
    "labels": (b"n01440764 tench\nn01443537 goldfish\n", "a text; give the .caffemodel$"),
    "a solver": (b"net: 'train.prototxt'\nbase_lr: 0.01\n", "a solver's settings .*; give the"),
    "safetensors": (len(SAFE).to_bytes(8, "little") + SAFE + bytes(4), "a safetensors file"),
    "TensorFlow Lite": (b"\x1c\0\0\0TFL3" + bytes(64), "a TensorFlow Lite model"),
    "MXNet": (b"\x12\x01" + bytes(14) + FLOATS, "weights of MXNet"),
    "Darknet": (DARKNET, r"weights of Darknet \(.weights\); .*caffemodel"),
    "Darknet before 0.2": (OLD_DARKNET, "weights of Darknet"),
    "Darknet's definition": (b"[net]\nbatch=1\n", r"a net of Darknet \(.cfg\)"),
    "ncnn, float16": (b"\x47\x6b\x30\x01" + FLOATS, r"weights of ncnn \(.bin, float16\)"),
    "ncnn, float32": (b"\x56\xc0\x02\x00" + FLOATS, r"weights of ncnn \(.bin\)"),
    "ncnn's definition": (b"7767517\n75 83\n", r"a net of ncnn \(.param\); .*made of$"),
    "bare values": (FLOATS, "not a whole caffemodel|no weights"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_the_file_is_named_and_what_to_give_instead(name: str, tmp_path: Path) -> None:
    content, expected = FILES[name]
    (tmp_path / "net.caffemodel").write_bytes(content)
    with pytest.raises(CaffemodelError, match=expected) as caught:
        caffemodel.read(tmp_path / "net.caffemodel")
    assert str(caught.value).startswith(str(tmp_path / "net.caffemodel"))
    assert "\n" not in str(caught.value)


def solverstate(file: h5py.File) -> None:
    """Caffe's SnapshotSolverStateToHDF5 (sgd_solver.cpp)."""
    file["iter"], file["current_step"] = np.int32(500), np.int32(1)
    file["learned_net"] = np.bytes_(b"snap/net_iter_500.caffemodel.h5\0")
    file["history/0"] = random(4)


def keras(file: h5py.File) -> None:
    file.attrs["keras_version"] = np.bytes_(b"2.2.4")
    file["model_weights/conv/kernel:0"] = random(3, 3)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (solverstate, "a solverstate; .*same snapshot, snap/net_iter_500.caffemodel.h5"),
        (keras, "weights of Keras"),
        (lambda file: file.create_group("data"), "no weights"),
        (lambda file: file.create_dataset("other", data=random(3)), "is not Caffe's layout"),
    ],
)
def test_so_is_one_in_hdf5(
    make: Callable[[h5py.File], object], expected: str, tmp_path: Path
) -> None:
    with h5py.File(str(tmp_path / "net.h5"), "w") as file:
        make(file)
    with pytest.raises(CaffemodelError, match=expected):
        caffemodel.read(tmp_path / "net.h5")


def test_openvinos_weights_are_known_by_the_file_beside_them(tmp_path: Path) -> None:
    (tmp_path / "net.bin").write_bytes(FLOATS)
    with pytest.raises(CaffemodelError, match="not a whole caffemodel|no weights"):
        caffemodel.read(tmp_path / "net.bin")
    (tmp_path / "net.xml").write_text('<?xml version="1.0"?>\n<net name="x" version="10">')
    with pytest.raises(CaffemodelError, match=r"weights of OpenVINO \(.bin\)"):
        caffemodel.read(tmp_path / "net.bin")


@pytest.mark.parametrize("era", ["current", "v1", "v0"])
def test_a_caffemodel_that_is_cut_is_never_taken_for_another_file(era: str, tmp_path: Path) -> None:
    layers = [
        ("conv", "Convolution", [random(2, 1, 3, 3)]),
        ("fc", "InnerProduct", [random(2, 3), random(2)]),
    ]
    whole = encode.net(era, layers)
    for cut in range(len(whole)):
        (tmp_path / "net.caffemodel").write_bytes(whole[:cut])
        try:
            caffemodel.read(tmp_path / "net.caffemodel")
        except CaffemodelError as error:
            assert not error.found, (cut, str(error))


@pytest.mark.parametrize("name", ["solverstate", "mean_as_weights"])
def test_the_reports_own_files(name: str, reports: Path) -> None:
    expected = {"solverstate": "net_iter_10000.caffemodel", "mean_as_weights": "a mean file"}
    with pytest.raises(CaffemodelError, match=expected[name]):
        caffemodel.read(reports / name / "net.caffemodel")


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (b"<!DOCTYPE html><html>", "a web page; get it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"\x80\x02}q\0.", "a pickle; give the .caffemodel"),
        (b"\x93NUMPY\x01\0", r"a NumPy array \(a mean\?\); give the .caffemodel"),
        (b"\x89PNG\r\n", "a picture; give the .caffemodel"),
    ],
)
def test_only_what_went_wrong_on_its_way_is_to_be_got_again(
    content: bytes, advice: str, tmp_path: Path
) -> None:
    (tmp_path / "net.caffemodel").write_bytes(content)
    with pytest.raises(CaffemodelError, match=advice):
        caffemodel.read(tmp_path / "net.caffemodel")
