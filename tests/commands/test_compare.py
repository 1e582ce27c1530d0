"""`compare`: agreement, the first diverging layer, and which layer is wrong in itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from decant.dumper import dumpfile
from decant.loader.compare import compare, open_side
from tests.commands.test_cli import MODEL, run

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow

REFERENCE = MODEL / "reference.h5"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run("convert", "--engine", "reader", cwd=tmp_path)
    return tmp_path / "artifacts/lenet_digits"


def changed(path: Path, layer: str, factor: float, carried: bool = False) -> Path:
    """The reference with one layer's activations scaled (and all that follow, if `carried`)."""
    dump = dumpfile.read(REFERENCE)
    on = False
    for item in dump.layers:
        on = item.name == layer or (on and carried)
        if on:
            item.activations = [array * np.float32(factor) for array in item.activations]
    dumpfile.write(path, dump, dump.layers, dump.probe)
    return path


def test_an_artifact_agrees_with_caffes_dump(folder: Path, tmp_path: Path) -> None:
    found = json.loads(run("compare", str(folder), str(REFERENCE), "--json", cwd=tmp_path).stdout)
    assert found["ok"]
    assert {row["layer"] for row in found["layers"]} >= {"conv1", "relu1", "ip2"}
    for row in found["layers"]:
        assert row["error"] <= 1e-5
        assert row["cosine"] > 0.999999
        assert row["isolated"] is None or row["isolated"] <= 1e-5
    assert found["missing"] == ["prob"]
    assert "tops agree" in run("compare", str(folder), str(REFERENCE), cwd=tmp_path).stdout


def test_the_first_diverging_layer_ends_in_6(folder: Path, tmp_path: Path) -> None:
    other = changed(tmp_path / "other.h5", "conv2", 1.001)
    done = run("compare", str(folder), str(other), cwd=tmp_path, code=6)
    assert "layer 'conv2' is the first of 1 that differ" in done.stderr.splitlines()[-1]
    done = run("compare", str(folder), str(other), "--json", cwd=tmp_path, code=6)
    assert json.loads(done.stdout)["code"] == 6
    run("compare", str(folder), str(other), "--bound", "0.01", cwd=tmp_path)


def test_isolated_says_which_layer_is_wrong(folder: Path, tmp_path: Path) -> None:
    # positive factors go through ReLU, pooling and InnerProduct's weights, but not its biases
    other = changed(tmp_path / "other.h5", "conv2", 2.0, carried=True)
    rows = {row.layer: row for row in compare(open_side(folder), open_side(other), 1e-5).rows}
    assert rows["conv2"].isolated > 0.1
    assert rows["relu2"].error > 0.1
    assert rows["relu2"].isolated < 1e-6
    assert rows["pool2"].isolated < 1e-6


def test_activations_from_elsewhere(folder: Path, tmp_path: Path) -> None:
    dump = dumpfile.read(REFERENCE)
    arrays = {
        layer.name: layer.activations[0]
        for layer in dump.layers
        if layer.type in ("Convolution", "ReLU")
    }
    np.savez(tmp_path / "acts.npz", **arrays, **{"probe/data": dump.probe["data"]})  # type: ignore[arg-type]
    for words in (
        [str(folder), "acts.npz"],
        ["acts.npz", str(REFERENCE)],
        [str(folder), str(folder)],
    ):
        run("compare", *words, cwd=tmp_path)
    np.savez(tmp_path / "bare.npz", **arrays)  # type: ignore[arg-type]
    assert "probe/BLOB" in run("compare", str(folder), "bare.npz", cwd=tmp_path, code=2).stderr
    arrays["conv1"] = arrays["conv1"][:, :3]
    np.savez(tmp_path / "short.npz", **arrays)  # type: ignore[arg-type]
    assert "shapes" in run("compare", "short.npz", str(REFERENCE), cwd=tmp_path, code=6).stderr
    assert "no such file" in run("compare", "none", "bare.npz", cwd=tmp_path, code=3).stderr


def test_nan_on_one_side_differs(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.array([1.0, np.nan], np.float32))
    np.savez(tmp_path / "b.npz", x=np.array([1.0, 0.0], np.float32))
    assert "NaN" in run("compare", "a.npz", "b.npz", cwd=tmp_path, code=6).stderr
    run("compare", "a.npz", "a.npz", cwd=tmp_path)


def test_infinities_are_no_agreement(tmp_path: Path) -> None:
    for name, values in (("a", [np.inf, 1]), ("b", [np.inf, 100]), ("c", [-np.inf, 1])):
        np.savez(tmp_path / f"{name}.npz", x=np.array(values, np.float32))
    assert "error" in run("compare", "a.npz", "b.npz", cwd=tmp_path, code=6).stderr
    assert "infinite on one side" in run("compare", "a.npz", "c.npz", cwd=tmp_path, code=6).stderr
    run("compare", "a.npz", "a.npz", cwd=tmp_path)


def test_tops_have_their_number_from_their_name(tmp_path: Path) -> None:
    one, two = np.ones(3, np.float32), np.zeros(3, np.float32) + 2
    np.savez(tmp_path / "a.npz", **{"x": one, "x:1": two})
    np.savez(tmp_path / "b.npz", **{"x:1": two, "x": one})
    run("compare", "a.npz", "b.npz", cwd=tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"\x93NUMPY"])
def test_what_is_no_npz_is_bad_input(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    run("compare", "a.npz", "a.npz", cwd=tmp_path, code=3)


def test_odd_bounds_and_probes_are_refused(folder: Path, tmp_path: Path) -> None:
    run("compare", str(folder), str(REFERENCE), "--bound", "nan", cwd=tmp_path, code=2)
    np.savez(tmp_path / "p.npz", **{"conv1": np.ones(3), "probe/data": np.ones((1, 3, 8, 8))})
    done = run("compare", str(folder), "p.npz", cwd=tmp_path, code=2)
    assert "'data'" in done.stderr.splitlines()[-1]


def test_a_fixed_batch_is_not_compared_with_another(tmp_path: Path) -> None:
    from tests.commands.test_classify import fixed_batch
    from tests.commands.test_convert import write

    run("convert", *write(tmp_path, fixed_batch()), "--no-report", cwd=tmp_path)
    np.savez(tmp_path / "one.npz", **{"probe/data": np.ones((1, 1, 12, 12), np.float32)})
    done = run("compare", "artifacts/net", "one.npz", cwd=tmp_path, code=2)
    assert "cannot be compared" in done.stderr.splitlines()[-1]
