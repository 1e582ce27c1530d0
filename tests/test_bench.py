"""The count of definitions that plan: what is counted, under which reason, and that nothing is swallowed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import definitions
from bench.definitions import BAD, CRASHED, PLANNED, REFUSED, TOLD, judge, main, reason
from tests.helpers.nets import inputs_text, layer

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow

CONV = layer(
    "conv", "Convolution", ["data"], ["conv"], "convolution_param { num_output: 4 kernel_size: 3 }"
)
INPUT = inputs_text({"data": (1, 3, 8, 8)})
PYTHON = "python_param { module: 'rpn.warp' layer: 'WarpLayer' }"
WORDS = {
    "plain": (INPUT + CONV, PLANNED, ()),
    "training": (
        'layer { name: "d" type: "MemoryData" top: "data" top: "label"'
        " memory_data_param { batch_size: 2 channels: 3 height: 8 width: 8 } }"
        + CONV
        + layer("loss", "SoftmaxWithLoss", ["conv", "label"], ["loss"]),
        PLANNED,
        (),
    ),
    "no_shape": ('input: "data"\n' + CONV, TOLD, ()),
    "stage": (
        INPUT.replace("input_param", 'include { stage: "deploy" } input_param') + CONV,
        TOLD,
        (),
    ),
    "phase": (
        INPUT.replace("input_param", "include { phase: TRAIN } input_param") + CONV,
        TOLD,
        (),
    ),
    "no_shape_and_a_type": (
        'layer { name: "d" type: "Data" top: "data" top: "label" }'
        + CONV
        + layer("warp", "Warp", ["conv"], ["out"]),
        REFUSED,
        ("type Warp",),
    ),
    "type_and_field": (
        INPUT
        + layer("warp", "Warp", ["data"], ["a"])
        + layer("other", "Warp", ["data"], ["c"])
        + layer("relu", "ReLU", ["data"], ["b"], "relu_param { novel: 1 }"),
        REFUSED,
        ("type Warp", "field relu_param.novel of ReLU"),
    ),
    "python": (
        INPUT + layer("warp", "Python", ["data"], ["a"], PYTHON),
        REFUSED,
        ("type Python (WarpLayer)",),
    ),
    "not_connected": (
        INPUT + layer("relu", "ReLU", ["nothing"], ["a"]),
        BAD,
        ("layer '...' reads '...', which no layer makes",),
    ),
}


@pytest.mark.parametrize("name", list(WORDS))
def test_each_definition_has_its_word_and_its_reasons(name: str, tmp_path: Path) -> None:
    text, word, reasons = WORDS[name]
    path = tmp_path / "net.prototxt"
    path.write_text(text)
    assert judge(path) == definitions.Outcome(word, reasons)


def test_texts_that_do_not_parse_are_counted_not_raised(tmp_path: Path) -> None:
    for number, data in enumerate((b"layer { name: ", b"layer {\0}", b"layer { \xff: 1 }")):
        path = tmp_path / f"{number}.prototxt"
        path.write_bytes(data)
        found = judge(path)
        assert (found.word, len(found.reasons)) == (BAD, 1)
        assert str(tmp_path) not in found.reasons[0]


def test_a_crash_of_ours_is_counted_and_fails_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def crashing(*_: object) -> None:
        raise KeyError("conv")

    (tmp_path / "net.prototxt").write_text(INPUT + CONV)
    monkeypatch.setattr(definitions, "plan", crashing)
    assert main([str(tmp_path), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found[CRASHED] == 1
    (why,) = found["reasons"]
    assert why.startswith("KeyError in ")


def test_a_definition_that_takes_too_long_is_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(*_: object) -> None:
        while True:
            pass

    (tmp_path / "net.prototxt").write_text(INPUT + CONV)
    monkeypatch.setattr(definitions, "SECONDS", 1)
    monkeypatch.setattr(definitions, "plan", endless)
    found = judge(tmp_path / "net.prototxt")
    assert found.word == CRASHED
    assert "TimeoutError" in found.reasons[0]


def test_solvers_and_copies_do_not_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "net.prototxt").write_text(INPUT + CONV)
    (tmp_path / "deep" / "copy.prototxt.txt").write_text(INPUT + CONV)
    (tmp_path / "solver.prototxt").write_text("# of layer { } kind\nbase_lr: 0.01\n")
    (tmp_path / "warp.prototxt").write_text(INPUT + layer("w", "Warp", ["data"], ["a"]))
    assert main([str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["definitions"], found[PLANNED], found[REFUSED]) == (2, 1, 1)
    assert found["reasons"] == {"type Warp": [1, 1]}
    assert main([str(tmp_path), "--each"]) == 0
    assert "warp.prototxt\trefused\ttype Warp\n" in capsys.readouterr().out


def test_reasons_of_one_kind_are_one() -> None:
    lines = (
        "line 7: layer 'a b (c)' (Slice): 3 tops of 7 channels; give slice_point",
        "line 12: layer 'x' (Slice): 2 tops of 15 channels; give slice_point",
    )
    assert {reason(line) for line in lines} == {"Slice: N tops of N channels"}
    assert reason("layer 'c': V1 type CONVOLUTION3D is unknown to Caffe") == (
        "type CONVOLUTION3D (V0 or V1)"
    )
