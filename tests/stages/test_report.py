"""The page in the artifact's folder, whole or as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from decant.loader.errors import BadInput, UsageError
from decant.stages.report import PAGE, report
from tests.helpers.artifacts import write_lenet

# a page has a dozen figures
pytestmark = pytest.mark.slow


def test_the_page_and_its_pictures_are_files(tmp_path: Path) -> None:
    folder = write_lenet(tmp_path / "lenet_digits")
    page, pictures = report(str(folder), png=tmp_path / "png")
    assert page == folder / PAGE and page.read_text("utf-8").startswith("<!")
    assert pictures and all(path.read_bytes()[:4] == b"\x89PNG" for path in pictures)
    assert sorted(pictures) == sorted((tmp_path / "png").iterdir())
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_what_cannot_be_done_leaves_the_page_as_it_was(tmp_path: Path) -> None:
    folder = write_lenet(tmp_path / "lenet_digits")
    (folder / PAGE).write_text("before")
    with pytest.raises(BadInput):
        report(str(folder), picture=tmp_path / "none.png")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="give a folder"):
        report(str(folder), png=tmp_path / "file")
    assert (folder / PAGE).read_text() == "before"
