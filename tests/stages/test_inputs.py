"""What a stage works on: names, files that are there, and how a catalog says to read them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from decant.loader.catalog.models import load_catalog
from decant.loader.definition.reading import Reading, ReadingOptions
from decant.loader.errors import BadInput, CatalogError, UsageError
from decant.stages.add import Described, add
from decant.stages.inputs import Source, resolve
from decant.stages.options import Options
from tests.helpers.converting import converted, write_pair
from tests.helpers.training_nets import ALL_IN_ONE, WEIGHTS
from tests.loader.definition.test_from_weights import NET, write


def test_a_catalog_says_it_and_the_command_line_goes_over_it(tmp_path: Path) -> None:
    write_pair(tmp_path, ALL_IN_ONE, WEIGHTS)
    catalog = tmp_path / "models.yaml"
    model = Described([str(tmp_path / "net.prototxt")], [str(tmp_path / "net.caffemodel")])
    asked = ReadingOptions(stages=["deploy"], crop="aligned")
    add("mine", model, Options(catalog=catalog, reading=asked))
    entry = load_catalog(catalog).model("mine")
    assert entry.reading is not None and entry.reading.frozen() == Reading(
        stages=("deploy",), crop="aligned"
    )
    found = resolve("mine", Options(catalog=catalog, reading=ReadingOptions(crop="stock")))
    assert found.reading == Reading(stages=("deploy",))
    for wrong in ("{crop: left}", "{colour: 1}", "{stages: deploy}"):
        catalog.write_text(catalog.read_text().replace("reading: {", f"reading: {wrong} #"))
        with pytest.raises(CatalogError, match="mine: reading"):
            load_catalog(catalog)
        catalog.write_text(catalog.read_text().replace(f"{wrong} #", "{"))


def test_a_folder_is_called_one(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="a folder; give the path of a file"):
        resolve(Source(caffemodel=tmp_path))


def test_names_come_from_the_file(tmp_path: Path) -> None:
    shutil.move(write(tmp_path, NET), tmp_path / "my.net.caffemodel")
    source = Source(caffemodel=tmp_path / "my.net.caffemodel")
    converted(tmp_path, source=source, out=tmp_path / "out")
    assert [x.name for x in (tmp_path / "out").iterdir()] == ["my.net"]


@pytest.mark.parametrize("source", [Path("net.prototxt"), None, 3])
def test_what_is_neither_a_name_nor_a_source_is_refused(source: object) -> None:
    with pytest.raises(UsageError, match="give a model's name, or Source"):
        resolve(source)
