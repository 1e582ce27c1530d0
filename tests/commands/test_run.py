"""How commands end, and what they print on a terminal."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from decant.commands.run import run as run_command
from tests.commands.test_cli import ROOT, run
from tests.commands.test_convert import FC, NET, write
from tests.helpers.nets import inputs_text, layer

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("out", ["file", "file/sub", "/proc/nowhere", "dangling"])
def test_a_place_that_cannot_be_written_is_one_line(out: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("somebody's")
    (tmp_path / "dangling").symlink_to("/nowhere/at/all")
    done = run("convert", "--engine", "reader", "--out", out, "--json", cwd=tmp_path, code=2)
    assert json.loads(done.stdout)["code"] == 2
    assert "another" in done.stderr.splitlines()[-1]
    assert (tmp_path / "file").read_text() == "somebody's"


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("somebody's")
    done = run("convert", "--engine", "reader", cwd=tmp_path, code=2, DECANT_CACHE="file")
    assert "DECANT_CACHE" in done.stderr.splitlines()[-1]


def test_a_fault_of_ours_is_a_traceback_and_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        raise ZeroDivisionError("by nothing")

    assert run_command(broken, as_json=True) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out)["code"] == 1
    assert "Traceback" in printed.err and "by nothing" in printed.err.splitlines()[-1]


def test_other_errors_of_the_system_are_faults(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        raise OSError("libcudart.so.12: cannot open shared object file")

    assert run_command(broken, as_json=False) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["list"], ["inspect", "lenet_digits", "--json"]])
def test_no_stdout_and_a_full_one_end_without_a_traceback(words: list[str], tmp_path: Path) -> None:
    command = shlex.join([sys.executable, str(ROOT / "pipeline.py"), *words])
    for place, codes in ((">&-", (0,)), (">/dev/full", (2,))):
        done = subprocess.run(
            f"{command} {place}",
            shell=True,
            cwd=tmp_path,
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode in codes, done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [["list"], ["inspect", "big.prototxt"]])
def test_a_pipe_that_is_closed_is_no_failure(words: list[str], tmp_path: Path) -> None:
    text, bottom = inputs_text({"data": (1, 3, 8, 8)}), "data"
    for number in range(3000):
        text += layer(f"r{number}", "ReLU", [bottom], [f"r{number}"])
        bottom = f"r{number}"
    (tmp_path / "big.prototxt").write_text(text)
    command = [sys.executable, str(ROOT / "pipeline.py"), *words]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


def test_the_artifacts_have_one_place_for_all_commands(tmp_path: Path) -> None:
    run("convert", "--engine", "reader", "--no-report", cwd=tmp_path, DECANT_ARTIFACTS="mine")
    assert (tmp_path / "mine/lenet_digits/model.py").exists()
    run("validate", "lenet_digits", cwd=tmp_path, DECANT_ARTIFACTS="mine")
    done = run("inspect", "lenet_digits", cwd=tmp_path, DECANT_ARTIFACTS="mine")
    assert "artifact" in done.stdout.splitlines()[0]


def test_a_net_with_weights_and_no_file_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    done = run("convert", "--prototxt", "net.prototxt", "--engine", "reader", cwd=tmp_path, code=3)
    assert "--caffemodel" in done.stderr.splitlines()[-1]


def test_a_net_that_caffe_cannot_run_is_not_sent_to_it(tmp_path: Path) -> None:
    fork = inputs_text({"data": (1, 3, 8, 8)}) + layer("six", "ReLU6", ["data"], ["data"]) + FC
    files = write(tmp_path, fork.replace('bottom: "conv"', 'bottom: "data"'))
    done = run("convert", *files, "--no-report", cwd=tmp_path)
    assert "stock Caffe 1.0 cannot run this net (line 2: layer 'six': type ReLU6" in done.stdout
    again = run("validate", "net", cwd=tmp_path)
    assert "stock Caffe 1.0 cannot run this net" in again.stdout


def test_an_odd_probe_is_named_without_numpys_advice(tmp_path: Path) -> None:
    np.save(tmp_path / "p.npz.npy", np.array([object()]), allow_pickle=True)
    (tmp_path / "p.npz.npy").rename(tmp_path / "p.npz")
    done = run("convert", *write(tmp_path), "--probe", "p.npz", cwd=tmp_path, code=3)
    assert "unsafely" not in done.stderr


def test_a_wrong_device_is_said_before_an_engine_is_asked(tmp_path: Path) -> None:
    words = ("convert", "lenet_digits", "--engine", "caffe", "--device", "gpu")
    done = run(*words, cwd=tmp_path, code=2, DOCKER_HOST="unix:///nowhere.sock")
    assert "--device 'gpu'" in done.stderr.splitlines()[-1]


def test_what_needs_pictures_says_so_where_there_are_none(tmp_path: Path) -> None:
    run("convert", *write(tmp_path), "--no-report", cwd=tmp_path)
    done = run("validate", "net", "--limit", "3", cwd=tmp_path)
    assert "--limit: see --data" in done.stderr


def test_a_net_of_several_inputs_is_no_classifier_to_validate(tmp_path: Path) -> None:
    both = inputs_text({"data": (1, 3, 8, 8), "more": (1, 3, 8, 8)})
    text = both + layer("sum", "Eltwise", ["data", "more"], ["sum"])
    text += layer("fc", "InnerProduct", ["sum"], ["fc"], "inner_product_param { num_output: 3 }")
    write(tmp_path, text)
    (tmp_path / "own.yaml").write_text(
        "models:\n  two:\n    module: generated\n    licence: none\n    citation: none\n"
        "    prototxt: {file: net.prototxt}\n    caffemodel: {file: net.caffemodel}\n"
        "    input: {blob: data, shape: [3, 8, 8]}\n"
        "    preprocessing: {channel_order: BGR, mean: [0.0, 0.0, 0.0], scale: 1.0, resize: [8, 8]}\n"
    )
    own = ("--catalog", "own.yaml")
    run("convert", "two", "--engine", "reader", "--no-report", *own, cwd=tmp_path)
    pictures = str(ROOT / "models/lenet_digits/validation")
    done = run("validate", "two", "--data", pictures, *own, cwd=tmp_path, code=2)
    assert "its inputs are data, more" in done.stderr.splitlines()[-1]
