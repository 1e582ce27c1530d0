"""The image is known by what went into it, and a build that fails says what to do."""

from __future__ import annotations

import ast
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from decant.engines.docker import image
from decant.loader.errors import EngineError
from decant.loader.progress import SILENT


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for place in ("docker", "dumper"):
        shutil.copytree(image.ROOT / place, tmp_path / place)
    monkeypatch.setattr(image, "ROOT", tmp_path)
    return tmp_path


def beside_caffe() -> set[str]:
    """Files of dumper/ that `python3 -m dumper` imports, one by the other."""
    folder = image.ROOT / "dumper"
    found, left = {"__init__.py"}, ["__main__.py"]
    while left:
        name = left.pop()
        found.add(name)
        for node in ast.walk(ast.parse((folder / name).read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                beside = [node.module] if node.module else [alias.name for alias in node.names]
                left += [f"{module}.py" for module in beside if f"{module}.py" not in found]
    return found


def test_the_image_has_what_runs_beside_caffe_and_nothing_else_of_the_dumper() -> None:
    given = {name.removeprefix("dumper/") for name in image.CONTEXTS["caffe"] if "dumper" in name}
    assert given == beside_caffe()
    assert all((image.ROOT / name).is_file() for name in image.CONTEXTS["caffe"])


@pytest.mark.parametrize("name", sorted(beside_caffe()))
def test_a_change_of_what_runs_beside_caffe_is_another_image(name: str, copied: Path) -> None:
    before = image._inputs_hash("caffe")
    source = copied / "dumper" / name
    source.write_text(source.read_text() + "# changed\n")
    assert image._inputs_hash("caffe") != before


def test_a_comment_in_a_file_that_the_container_never_runs_is_no_other_image(copied: Path) -> None:
    before = image._inputs_hash("caffe")
    others = {path.name for path in (copied / "dumper").glob("*.py")} - beside_caffe()
    assert {"dumpfile.py", "reading.py", "hdf5_guard.py"} <= others
    for name in others:
        source = copied / "dumper" / name
        source.write_text(source.read_text() + "# changed\n")
    (copied / "dumper" / "new.py").touch()
    assert image._inputs_hash("caffe") == before


def test_what_python_and_other_images_leave_is_no_change(copied: Path) -> None:
    before = image._inputs_hash("caffe")
    (copied / "dumper" / "__pycache__").mkdir(exist_ok=True)
    (copied / "dumper" / "__pycache__" / "net.cpython-311.pyc").write_bytes(b"x")
    (copied / "docker" / "torch.Dockerfile").write_text("changed")
    (copied / "README.md").write_text("changed")
    assert image._inputs_hash("caffe") == before


def test_the_context_holds_the_named_files_alone_and_no_times(copied: Path) -> None:
    (copied / "dumper" / "__pycache__").mkdir(exist_ok=True)
    (copied / "dumper" / "__pycache__" / "net.pyc").touch()
    with image._context("caffe") as buffer, tarfile.open(fileobj=buffer) as archive:
        members = archive.getmembers()
    names = [member.name for member in members]
    assert "docker/caffe.Dockerfile" in names
    assert "dumper/__main__.py" in names
    assert not [name for name in names if "pycache" in name or not name.startswith("d")]
    assert {(m.mtime, m.uid, m.uname) for m in members} == {(0, 0, "")}


class Engine:
    """An engine whose builds say what we choose."""

    def __init__(self, *events: dict[str, str], ids: tuple[str, ...] = ()) -> None:
        self.events, self.ids, self.asked = events, ids, {}  # type: ignore[var-annotated]
        self.api = SimpleNamespace(build=self._build)
        self.images = SimpleNamespace(list=self._list)

    def _build(self, **asked: Any) -> Iterator[dict[str, str]]:
        self.asked = asked
        return iter(self.events)

    def _list(self, filters: dict[str, str]) -> list[Any]:
        assert filters["label"].startswith(image.LABEL + "=")
        return [SimpleNamespace(id=found) for found in self.ids]


def build(engine: Engine, base: str | None = None) -> str:
    return image.build(engine, "caffe", base, SILENT)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def no_base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DECANT_BASE", raising=False)


PULL = ({"stream": "Step 1/9 : ARG BASE"}, {"stream": "Step 2/9 : FROM ${BASE}"})


def test_an_image_that_is_there_is_not_built_again() -> None:
    engine = Engine(ids=("sha256:1",))
    assert image.ensure(engine, "caffe", SILENT) == "sha256:1"  # type: ignore[arg-type]
    assert not engine.asked


def test_a_base_that_cannot_be_pulled_names_both_ways_out() -> None:
    with pytest.raises(EngineError) as caught:
        build(Engine(*PULL, {"error": "Get https://registry: no such host"}))
    assert caught.value.code == 8
    for words in ("make image BASE=", "--engine reader", "no such host"):
        assert words in caught.value.message
    assert "\n" not in caught.value.message


def test_a_later_step_that_fails_is_not_blamed_on_the_base() -> None:
    step = {"stream": "Step 3/9 : RUN apt-get update"}
    with pytest.raises(EngineError) as caught:
        build(Engine(*PULL, step, {"error": "returned a non-zero code: 100"}), "mine:1")
    assert "cannot be pulled" not in caught.value.message
    assert "make image BASE=mine:1" in caught.value.message
    assert any("apt-get update" in line for line in caught.value.details)


def test_a_build_without_an_image_is_an_error() -> None:
    with pytest.raises(EngineError, match="not on the engine"):
        build(Engine(*PULL))


def test_the_base_comes_from_the_argument_then_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DECANT_BASE", "from-environment:1")
    for argument, expected in ((None, "from-environment:1"), ("given:1", "given:1")):
        engine = Engine(ids=("sha256:1",))
        build(engine, argument)
        assert engine.asked["buildargs"] == {"BASE": expected}
    monkeypatch.delenv("DECANT_BASE")
    engine = Engine(ids=("sha256:1",))
    build(engine)
    assert engine.asked["buildargs"] == {}, "the Dockerfile's own pinned base"


def test_the_default_base_is_pinned_by_digest() -> None:
    text = (image.ROOT / "docker" / "caffe.Dockerfile").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("ARG BASE=")]
    digest = line.partition("@sha256:")[2]
    assert len(digest) == 64
    assert set(digest) <= set("0123456789abcdef")


def test_make_image_with_a_base_builds_on_that_base(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from decant.commands.image import command
    from decant.engines.docker import connection

    engine: Any = Engine(ids=("sha256:old",))
    engine.close = lambda: None
    engine.images.get = lambda _: SimpleNamespace(attrs={"Size": 1})
    monkeypatch.setattr(connection, "connect", lambda: engine)
    command(base="another:1", which="caffe", as_json=False)
    assert engine.asked["buildargs"] == {"BASE": "another:1"}
