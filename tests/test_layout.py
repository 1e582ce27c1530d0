"""tests/ mirrors the code file by file: who looks for the tests of a module finds them by its name."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("commands", "dumper", "engines", "loader", "stages")
# module -> why no file of its name tests it
EXCEPTED = {
    "dumper/content.py": "records alone, which test_reading and test_writing fill",
    "dumper/net.py": "runs beside real Caffe: tests/container/test_dump.py",
    "engines/engine.py": "a protocol: nothing in it runs",
}


def modules() -> list[Path]:
    """All of them, from the repository's root, but packages' own and entry points."""
    found = (path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    return sorted(path.relative_to(ROOT) for path in found if not path.stem.startswith("__"))


def test_every_module_has_a_test_file_of_its_name() -> None:
    lacking = {
        str(path)
        for path in modules()
        if not (ROOT / "tests" / path.parent / f"test_{path.stem}.py").is_file()
    }
    assert lacking == set(EXCEPTED)


def test_a_test_file_of_a_room_says_what_it_tests() -> None:
    """No file is empty: each has a test, and a docstring for whoever looks for one."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text("utf-8")
        assert text.startswith('"""') and "\ndef test_" in text, path
