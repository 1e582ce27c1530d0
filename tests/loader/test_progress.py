"""What is said of long work."""

from __future__ import annotations

import time

import pytest

from decant.loader import progress


def test_lines_say_speed_and_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with progress.LineProgress().task("pictures", 1000, "pictures") as task:
        for _ in range(4):
            now[0] += 6
            task.advance(120)
    assert capsys.readouterr().err.splitlines() == [
        "pictures",
        "  240 of 1000, 20 pictures/s, 0:00:38 left",
        "  480 of 1000, 20 pictures/s, 0:00:26 left",
    ]
