"""The pages of docs/ say what the program says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import typer

from decant.dumper import dumpfile
from decant.pipeline import app

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
GROUP: Any = typer.main.get_command(app)


def test_the_page_of_commands_is_their_help() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs/document_commands.py"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == (ROOT / "docs/commands.md").read_text()


@pytest.mark.parametrize("name", sorted(GROUP.commands))
def test_every_command_has_help_with_an_example_that_parses(name: str) -> None:
    command = GROUP.commands[name]
    example = " ".join(command.help.partition("Example: ")[2].split())
    words = shlex.split(example)
    assert words[:2] == ["decant", name], f"{name} --help has no example"
    with GROUP.make_context("decant", words[1:]) as context:
        command.make_context(name, list(words[2:]), parent=context)
    assert f"\n## {name}\n" in (ROOT / "docs/commands.md").read_text()
    for item in command.params:
        assert getattr(item, "help", None), f"{name}: {item.name} has no help"


def test_every_variable_is_in_the_table_of_the_commands() -> None:
    folders = ("commands", "dumper", "engines", "loader", "stages", "tests")
    sources = [path.read_text() for place in folders for path in (ROOT / place).rglob("*.py")]
    used = set(re.findall(r"(?<!_)DECANT_[A-Z]+(?:_[A-Z]+)*", "\n".join(sources)))
    page = (ROOT / "docs/commands.md").read_text()
    assert used == set(re.findall(r"^\| `(DECANT_[A-Z_]+)` \|", page, re.MULTILINE))


def test_links_between_pages_lead_somewhere() -> None:
    wrong = []
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                wrong.append(f"{page.name}: {target}")
    assert not wrong


def test_every_exit_code_has_its_cure() -> None:
    text = (ROOT / "docs/troubleshooting.md").read_text()
    headings = " ".join(line for line in text.splitlines() if line.startswith("## "))
    from decant.loader import errors

    codes = {
        of.code for of in vars(errors).values()
        if isinstance(of, type) and issubclass(of, errors.DecantError) and of.code != 1
    }  # fmt: skip
    for code in sorted(codes):
        assert re.search(rf"\b{code}\b", headings), f"exit code {code} is not explained"


def test_what_troubleshooting_quotes_is_what_the_program_says() -> None:
    sources = [path.read_text() for place in ("loader", "commands", "stages", "engines", "dumper")
               for path in (ROOT / place).rglob("*.py")]  # fmt: skip
    said = re.sub(r'"\s*\n\s*f?"', "", "\n".join(sources))
    rows = [line.split("|")[1] for line in (ROOT / "docs/troubleshooting.md").read_text().splitlines()
            if line.startswith("| ")]  # fmt: skip
    quoted = [part.strip() for row in rows for quote in re.findall("`([^`]+)`", row)
              for part in quote.split("...") if part.strip()]  # fmt: skip
    assert len(quoted) > 15
    assert [part for part in quoted if part not in said] == []


def test_the_bench_tells_its_usage_and_measures_nothing() -> None:
    def bench(word: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bench", word],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    told = bench("--help")
    assert told.returncode == 0 and told.stdout.startswith("usage: python -m bench")
    for name in re.findall(r"python -m bench (\w+)", (ROOT / "docs/performance.md").read_text()):
        assert name in told.stdout
    wrong = bench("nothing")
    assert wrong.returncode == 2 and "'nothing' is not one of" in wrong.stderr


class PyCaffe:
    """As much of pycaffe as the page on the dump uses, with what real Caffe left in each blob."""

    TEST = 1

    def __init__(self) -> None:
        dump = dumpfile.read(ROOT / "models/lenet_digits/reference.h5")
        self.top_names = {layer.name: layer.tops for layer in dump.layers}
        self.blobs = {
            top: SimpleNamespace(data=np.array(array))
            for layer in dump.layers
            for top, array in zip(layer.tops, layer.activations, strict=True)
        }
        self.inputs = list(dump.probe)
        self.probe = dump.probe

    def Net(self, prototxt: str, caffemodel: str, phase: int) -> PyCaffe:
        return self

    def forward(self) -> None:
        for blob, array in self.probe.items():
            assert self.blobs[blob].data.shape == array.shape
            self.blobs[blob].data[...] = array


def test_the_npz_of_the_page_on_the_dump_is_what_compare_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (example,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs/dump-format.md").read_text(), re.DOTALL
    )
    monkeypatch.setitem(sys.modules, "caffe", PyCaffe())  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path)
    exec(example, {})
    done = subprocess.run(
        [sys.executable, ROOT / "pipeline.py", "compare", "caffe.npz",
         ROOT / "models/lenet_digits/reference.h5"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "only on one side: conv1, conv2, ip1" in done.stdout
    assert "8 tops agree" in done.stdout
