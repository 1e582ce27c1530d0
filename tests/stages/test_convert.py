"""Both stages from Python: what comes back, and how often a net is worked out for it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import decant
from decant import Options, Source, errors
from decant.dumper import dumpfile
from decant.engines import gpu, torch_container
from decant.loader.artifact import loading
from decant.loader.definition import graph
from decant.loader.plan import writer
from decant.loader.weights import caffemodel
from tests.commands.test_cli import MODEL, ROOT
from tests.commands.test_convert import CONV, FC, NET, RELU, write
from tests.helpers.nets import inputs_text

BATCHED = inputs_text({"data": (10, 3, 8, 8)}) + CONV + RELU + FC


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DECANT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a text was parsed, a caffemodel indexed, and all rules of a net were applied."""
    count: Counter[str] = Counter()

    def counting(name: str, of: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **more: Any) -> Any:
            count[name] += 1
            return of(*args, **more)

        return wrapped

    monkeypatch.setattr(graph, "parse", counting("parsed", graph.parse))
    monkeypatch.setattr(caffemodel, "read", counting("indexed", caffemodel.read))
    of = writer.Writer
    monkeypatch.setattr(of, "__init__", counting("planned", of.__init__))
    return count


def pair(folder: Path, text: str) -> Source:
    write(folder, text)
    return Source(prototxt=folder / "net.prototxt", caffemodel=folder / "net.caffemodel")


# Asked: which blobs the net wants, what it makes of those at hand (with values: the plan; without:
# the axes), and whether another batch changes that (of ten pictures: whether one does, too).
@pytest.mark.parametrize(("text", "planned"), [(NET, 4), (BATCHED, 5)])
def test_one_conversion_works_a_net_out_once_for_each_question(
    text: str, planned: int, tmp_path: Path, counted: Counter[str]
) -> None:
    source = pair(tmp_path, text)
    counted.clear()
    made = decant.convert(source, Options(out=tmp_path / "out", engine="reader"))
    assert made.parity.status == "not measured"
    assert counted == {"parsed": 1, "indexed": 1, "planned": planned}


def test_the_report_of_a_conversion_reads_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The module and Caffe's dump are those that were compared; each text is parsed once."""
    dumps: list[Path] = []
    texts: list[str] = []
    sources: list[str] = []

    def noting(module: Any, name: str, where: list[Any]) -> None:
        of = getattr(module, name)

        def wrapped(first: Any, *more: Any, **others: Any) -> Any:
            where.append(first)
            return of(first, *more, **others)

        monkeypatch.setattr(module, name, wrapped)

    noting(dumpfile, "read", dumps)
    noting(graph, "parse", texts)
    noting(loading, "module_from_source", sources)
    made = decant.convert("lenet_digits", Options(out=tmp_path, engine="reader", report=True))
    assert made.parity.status == "passed"
    assert dumps == [MODEL / "reference.h5"]
    assert len(sources) == 1
    assert len(texts) == len(set(texts))


def test_convert_from_python_returns_the_artifact(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = decant.convert("lenet_digits", Options(out=tmp_path, engine="reader"))
    assert (made.folder, made.engine, made.tensors) == (tmp_path / "lenet_digits", "reader", 8)
    assert made.parity.status == "passed"
    model, transform = made.load()
    assert model(transform(torch.rand(2, 1, 16, 16))).shape == (2, 10)
    assert capsys.readouterr() == ("", "")


def test_dump_inspect_and_compare_from_python(tmp_path: Path) -> None:
    options = Options(out=tmp_path, engine="reader")
    assert decant.dump(pair(tmp_path, NET), tmp_path / "net.npz", options).layers == 5
    assert decant.inspect(tmp_path / "net.npz").parameters == 547
    made = decant.convert(options=options)
    found = decant.compare(made.folder, MODEL / "reference.h5")
    assert found.rows and found.first is None
    with pytest.raises(errors.UsageError, match="a folder that exists"):
        decant.dump("lenet_digits", tmp_path / "none" / "net.h5", options)


def test_what_the_readme_shows_runs_as_it_stands(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (shown,) = [block for block in blocks if "= convert(" in block]
    assert len([line for line in shown.splitlines() if line.strip()]) <= 5
    shutil.copy(MODEL / "deploy.prototxt", tmp_path)
    shutil.copy(MODEL / "lenet_digits.caffemodel", tmp_path / "net.caffemodel")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DOCKER_HOST": "unix:///nowhere.sock"}
    done = subprocess.run(
        [sys.executable, "-c", shown],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["artifacts/net", "not", "measured"]


def test_importing_decant_and_naming_options_imports_no_torch() -> None:
    code = (
        "import sys, decant; from decant import Options, Source, convert, dump, errors\n"
        "assert 'torch' not in sys.modules and 'docker' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_conversion_on_the_gpu_tells_the_same_as_one_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The container's part is played by this process."""
    from decant.commands.convert import command

    def here(dump: Path, model: str | None, name: str, out: Path, *_: Any, **__: Any) -> float:
        from decant.stages.load import load

        return load(dump, Options(out=out), model=model, name=name).seconds["write"]

    monkeypatch.setattr(gpu, "require", lambda: None)
    monkeypatch.setattr(torch_container, "load_in_container", here)
    told = []
    for on_gpu in (False, True):
        options = Options(out=tmp_path, engine="reader", gpu=on_gpu)
        command(source=Source("lenet_digits"), options=options, as_json=True)
        told.append(json.loads(capsys.readouterr().out))
        assert told[-1]["seconds"].keys() == {"map", "parity", "write"}
        del told[-1]["seconds"]
    assert told[0] == told[1]
