"""Progress of long work, on stderr: bars where a person looks, plain lines where nobody does."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

PICTURES = "pictures"
PAUSE = 10.0  # seconds between two lines


class Task(Protocol):
    """One piece of work under way."""

    def advance(self, amount: float = 1) -> None:
        """Say that `amount` more units (bytes, layers, pictures) are done."""

    def total(self, amount: float) -> None:
        """Say how many units there are, once that is known."""


class Progress:
    """Silent: the base for the two that speak, and what tests and libraries use."""

    @contextmanager
    def task(
        self, description: str, total: float | None = None, unit: str = "items"
    ) -> Iterator[Task]:
        """Open a task; `unit` is "bytes", "pictures" or what is counted."""
        yield _Silent()

    def note(self, text: str) -> None:
        """Say one line that a person should read."""


class _Silent:
    def advance(self, amount: float = 1) -> None:
        pass

    def total(self, amount: float) -> None:
        pass


SILENT = Progress()


class _Lines:
    """A line every PAUSE seconds: how many pictures, how fast, how long yet."""

    def __init__(self, total: float) -> None:
        self._total, self._done = total, 0.0
        self._begun = self._said = time.monotonic()

    def advance(self, amount: float = 1) -> None:
        self._done += amount
        now = time.monotonic()
        if now - self._said < PAUSE:
            return
        self._said = now
        speed = self._done / (now - self._begun)
        left = timedelta(seconds=round((self._total - self._done) / speed))
        text = f"{self._done:.0f} of {self._total:.0f}, {_speed(speed)}, {left} left"
        print(f"  {text}", file=sys.stderr, flush=True)

    def total(self, amount: float) -> None:
        self._total = amount


def _speed(speed: float | None) -> str:
    return f"{speed:.{0 if speed >= 10 else 1}f} pictures/s" if speed else ""


class LineProgress(Progress):
    """A line when a task begins, for pictures more in between: logs and pipes stay readable."""

    @contextmanager
    def task(
        self, description: str, total: float | None = None, unit: str = "items"
    ) -> Iterator[Task]:
        print(description, file=sys.stderr, flush=True)
        yield _Lines(total) if unit == PICTURES and total else _Silent()

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class RichProgress(Progress):
    """Bars on a terminal, gone when the task is done."""

    @contextmanager
    def task(
        self, description: str, total: float | None = None, unit: str = "items"
    ) -> Iterator[Task]:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            ProgressColumn,
            SpinnerColumn,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as Bars

        count: ProgressColumn = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
        with Bars(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            count,
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        ) as bars:
            bar = bars.add_task(description, total=total, speed="")

            class _Bar:
                def advance(self, amount: float = 1) -> None:
                    bars.advance(bar, amount)
                    if unit == PICTURES:
                        bars.update(bar, speed=_speed(bars.tasks[0].speed))

                def total(self, amount: float) -> None:
                    bars.update(bar, total=amount)

            yield _Bar()

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def for_terminal() -> Progress:
    """Bars if stderr is a terminal, lines otherwise."""
    return RichProgress() if sys.stderr.isatty() else LineProgress()
