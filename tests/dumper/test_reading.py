"""Dumps made to hurt their reader, and what the writer must not pass over."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from decant.dumper import dumpfile
from decant.dumper.dumpfile import DumpError, Header, Layer
from tests.helpers import in_child

ARRAY = np.random.default_rng(23).random((2, 3)).astype(np.float32)
HEADER = Header("n", "p", "", "reader", "", True, "")
META: dict[str, Any] = {
    "": {
        "format": "caffe-dump", "version": 1, "net_name": "n", "prototxt": "p", "prototxt_run": "",
        "engine": "reader", "caffe_version": "", "has_activations": 0, "caffemodel_sha256": "",
    },
    "layers/00000": {"name": "a", "type": "T", "bottoms": "[]", "tops": "[]"},
    "layers/00000/params": {"owners": "[null]"},
}  # fmt: skip


def member(header: str | None = None) -> bytes:
    """An array's member; `header` replaces NumPy's own, the data stays."""
    if header is None:
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, ARRAY, version=(1, 0))
        return buffer.getvalue()
    text = header.encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + ARRAY.tobytes()


def npz(
    tmp_path: Path,
    meta: object = META,
    array: bytes = member(),
    more: tuple[tuple[str, bytes], ...] = (),
) -> Path:
    path = tmp_path / "dump.npz"
    with zipfile.ZipFile(str(path), "w") as archive:
        archive.writestr("layers/00000/params/0.npy", array)
        for name, data in more:
            archive.writestr(name, data)
        archive.writestr("meta.json", meta if isinstance(meta, str) else json.dumps(meta))
    return path


def with_root(**values: object) -> dict[str, Any]:
    return {**META, "": {**META[""], **values}}


def with_owners(owners: str) -> dict[str, Any]:
    return {**META, "layers/00000/params": {"owners": owners}}


def hdf5(tmp_path: Path, layers: list[Layer] | None = None) -> Path:
    path = tmp_path / "dump.h5"
    dumpfile.write(path, HEADER, layers or [Layer("a", "T", [], [], [ARRAY], [None])], {})
    return path


def refused(path: Path) -> bool:
    """Whether the reader raises its own error; anything else it raises is passed on."""
    try:
        dumpfile.read(path)
    except DumpError as error:
        assert str(path) in str(error)
        return True
    return False


def header(shape: str, kind: str = "<f4") -> str:
    return "{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (kind, shape)


def flagged(path: Path, flag: int = 0, version: int = 20) -> Path:
    """The archive with these bits and this version in both of its directories."""
    data = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 4), (b"PK\x01\x02", 6)):
        place = data.find(mark)
        while place >= 0:
            data[place + at] = version
            data[place + at + 2] |= flag
            place = data.find(mark, place + 4)
    path.write_bytes(data)
    return path


STRAY: dict[str, Callable[[Path], Path]] = {
    "AttributeError: root": lambda to: npz(to, {"": 5}),
    "AttributeError: params": lambda to: npz(to, {**META, "layers/00000/params": []}),
    "RecursionError": lambda to: npz(to, "[" * 200_000),
    "OverflowError: version": lambda to: npz(to, with_root(version=float("inf"))),
    "OverflowError: owners": lambda to: npz(to, with_owners("[[1e999, 0]]")),
    "OverflowError: shape": lambda to: npz(to, array=member(header("(%d,)" % (1 << 80)))),
    "RuntimeError: encrypted": lambda to: flagged(npz(to), flag=1),
    "NotImplementedError: patched": lambda to: flagged(npz(to), flag=0x20),
    "NotImplementedError: version": lambda to: flagged(npz(to), version=99),
    "TokenError": lambda to: npz(to, array=member("{'descr': '<f4', 'shape': (2, 3")),
    "IndentationError": lambda to: npz(to, array=member("  x\n y")),
    "TypeError": lambda to: npz(to, array=member("{[]: 1}")),
    "UserWarning": lambda to: npz(to, array=member(header("(2L, 3L)"))),
}


@pytest.mark.parametrize("name", sorted(STRAY))
def test_no_other_error_than_ours_leaves_the_reader(name: str, tmp_path: Path) -> None:
    assert refused(STRAY[name](tmp_path))


LAX: dict[str, Callable[[Path], Path]] = {
    "a version that is a text": lambda to: npz(to, with_root(version="1")),
    "a version with a fraction": lambda to: npz(to, with_root(version=1.9)),
    "has_activations a text": lambda to: npz(to, with_root(has_activations="false")),
    "an owner with a fraction": lambda to: npz(
        to,
        {
            **META,
            "layers/00001": META["layers/00000"],
            "layers/00001/params": {"owners": "[[0.9, 0.2]]"},
        },
    ),
    "bytes after an array": lambda to: npz(to, array=member(header("(2,)"))),
}


@pytest.mark.parametrize("name", sorted(LAX))
def test_a_value_of_the_wrong_kind_is_not_read_as_something_else(name: str, tmp_path: Path) -> None:
    assert refused(LAX[name](tmp_path))


def two_probes_of_one_name(tmp_path: Path, suffix: str) -> Path:
    if suffix == ".npz":
        meta = {**META, "probe/0": {"name": "x"}, "probe/1": {"name": "x"}}
        return npz(tmp_path, meta, more=(("probe/0.npy", member()), ("probe/1.npy", member())))
    path = tmp_path / "dump.h5"
    dumpfile.write(path, HEADER, [], {"x": ARRAY, "y": ARRAY})
    with h5py.File(str(path), "r+") as file:
        file["probe/1"].attrs["name"] = "x"
    return path


@pytest.mark.parametrize("suffix", [".h5", ".npz"])
def test_two_probes_of_one_name_do_not_hang_the_reader(suffix: str, tmp_path: Path) -> None:
    path = two_probes_of_one_name(tmp_path, suffix)
    assert in_child.read("dumpfile", path)["kind"] == "DumpError"


@pytest.mark.slow
def test_a_deep_nets_dump_is_read_with_the_usual_limit_of_open_files(tmp_path: Path) -> None:
    """ResNet-152 has over 900 parameter blobs and as many activations."""
    layers = [Layer("l%d" % n, "T", [], [], [ARRAY], [None], [ARRAY]) for n in range(600)]
    assert in_child.read("dumpfile", hdf5(tmp_path, layers), files=1024)["kind"] == ""


def more_group(file: h5py.File) -> None:
    file.create_group("more/x")


def more_attribute(file: h5py.File) -> None:
    file.attrs["more"] = "x"


def last_layer_gone(file: h5py.File) -> None:
    del file["layers/00001"]


@pytest.mark.parametrize("change", [more_group, more_attribute, last_layer_gone])
def test_a_dump_with_more_or_less_than_was_written_is_refused(
    change: Callable[[h5py.File], None], tmp_path: Path
) -> None:
    path = hdf5(tmp_path, [Layer(name, "T", [], [], [ARRAY], [None]) for name in "ab"])
    with h5py.File(str(path), "r+") as file:
        change(file)
    assert refused(path)
