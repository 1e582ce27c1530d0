"""The shape of the project, held: which package may import which, and what may lie where."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PREFIX = "decant."
READ = {"dumper.dumpfile", "dumper.hdf5_guard"}
MAY_IMPORT = {
    "pipeline.py": {"commands", "loader", "__version__"},
    "commands": {"commands", "engines", "loader", *READ},
    "engines": {"engines", "loader", *READ},
    "loader": {"loader", "alias", *READ},
    "dumper": {"dumper"},
}
# each room of loader/ sees those behind it
ROOMS = (
    "report", "compare", "listing", "artifact", "parity", "pictures", "source", "plan", "layers",
    "catalog", "definition", "weights", "zoo", "ops", "progress", "machine", "errors",
)  # fmt: skip
WITHOUT_TORCH = [
    "",
    "pipeline",
    "commands.convert",
    "commands.dump",
    "engines.caffe",
    "engines.reader",
    "loader",
    "loader.artifact.bundle",
    "loader.catalog.fetch",
    "loader.catalog.models",
    "loader.definition.graph",
    "loader.plan.probe",
    "loader.source.mapping",
]


def imported(path: Path) -> set[str]:
    """Modules by their whole name; what is beside a file as `decant.folder.name`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            beside = f"{PREFIX}{path.parent.name}." if node.level else ""
            module = (beside + (node.module or "")).rstrip(".")
            names |= {f"{module}.{alias.name}" for alias in node.names} | {module}
    return names


def sources(place: str) -> list[Path]:
    path = ROOT / place
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


@pytest.mark.parametrize("place", MAY_IMPORT)
def test_imports_point_one_way(place: str) -> None:
    allowed = MAY_IMPORT[place]
    wrong = []
    for path in sources(place):
        for name in imported(path):
            if not name.startswith(PREFIX):
                continue
            name = name.removeprefix(PREFIX)
            if not any(
                name == ok
                or name.startswith(ok + ".")
                or ok.startswith(name + ".")
                or name == ok.split(".")[0]
                for ok in allowed
            ):
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong


def test_rooms_see_what_is_behind_them() -> None:
    wrong = []
    for path in sources("loader"):
        room = path.relative_to(ROOT / "loader").parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        for name in imported(path):
            seen = name.removeprefix(f"{PREFIX}loader.").split(".")[0]
            if seen in ROOMS and ROOMS.index(seen) < ROOMS.index(room):
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong


def test_caffe_is_imported_in_one_file_only() -> None:
    users = [
        str(path.relative_to(ROOT))
        for place in MAY_IMPORT
        for path in sources(place)
        if any(name.split(".")[0] == "caffe" for name in imported(path))
    ]
    assert users == ["dumper/net.py"]


def test_the_dumper_needs_the_standard_library_numpy_and_h5py_only() -> None:
    allowed = set(sys.stdlib_module_names) | {"numpy", "h5py", "caffe", "google", "decant"}
    wrong = {
        (path.name, name)
        for path in sources("dumper")
        for name in imported(path)
        if name.split(".")[0] not in allowed
    }
    assert not wrong


def test_the_dumper_parses_as_python_39() -> None:
    for path in sources("dumper"):
        ast.parse(path.read_text(), feature_version=(3, 9))


def test_docker_holds_no_python_and_cannot_shadow_the_sdk() -> None:
    assert not list((ROOT / "docker").rglob("*.py"))


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_importing_does_not_import_torch(name: str) -> None:
    code = f"import {PREFIX}{name}".rstrip(".") + ", sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
