"""Progress of long work, on stderr: bars where a person looks, plain lines where nobody does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


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
        """Open a task; `unit` is "bytes" or what is counted."""
        yield _Silent()

    def note(self, text: str) -> None:
        """Say one line that a person should read."""


class _Silent:
    def advance(self, amount: float = 1) -> None:
        pass

    def total(self, amount: float) -> None:
        pass


SILENT = Progress()


class LineProgress(Progress):
    """One line when a task begins: logs and pipes stay readable."""

    @contextmanager
    def task(
        self, description: str, total: float | None = None, unit: str = "items"
    ) -> Iterator[Task]:
        print(description, file=sys.stderr, flush=True)
        yield _Silent()

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
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        ) as bars:
            bar = bars.add_task(description, total=total)

            class _Bar:
                def advance(self, amount: float = 1) -> None:
                    bars.advance(bar, amount)

                def total(self, amount: float) -> None:
                    bars.update(bar, total=amount)

            yield _Bar()

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def for_terminal() -> Progress:
    """Bars if stderr is a terminal, lines otherwise."""
    return RichProgress() if sys.stderr.isatty() else LineProgress()
