"""Every error a user can meet: one class and one exit code each.

A message is one line that names the file, the layer and the next step; `details` holds the rest,
one discrepancy a line. 1 is an error of ours (a traceback), 130 is Ctrl-C, 143 is SIGTERM.
"""

from __future__ import annotations

from collections.abc import Iterable


def printable(text: str) -> str:
    """The text with control characters written out: names in a file must not steer a terminal."""
    return "".join(
        letter if letter.isprintable() or letter == "\n" else repr(letter)[1:-1] for letter in text
    )


class DecantError(Exception):
    """Base of all expected errors; `main` prints them without a traceback and exits with `code`."""

    code = 1

    def __init__(self, message: str, details: Iterable[str] = ()) -> None:
        self.message = printable(message)
        self.details = [printable(line) for line in details]
        super().__init__(self.message)

    def __str__(self) -> str:
        return "\n".join([self.message, *(f"  {line}" for line in self.details)])


class UsageError(DecantError):
    """The command line asks for something that does not go together."""

    code = 2


class CatalogError(UsageError):
    """models.yaml is not what it must be; the message reads as a path to the key."""


class NoClassifier(UsageError):
    """A net is asked for the classes of a picture and has none."""


class BadInput(DecantError):
    """A prototxt, caffemodel, dump or probe that is not what it claims to be."""

    code = 3


class Unsupported(DecantError):
    """A layer type or a parameter that cannot be converted exactly."""

    code = 4


class MappingError(DecantError):
    """The dump does not fit the module."""

    code = 5


class ParityError(DecantError):
    """PyTorch does not compute what Caffe computed."""

    code = 6


class IntegrityError(DecantError):
    """A file differs from its hash, or a dump from its caffemodel."""

    code = 6


class FetchError(DecantError):
    """A file could not be downloaded, or is not the one that was asked for."""

    code = 7


class EngineError(DecantError):
    """The Docker engine, the image or the container failed."""

    code = 8


class GpuError(DecantError):
    """A GPU was asked for and is not there."""

    code = 9


class ArtifactMissing(DecantError):
    """The artifact is absent; the message is the command that makes it."""

    code = 10
