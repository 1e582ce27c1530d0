"""Where a model's files come from, as the entry says it; and what is refused before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from decant.loader.catalog.models import load_catalog
from decant.loader.errors import BadInput, UsageError
from decant.stages.add import NOT_STATED, Described, add, source_of
from decant.stages.options import Options
from tests.helpers.converting import conv, input_layer, random, write_pair


def test_a_file_below_the_catalog_is_named_from_there(tmp_path: Path) -> None:
    inside, outside = tmp_path / "sub/a b.caffemodel", tmp_path / "elsewhere"
    inside.parent.mkdir()
    inside.touch()
    outside.touch()
    assert source_of([str(inside)], "caffemodel", tmp_path).file == "sub/a b.caffemodel"
    assert source_of([str(outside)], "caffemodel", tmp_path / "sub").file == str(outside)
    url = "https://example.org/x.caffemodel"
    found = source_of([url, str(inside)], "caffemodel", tmp_path)
    assert found.urls == (url, "file:sub/a%20b.caffemodel")
    with pytest.raises(BadInput, match="no such file; give the caffemodel"):
        source_of([str(tmp_path / "none")], "caffemodel", None)
    with pytest.raises(UsageError, match="neither files nor addresses"):
        source_of(["ftp://example.org/x", url], "caffemodel", None)


def test_an_entry_says_what_was_not_stated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DECANT_CACHE", str(tmp_path / "cache"))
    text = input_layer("data", 1, 3, 8, 8) + conv("c", "data", "c")
    write_pair(tmp_path, text, [("c", "Convolution", [random(4, 3, 3, 3), random(4)])])
    files = [str(tmp_path / "net.prototxt")], [str(tmp_path / "net.caffemodel")]
    catalog = tmp_path / "models.yaml"
    made = add("mine", Described(*files, citation="me"), Options(catalog=catalog))
    entry = load_catalog(catalog).model("mine")
    assert (entry.licence, entry.citation) == (NOT_STATED, "me")
    assert any(note.startswith("licence not stated") for note in made.notes)
    assert entry.input is not None and entry.input.shape == (3, 8, 8)
    assert made.text in catalog.read_text()
    before = catalog.read_bytes()
    with pytest.raises(UsageError, match="already"):
        add("mine", Described(*files), Options(catalog=catalog))
    with pytest.raises(UsageError, match="one of generated"):
        add("other", Described(*files, module="resnet"), Options(catalog=catalog))
    assert catalog.read_bytes() == before


@pytest.mark.parametrize("what", ["prototxt", "caffemodel", "labels"])
def test_one_place_is_not_taken_for_a_list_of_letters(what: str) -> None:
    places = {"prototxt": ["a.prototxt"], "caffemodel": ["a.caffemodel"], what: "a.file"}
    with pytest.raises(UsageError, match=f"{what} 'a.file': give a list"):
        Described(**places)  # type: ignore[arg-type]
