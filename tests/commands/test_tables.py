"""What is printed on a terminal: tables, sizes, numbers."""

from __future__ import annotations

import sys

import pytest

from decant.commands.tables import show, size_text

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow


COLUMNS = ("name", "number", "licence")


ROWS = [("a_model[/of]twenty_two", "1.0e-07", "weights and definition as the project " * 3)]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_nothing_is_cut_off_on_a_terminal(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    show("models [v2]", COLUMNS, ROWS)
    printed = capsys.readouterr().out
    assert "…" not in printed and "..." not in printed
    assert ROWS[0][0] in printed and ROWS[0][1] in printed
    assert printed.count("weights") == 3
    assert "models [v2]" in printed


def test_sizes_for_people() -> None:
    found = [size_text(count) for count in (0, 8, 1024, 1536 << 10, 3 << 30, 5 << 40)]
    assert found == ["", "8 B", "1.0 KiB", "1.5 MiB", "3.0 GiB", "5.0 TiB"]
