"""What an artifact was made of: the very files, or none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from decant.loader.artifact import bundle
from decant.loader.catalog.models import Catalog, load_catalog
from decant.loader.errors import BadInput, UsageError
from decant.loader.progress import SILENT
from decant.stages.origins import bundled_pictures, caffe_files, parity_dump
from tests.helpers import small_catalog
from tests.helpers.artifacts import write_lenet
from tests.helpers.converting import conv, converted, input_layer, random, write_pair


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pair(
        tmp_path,
        input_layer("data", 1, 3, 8, 8) + conv("c", "data", "c"),
        [("c", "Convolution", [random(4, 3, 3, 3), random(4)])],
    )
    converted(tmp_path, parity=False)
    return tmp_path / "artifacts/net"


@pytest.fixture
def empty(tmp_path: Path) -> Catalog:
    return load_catalog(small_catalog.write(tmp_path, {"other": small_catalog.entry()}))


def test_the_files_that_convert_had_while_they_are_the_same(
    folder: Path, empty: Catalog, tmp_path: Path
) -> None:
    manifest = bundle.read_manifest(folder)
    found = caffe_files(folder, manifest, empty, SILENT)
    assert (found.prototxt, found.caffemodel) == (
        tmp_path / "net.prototxt",
        tmp_path / "net.caffemodel",
    )
    (tmp_path / "net.caffemodel").write_bytes(b"another")
    with pytest.raises(UsageError, match="not there any more, or changed since"):
        caffe_files(folder, manifest, empty, SILENT)
    (folder / "build.json").unlink()
    with pytest.raises(UsageError, match="where they were is not recorded"):
        caffe_files(folder, manifest, empty, SILENT)


def test_the_catalogs_dump_and_pictures_where_the_net_is_its_own(
    tmp_path: Path, empty: Catalog
) -> None:
    folder = write_lenet(tmp_path / "lenet_digits")
    manifest, own = bundle.read_manifest(folder), load_catalog()
    found = parity_dump(folder, manifest, own)
    assert found is not None and found.has_activations
    assert bundled_pictures(manifest, own) is not None is not own
    assert parity_dump(folder, manifest, empty) is None is bundled_pictures(manifest, empty)
    # of another net it is not this one's
    assert (
        parity_dump(
            folder,
            manifest.model_copy(
                update={"caffe": manifest.caffe.model_copy(update={"prototxt_sha256": "ab"})}
            ),
            own,
        )
        is None
    )


def test_a_damaged_dump_is_said_where_there_is_no_other(tmp_path: Path, empty: Catalog) -> None:
    folder = write_lenet(tmp_path / "lenet_digits")
    (tmp_path / "x.h5").write_bytes(b"x")
    (folder / "build.json").write_text(json.dumps({"parity_dump": str(tmp_path / "x.h5")}))
    manifest = bundle.read_manifest(folder)
    with pytest.raises(BadInput, match="neither HDF5 nor NPZ"):
        parity_dump(folder, manifest, empty)
    assert parity_dump(folder, manifest, load_catalog()) is not None
