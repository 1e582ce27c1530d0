"""Two sides compared in Python: which layer is wrong, and what parity explains."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from decant.dumper import dumpfile
from decant.loader.compare import compare, open_side
from tests.commands.test_cli import MODEL, run
from tests.helpers import encode_caffemodel as encode

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow


REFERENCE = MODEL / "reference.h5"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run("convert", "--engine", "reader", cwd=tmp_path)
    return tmp_path / "artifacts/lenet_digits"


def test_a_wrong_artifact_is_blamed_whichever_side_it_is(folder: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights["conv2.weight"] = weights["conv2.weight"] * np.float32(1.5)
    save_file(weights, folder / "model.safetensors")
    for pair in ((folder, REFERENCE), (REFERENCE, folder)):
        rows = {row.layer: row for row in compare(*map(open_side, pair), 1e-5).rows}
        assert rows["conv2"].isolated > 0.1 and rows["relu2"].isolated < 1e-6


TIE = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 } } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" inner_product_param { num_output: 3 bias_term: false } }
layer { name: "t" type: "Threshold" bottom: "fc" top: "t" threshold_param { threshold: 0.5 } }
layer { name: "p" type: "Power" bottom: "t" top: "p" power_param { scale: 3 } }
"""


def test_what_parity_passes_does_not_differ(tmp_path: Path) -> None:
    """A near tie turned by rounding: as `convert` and `validate` have it, whichever side it is."""
    (tmp_path / "net.prototxt").write_text(TIE)
    weight = np.eye(3, dtype=np.float32) / 4
    (tmp_path / "net.caffemodel").write_bytes(
        encode.net("current", [("fc", "InnerProduct", [weight])])
    )
    run("convert", "--engine", "reader", "--prototxt", "net.prototxt", "--caffemodel",
        "net.caffemodel", "--name", "tie", cwd=tmp_path)  # fmt: skip
    x = np.array([[2.0, 1.0, 4.0]], np.float32)
    fc = np.nextafter(x / 4, np.float32(9))
    above = (fc > 0.5).astype(np.float32)

    def dumped(name: str, last: np.ndarray) -> str:
        tops = {"data": x, "fc": fc, "t": above, "p": last}
        kinds = ("Input", "InnerProduct", "Threshold", "Power")
        layers = [
            dumpfile.Layer(blob, kind, [before] if before else [], [blob], activations=[top])
            for (blob, top), kind, before in zip(
                tops.items(), kinds, ("", "data", "fc", "t"), strict=True
            )
        ]
        header = dumpfile.Header("net", TIE, "", "caffe", "1.0", True, "")
        dumpfile.write(tmp_path / name, header, layers, {"data": x})
        return name

    right, wrong = dumped("right.h5", above * 3), dumped("wrong.h5", above * 4)
    tie = tmp_path / "artifacts/tie"
    for sides in ((tie, right), (right, tie)):
        found = compare(*(open_side(tmp_path / side) for side in sides), 1e-5)
        assert found.first is None
        assert [bool(row.explained) for row in found.rows[2:]] == [True, True]
    # whoever asks for less than parity does gets the plain number
    assert compare(open_side(tie), open_side(tmp_path / right), 1e-6).first
    found = compare(open_side(tmp_path / wrong), open_side(tie), 1e-5)
    assert [row.layer for row in found.wrong] == ["p"]
    assert "a near tie fell otherwise" in run("compare", str(tie), right, cwd=tmp_path).stdout
    run("compare", str(tie), wrong, cwd=tmp_path, code=6)
