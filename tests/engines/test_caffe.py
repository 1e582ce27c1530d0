"""Engine caffe's own judgement, without an engine: bad weights first, the closing record last."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from decant.dumper import dumpfile
from decant.engines import caffe
from decant.engines.docker.container import Outcome, Run
from decant.engines.job import Job
from decant.loader.errors import BadInput, DecantError, EngineError, IntegrityError, Unsupported
from decant.loader.progress import SILENT
from tests.helpers import encode_caffemodel as encode

GIB = 1 << 30
ENDED = Outcome(1, "", False, 1.0, ())
TODO = Run("i", (), {}, {}, GIB)
FC = ("fc", "InnerProduct", [np.ones((3, 8), np.float32), np.ones(3, np.float32)])


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect() -> None:
        raise AssertionError("asked the engine before looking at the file")

    monkeypatch.setattr(caffe, "connect", connect)


def job(folder: Path, weights: bytes = b"") -> Job:
    (folder / "net.prototxt").write_text("")
    (folder / "net.caffemodel").write_bytes(weights)
    return Job(folder / "net.prototxt", folder / "net.caffemodel", {})


@pytest.mark.usefixtures("no_engine")
def test_bad_weights_are_refused_before_any_container(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for content in (b"", b"<html>", bytes(9), encode.net("current", [FC, FC])):
        with pytest.raises(BadInput, match=r"net\.caffemodel"):
            caffe.dump(job(tmp_path, content), tmp_path / "out" / "d.h5", SILENT)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.usefixtures("no_engine")
def test_a_file_of_two_gibibytes_is_for_the_reader(tmp_path: Path) -> None:
    found = job(tmp_path, encode.net("current", [FC]))
    with (tmp_path / "net.caffemodel").open("r+b") as file:
        file.truncate(2 * GIB)
    with pytest.raises(BadInput, match="2 GiB.*--engine reader"):
        caffe.dump(found, tmp_path / "d.h5", SILENT)


def record(folder: Path, content: object, ended: Outcome = ENDED) -> dict[str, Any]:
    file = folder / "result.json"
    if content is not None:
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    return caffe._closing_record(ended, TODO, file, job(folder))


def refusal(kind: str) -> dict[str, Any]:
    return {"ok": False, "kind": kind, "error": "no", "details": ["a", "b"], "traceback": "t"}


@pytest.mark.parametrize(
    ("kind", "error", "file"),
    [
        ("input", BadInput, "net.caffemodel"),
        ("unsupported", Unsupported, "net.prototxt"),
        ("bug", EngineError, "the dumper failed"),
    ],
)
def test_a_refusal_in_the_container_becomes_our_error(
    kind: str, error: type[DecantError], file: str, tmp_path: Path
) -> None:
    with pytest.raises(error) as caught:
        record(tmp_path, refusal(kind))
    assert file in caught.value.message
    assert "\n" not in caught.value.message


def test_exit_code_zero_without_a_record_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="without a result"):
        record(tmp_path, None, Outcome(0, "", False, 1.0, ()))


def test_an_abort_is_the_inputs_fault_and_a_lack_of_memory_is_not(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="aborted"):
        record(tmp_path, None, Outcome(134, "F0102 x 1 a.cpp:1] bad", False, 1.0, ()))
    with pytest.raises(EngineError, match="1024 MiB"):
        record(tmp_path, None, Outcome(134, "", True, 1.0, ()))


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"ok": false}', '{"ok": true}'])
def test_a_record_of_another_form_is_an_engine_error(content: str, tmp_path: Path) -> None:
    """The container ran somebody's net: what it writes is not to be trusted either."""
    (tmp_path / "dump.h5").write_bytes(b"x")
    with pytest.raises(DecantError):
        caffe._read_dump(tmp_path / "dump.h5", record(tmp_path, content))


def written(folder: Path) -> dict[str, Any]:
    header = dumpfile.Header("n", "", "", "caffe", "1.0.0", False, "")
    dumpfile.write(folder / "dump.h5", header, [dumpfile.Layer("a", "ReLU", [], [])], {})
    content = (folder / "dump.h5").read_bytes()
    return {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "layers": 1}


def test_a_dump_is_taken_only_as_its_record_describes_it(tmp_path: Path) -> None:
    result = written(tmp_path)
    assert len(caffe._read_dump(tmp_path / "dump.h5", result).layers) == 1
    for change in ({"sha256": "0" * 64}, {"size": 1}, {"layers": 2}):
        with pytest.raises(IntegrityError):
            caffe._read_dump(tmp_path / "dump.h5", {**result, **change})
    (tmp_path / "dump.h5").unlink()
    with pytest.raises(EngineError, match="without a dump"):
        caffe._read_dump(tmp_path / "dump.h5", result)


def test_a_dump_that_is_none_is_refused_even_with_the_right_hash(tmp_path: Path) -> None:
    (tmp_path / "dump.h5").write_bytes(b"not HDF5")
    digest = hashlib.sha256(b"not HDF5").hexdigest()
    with pytest.raises(EngineError, match="refused"):
        caffe._read_dump(tmp_path / "dump.h5", {"sha256": digest, "size": 8, "layers": 0})


def test_memory_grows_with_the_file_and_stays_within_the_machine(tmp_path: Path) -> None:
    large = SimpleNamespace(info=lambda: {"MemTotal": 1024 * GIB})
    small = SimpleNamespace(info=lambda: {"MemTotal": 4 * GIB})
    one, other = job(tmp_path), job(tmp_path)
    empty = caffe._memory(large, one, one.caffemodel)  # type: ignore[arg-type]
    with (tmp_path / "net.caffemodel").open("r+b") as file:
        file.truncate(GIB)
    assert caffe._memory(large, other, other.caffemodel) >= empty + 3 * GIB  # type: ignore[arg-type]
    assert GIB <= caffe._memory(small, other, other.caffemodel) <= 3 * GIB  # type: ignore[arg-type]


def test_a_probe_arrives_as_it_was_made(tmp_path: Path) -> None:
    made = {"data": np.arange(6, dtype=np.float32).reshape(1, 2, 3), "a/b": np.ones(2, np.float32)}
    (tmp_path / "probe.npz").write_bytes(caffe._npz(made))
    with np.load(tmp_path / "probe.npz", allow_pickle=False) as found:
        assert {name: found[name].tolist() for name in found.files} == {
            name: array.tolist() for name, array in made.items()
        }


def test_an_input_blob_may_be_called_file(tmp_path: Path) -> None:
    (tmp_path / "probe.npz").write_bytes(caffe._npz({"file": np.ones(2, np.float32)}))
    with np.load(tmp_path / "probe.npz", allow_pickle=False) as found:
        assert found.files == ["file"]


COPY = "F0102 1 1 net.cpp:757] Check failed: target_blobs[j]->ShapeEquals(source_layer.blobs(j)) Cannot copy param 0 weights from layer 'fc'; shape mismatch."


BLOBS = "F0102 1 1 net.cpp:757] Check failed: target_blobs.size() == source_layer.blobs_size() (5 vs. 3) Incompatible number of blobs for layer bn"


OTHER = "F0102 1 1 pooling_layer.cpp:76] Check failed: pad_h_ < kernel_h_ (2 vs. 2)"


UNKNOWN = "F0102 1 1 layer_factory.hpp:81] Check failed: registry.count(type) == 1 (0 vs. 1) Unknown layer type: Odd"


@pytest.mark.parametrize(
    ("line", "asks"), [(COPY, True), (BLOBS, True), (OTHER, False), (UNKNOWN, False)]
)
def test_whether_the_files_belong_together_is_asked_only_where_caffe_says_so(
    line: str, asks: bool, tmp_path: Path
) -> None:
    ended = Outcome(134, line, False, 1.0, ())
    todo: Any = SimpleNamespace(memory=1 << 30, limit=10, spec=Run)
    job = Job(tmp_path / "net.prototxt", tmp_path / "net.caffemodel", {})
    with pytest.raises(BadInput, match="Caffe aborted") as caught:
        caffe._closing_record(ended, todo, tmp_path / "result.json", job)
    assert caught.value.message.endswith(f"is {job.prototxt} its net?") == asks
    assert caught.value.message.startswith(f"{job.caffemodel if asks else job.prototxt}: ")
