"""What the linter of the arrows (`make lint`, pyproject.toml) cannot see: outside packages, and start-up."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PREFIX = "decant."
WITHOUT_TORCH = [
    "",
    "pipeline",
    "commands.convert",
    "commands.dump",
    "stages.convert",
    "stages.dump",
    "stages.inspect",
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
    """The Python files of a folder; `decant` holds links to all of them."""
    found = [ROOT / place] if place != "decant" else [*(ROOT / "decant").iterdir()]
    files = [file for each in found for file in (each.rglob("*.py") if each.is_dir() else [each])]
    return sorted(file for file in files if file.suffix == ".py")


def test_caffe_is_imported_in_one_file_only() -> None:
    users = [
        str(path.relative_to(ROOT / "decant"))
        for path in sources("decant")
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


@pytest.mark.slow
@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_importing_does_not_import_torch(name: str) -> None:
    code = f"import {PREFIX}{name}".rstrip(".") + ", sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
