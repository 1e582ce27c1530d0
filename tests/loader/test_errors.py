"""Errors: their exit codes, one line, and nothing in it that steers a terminal."""

from __future__ import annotations

import pytest

from decant.loader import errors

# as README and docs/troubleshooting.md promise them
CODES = {
    "UsageError": 2, "CatalogError": 2, "NoClassifier": 2, "BadInput": 3, "Unsupported": 4,
    "MappingError": 5, "ParityError": 6, "IntegrityError": 6, "FetchError": 7, "EngineError": 8,
    "GpuError": 9, "ArtifactMissing": 10,
}  # fmt: skip


def test_every_error_has_its_code_and_there_are_no_others() -> None:
    found = {
        name: of.code
        for name, of in vars(errors).items()
        if isinstance(of, type)
        and issubclass(of, errors.DecantError)
        and of is not errors.DecantError
    }
    assert found == CODES


@pytest.mark.parametrize(
    ("text", "said"),
    [("a\x1b[2Jb", r"a\x1b[2Jb"), ("a\rb", r"a\rb"), ("é ✓\nz", "é ✓\nz"), ("\u202eb", r"\u202eb")],
)
def test_control_characters_are_written_out(text: str, said: str) -> None:
    assert errors.printable(text) == said
    error = errors.BadInput(text, [text])
    assert error.message == said and str(error) == f"{said}\n  {said}"
