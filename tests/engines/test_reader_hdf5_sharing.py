"""The embedded engine and HDF5 weights of nets whose layers share blobs.

Net::ToHDF5 saves the blobs that a layer owns; the layouts here are those that real Caffe wrote, and
reloaded to the same values, for these two definitions.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from decant.dumper import dumpfile
from decant.engines.job import Job
from decant.engines.reader import dump
from decant.loader.errors import BadInput
from decant.loader.progress import SILENT
from tests.helpers import encode_caffemodel as encode

RANDOM = np.random.default_rng(31)
WEIGHT, OTHER = RANDOM.random((4, 4), np.float32), RANDOM.random((4, 4), np.float32)
BIAS, OTHER_BIAS = RANDOM.random(4, np.float32), RANDOM.random(4, np.float32)


def definition(params: str) -> str:
    layer = (
        'layer {{ name: "{}" type: "InnerProduct" bottom: "{}" top: "{}" {}\n'
        "  inner_product_param {{ num_output: 4 }} }}\n"
    )
    data = (
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 4 } } }\n'
    )
    return data + layer.format("a", "data", "x", params) + layer.format("b", "x", "y", params)


SHARED_WEIGHT = definition('param { name: "w" }')
SHARED_BIAS = definition('param {} param { name: "w" }')


def run(folder: Path, text: str, weights: dict[str, np.ndarray] | bytes) -> dumpfile.Dump:
    (folder / "net.prototxt").write_text(text)
    path = folder / "net.caffemodel"
    if isinstance(weights, bytes):
        path.write_bytes(weights)
    else:
        with h5py.File(path, "w") as file:
            for name, array in weights.items():
                file[name] = array
    dump(Job(folder / "net.prototxt", path, {}, ()), folder / "dump.h5", SILENT)
    return dumpfile.read(folder / "dump.h5")


def test_blobs_of_both_layers_in_hdf5_are_read(tmp_path: Path) -> None:
    arrays = {"data/a/0": WEIGHT, "data/a/1": BIAS, "data/b/0": OTHER, "data/b/1": OTHER_BIAS}
    found = run(tmp_path, definition(""), arrays).layers[2]
    assert np.array_equal(found.params[0], OTHER)
    assert np.array_equal(found.params[1], OTHER_BIAS)


def test_a_borrowed_weight_beside_an_own_bias_is_read_from_hdf5(tmp_path: Path) -> None:
    arrays = {"data/a/0": WEIGHT, "data/a/1": BIAS, "data/b/1": OTHER_BIAS}
    found = run(tmp_path, SHARED_WEIGHT, arrays).layers[2]
    assert found.owners == [(1, 0), None]
    assert np.array_equal(found.params[0], WEIGHT)
    assert np.array_equal(found.params[1], OTHER_BIAS)


def test_an_own_weight_beside_a_borrowed_bias_is_read_from_hdf5(tmp_path: Path) -> None:
    arrays = {"data/a/0": WEIGHT, "data/a/1": BIAS, "data/b/0": OTHER}
    found = run(tmp_path, SHARED_BIAS, arrays).layers[2]
    assert found.owners == [None, (1, 1)]
    assert np.array_equal(found.params[0], OTHER)
    assert np.array_equal(found.params[1], BIAS)


def test_a_missing_weight_beside_a_borrowed_bias_is_refused(tmp_path: Path) -> None:
    """Nothing fills b's own weight: Caffe would run on its filler."""
    with pytest.raises(BadInput, match="'b'"):
        run(tmp_path, SHARED_BIAS, {"data/a/0": WEIGHT, "data/a/1": BIAS})


def test_a_recorded_type_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    blobs = encode.chunk(7, encode.blob(WEIGHT)) + encode.chunk(7, encode.blob(BIAS))
    one = encode.chunk(100, encode.chunk(1, b"a") + encode.chunk(2, b"x\n\x1b[2Jy") + blobs)
    two = encode.chunk(100, encode.chunk(1, b"b") + encode.chunk(2, b"InnerProduct") + blobs)
    (note,) = run(tmp_path, definition(""), one + two).notes
    assert "in the caffemodel, InnerProduct in the prototxt" in note
    assert note.isprintable()


def test_a_blob_of_more_axes_than_an_array_can_have_is_refused(tmp_path: Path) -> None:
    shape = encode.chunk(7, encode.chunk(1, b"\x01" * 32)) * 3
    blob = shape + encode.chunk(5, bytes(4))
    text = 'input: "data" input_shape { dim: 1 }\nlayer { name: "s" type: "Scale" bottom: "data" top: "x" }\n'
    try:
        run(tmp_path, text, encode.layer("current", "s", "Scale", [blob]))
    except BadInput:
        return
    raise AssertionError("accepted")
