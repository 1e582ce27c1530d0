"""An entry as text: every value comes back, and a catalog is never spoilt."""

from __future__ import annotations

from pathlib import Path

import pytest

from decant.loader.catalog import entry
from decant.loader.catalog.models import load_catalog
from decant.loader.errors import CatalogError, UsageError

# comments, odd spaces and another indent are the owner's
OLD = "# ours\nmodels:   # all of them\n\n    lenet: {module: generated, prototxt: {file: a}, caffemodel: {file: b}, licence: x, citation: 'y'}\n    # the end"


ENTRY = {
    "module": "generated",
    "prototxt": {"file": "a b.prototxt", "sha256": "ab" * 32},
    "caffemodel": {"urls": ["https://example.org/" + "x" * 80, "file:true"], "size": 3},
    "input": {"blob": "null", "shape": [3, 8, 8]},
    "preprocessing": {"channel_order": "BGR", "mean": [1e-5, -2.5e-9, 3.0], "resize": [8, 8]},
    "ignored_layers": ["loss1/*", "true", "- a", "\u2028", "12e4"],
    "licence": "line\nline: 'x' # \u00e9 \U0001f600",
    "citation": "~",
}


def test_every_text_and_number_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    text = entry.append(path, "mine", ENTRY)
    assert path.read_text() == "models:\n\n" + text
    found = load_catalog(path).model("mine").model_dump(mode="json", exclude_unset=True)
    assert found == {"name": "mine", **ENTRY}


@pytest.mark.parametrize(
    "old",
    [
        "models: {}\n",
        '{"models": {}}',
        OLD.replace("    # the end", "...\n"),
        OLD + "\n---\nx: y",
        "models:\n  a: {}\n",
        "models: 3\n",
        "\xff",
        "",
    ],
    ids=["empty", "braces", "ended", "two", "wrong entry", "number", "no text", "nothing"],
)
def test_a_catalog_that_cannot_be_gone_on_with_is_left_alone(tmp_path: Path, old: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(old, "latin-1")
    with pytest.raises(CatalogError):
        entry.append(path, "mine", ENTRY)
    assert path.read_text("latin-1") == old
    assert [found.name for found in tmp_path.iterdir()] == ["c.yaml"]


def test_a_text_that_ends_the_file_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    old = "models:\n  a:\n    module: generated\n    prototxt: {file: a}\n    caffemodel: {file: b}\n    licence: x\n    citation: |+\n      y\n"
    path.write_text(old)
    with pytest.raises(CatalogError, match="would change others"):
        entry.append(path, "mine", ENTRY)
    assert path.read_text() == old


def test_one_name_is_not_added_twice(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    entry.append(path, "mine", ENTRY)
    with pytest.raises(UsageError, match="already"):
        entry.append(path, "mine", ENTRY)
