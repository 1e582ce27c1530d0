"""Probes in real Caffe: nets whose inputs are not pictures run, and their parity is one of something."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decant.dumper import dumpfile
from tests.commands.test_cli import run
from tests.commands.test_convert import write
from tests.helpers.nets import Shape, inputs_text, layer
from tests.loader.plan.test_probe import EMBED, LSTM_4D, MOVES, RECURRENT


def converted(folder: Path, text: str, *words: str) -> tuple[dict[str, Any], dumpfile.Dump, str]:
    """(parity, the dump that it was measured on, what was said) of a net with random weights."""
    words = (*write(folder, text)[:4], "--engine", "caffe", "--no-report", "--json", *words)
    done = run("convert", *words, cwd=folder)
    build = json.loads((folder / "artifacts/net/build.json").read_text())
    parity = json.loads(done.stdout)["parity"]
    assert parity["status"] == "passed"
    return parity, dumpfile.read(Path(build["dump"])), done.stderr


def tops(dump: dumpfile.Dump) -> dict[str, np.ndarray]:
    return {item.name: item.activations[0] for item in dump.layers if item.activations}


@pytest.mark.parametrize("how", LSTM_4D)
def test_time_keeps_its_length(how: str, image: str, tmp_path: Path) -> None:
    shapes, text, bottom = LSTM_4D[how]
    cont = "k" if how == "clips" else "cont"
    kind = "RNN" if how == "three" else "LSTM"
    text = inputs_text(shapes) + text + layer("l", kind, [bottom, cont], ["l"], RECURRENT)
    _, dump, said = converted(tmp_path, text)
    assert {name: array.shape for name, array in dump.probe.items()} == shapes
    assert len(tops(dump)["l"]) == {"itself": 3, "three": 5, "frames": 6, "clips": 3}[how]
    assert "continuation markers" in said
    manifest = json.loads((tmp_path / "artifacts/net/manifest.json").read_text())
    assert manifest["inputs"][0]["shape"] == list(shapes["data"])
    # the other engine, which runs nothing, makes the same
    files = ["--prototxt", "net.prototxt", "--caffemodel", "net.caffemodel"]
    run("convert", *files, "--engine", "reader", "--no-report", "--out", "other", cwd=tmp_path)
    one, other = (tmp_path / out / "net/SHA256SUMS" for out in ("artifacts", "other"))
    assert one.read_text() == other.read_text()


@pytest.mark.parametrize("axes", [(4,), (2, 2, 1)])
def test_another_number_of_time_steps_than_the_definition_has(
    axes: Shape, image: str, tmp_path: Path
) -> None:
    """Caffe takes no other once it has built the net: it is given a definition that says so."""
    text = inputs_text({"x": (1, 2, *axes), "go_on": (1, 2)})
    text += layer("l", "LSTM", ["x", "go_on"], ["l"], RECURRENT)
    _, dump, said = converted(tmp_path, text)
    assert "layer 'l' takes one time step" in said
    longer = ["--input", f"x=5,2,{','.join(map(str, axes))}", "--input", "go_on=5,2"]
    _, dump, said = converted(tmp_path, text, *longer)
    assert tops(dump)["l"].shape == (5, 2, 3)
    assert "takes one time step" not in said
    assert dump.prototxt == text and "dim: 5" in dump.prototxt_run
    np.savez(tmp_path / "p.npz", x=np.ones((4, 1, *axes)), go_on=np.ones((4, 1)))
    _, dump, said = converted(tmp_path, text, "--probe", "p.npz")
    assert tops(dump)["l"].shape == (4, 1, 3)
    assert "probe: p.npz" in said


@pytest.mark.parametrize("move", ["reshape", "slice", "power"])
def test_an_embedding_looks_up_rows_that_are_there(move: str, image: str, tmp_path: Path) -> None:
    """Caffe does not check an index: it would read what lies behind the weights."""
    _, dump, _ = converted(tmp_path, inputs_text({"words": (6, 2)}) + MOVES[move] + EMBED)
    (embed,) = [item for item in dump.layers if item.name == "embed"]
    index = tops(dump)["m"].astype(int)
    weight, bias = embed.params
    assert np.array_equal(embed.activations[0], weight[index] + bias)


def test_rows_are_kept_and_dropped_and_picked(image: str, tmp_path: Path) -> None:
    text = inputs_text({"data": (4, 3, 6, 6), "keep": (4,), "which": (5,)})
    text += layer("c", "Convolution", ["data"], ["c"], "convolution_param { num_output: 2 kernel_size: 3 }")  # fmt: skip
    text += layer("f", "Filter", ["c", "keep"], ["f"]) + layer("r", "ReLU", ["f"], ["f2"])
    text += layer("b", "BatchReindex", ["c", "which"], ["b"])
    parity, dump, _ = converted(tmp_path, text)
    found = tops(dump)
    assert 0 < len(found["f"]) < 4
    assert not np.array_equal(found["b"][:4], found["c"])
    assert {top["layer"] for top in parity["layers"] if top["verdict"] == "passed"} >= set("frb")


def chosen_by_the_net(threshold: float) -> str:
    text = inputs_text({"data": (3, 2)})
    text += layer("s", "Slice", ["data"], ["x", "y"], "slice_param { axis: 1 }")
    text += layer("t", "Threshold", ["x"], ["t"], f"threshold_param {{ threshold: {threshold} }}")
    text += layer("f", "Filter", ["data", "t"], ["f"]) + layer("r", "ReLU", ["f"], ["f2"])
    fc = layer("fc", "InnerProduct", ["y"], ["fc"], "inner_product_param { num_output: 2 }")
    return text + fc


def test_a_selector_of_the_nets_own_gets_another_probe(image: str, tmp_path: Path) -> None:
    from decant.loader.definition.graph import net_from_text
    from decant.loader.plan.probe import make_probe

    net = net_from_text(chosen_by_the_net(0), "net")
    largest = [make_probe(net, seed=seed)["data"][:, 0].max() for seed in range(2)]
    # the first probe's rows all fail, and those of a later one do not
    _, dump, said = converted(tmp_path, chosen_by_the_net(float(largest[0]) + 0.01))
    assert len(tops(dump)["f"]) > 0
    assert "seed 1" in said and "no values" not in said


def test_where_no_probe_helps_it_is_said(image: str, tmp_path: Path) -> None:
    _, dump, said = converted(tmp_path, chosen_by_the_net(1000))
    assert not tops(dump)["f"].size
    assert "note: layer 'f' and 1 more gave no values with this probe" in said
    assert "--probe FILE.npz" in said
    # threshold gives zeros alone
    assert "layer 't' gave nothing but zeros" in said


def test_what_caffe_aborts_on_names_the_probe(image: str, tmp_path: Path) -> None:
    """An index that the net works out itself is beyond what a probe can promise."""
    text = inputs_text({"data": (2, 3)})
    text += layer("t", "Power", ["data"], ["far"], "power_param { power: 2 shift: 100 }")
    text += layer("s", "Reduction", ["far"], ["which"], "reduction_param { axis: 1 }")
    text += layer("b", "BatchReindex", ["data", "which"], ["b"])
    (tmp_path / "net.prototxt").write_text(text)
    done = run("convert", "--prototxt", "net.prototxt", "--engine", "caffe", cwd=tmp_path, code=3)
    assert "aborted" in done.stderr and "--probe FILE.npz" in done.stderr.splitlines()[-1]
