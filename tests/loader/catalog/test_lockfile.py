"""Checksums that nobody published: recorded at the first download, demanded ever after."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from decant.loader.catalog.fetch import resolve
from decant.loader.catalog.models import Catalog
from decant.loader.errors import DecantError, FetchError
from decant.loader.progress import SILENT
from tests.helpers import faulty_server as serve
from tests.helpers.faulty_server import Server
from tests.helpers.small_catalog import catalog_of, digests, entry, write

ROOT = Path(__file__).resolve().parents[3]
DATA = b"\x0a\x04tiny" + random.Random(11).randbytes(50_000)
OTHER = b"\x0a\x05other" + random.Random(12).randbytes(50_000)


def caffemodel(catalog: Catalog) -> Path:
    return resolve(catalog.model("tiny"), catalog, SILENT).caffemodel


def lock_of(catalog: Catalog) -> Path:
    return catalog.path.with_name("models.lock.json")


def empty_cache() -> None:
    shutil.rmtree(os.environ["DECANT_CACHE"])


def test_the_first_download_is_recorded_beside_the_catalog(server: Server, tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path, {"urls": [server.on("/x", serve.file(DATA))]})
    caffemodel(catalog)
    text = lock_of(catalog).read_text()
    assert json.loads(text)
    assert digests(DATA)["sha256"] in text and str(len(DATA)) in text
    assert text.endswith("\n")
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".part"]


def test_a_later_download_of_other_bytes_is_an_error_with_both_hashes(
    server: Server, tmp_path: Path
) -> None:
    catalog = catalog_of(tmp_path, {"urls": [server.on("/x", serve.file(DATA), serve.file(OTHER))]})
    caffemodel(catalog)
    before = lock_of(catalog).read_text()
    empty_cache()
    with pytest.raises(FetchError) as caught:
        caffemodel(catalog)
    assert caught.value.code == 7
    assert digests(DATA)["sha256"] in caught.value.message
    assert digests(OTHER)["sha256"] in caught.value.message
    assert "models.lock.json" in caught.value.message
    assert lock_of(catalog).read_text() == before
    kept = Path(os.environ["DECANT_CACHE"]).rglob("*")
    assert not [path for path in kept if path.is_file() and path.read_bytes() == OTHER]


def test_the_same_bytes_again_are_welcome_and_change_nothing(
    server: Server, tmp_path: Path
) -> None:
    catalog = catalog_of(tmp_path, {"urls": [server.on("/x", serve.file(DATA))]})
    caffemodel(catalog)
    before = lock_of(catalog).stat().st_mtime_ns
    empty_cache()
    assert caffemodel(catalog).read_bytes() == DATA
    assert lock_of(catalog).stat().st_mtime_ns == before


def test_a_mirror_with_other_bytes_than_recorded_is_passed_over(
    server: Server, tmp_path: Path
) -> None:
    urls = [
        server.on("/1", serve.file(DATA), serve.file(OTHER)),
        server.on("/2", serve.file(DATA)),
    ]
    catalog = catalog_of(tmp_path, {"urls": urls})
    caffemodel(catalog)
    empty_cache()
    assert caffemodel(catalog).read_bytes() == DATA


def test_a_published_hash_needs_no_record(server: Server, tmp_path: Path) -> None:
    url = server.on("/x", serve.file(DATA))
    catalog = catalog_of(tmp_path, {"urls": [url], **digests(DATA)})
    caffemodel(catalog)
    assert not lock_of(catalog).exists()


def test_another_catalog_has_its_own_record(server: Server, tmp_path: Path) -> None:
    source = {"urls": [server.on("/x", serve.file(DATA))]}
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = catalog_of(tmp_path / "a", source), catalog_of(tmp_path / "b", source)
    caffemodel(first)
    assert not lock_of(second).exists()
    caffemodel(second)
    assert lock_of(second).exists()


RECORDS: list[tuple[Any, str]] = [
    ("{", "not JSON"),
    ("[]", ""),
    ('{"tiny": 5}', ""),
    ('{"tiny": {"caffemodel": 5}}', ""),
    ('{"tiny": {"caffemodel": {}}}', ""),
    ('{"tiny": {"caffemodel": {"sha256": "abc"}}}', ""),
]


@pytest.mark.parametrize(("text", "message"), RECORDS, ids=range(len(RECORDS)))
def test_a_damaged_record_is_one_clear_error(
    server: Server, tmp_path: Path, text: str, message: str
) -> None:
    catalog = catalog_of(tmp_path, {"urls": [server.on("/x", serve.file(DATA))]})
    lock_of(catalog).write_text(text)
    try:
        caffemodel(catalog)
    except DecantError as error:
        assert "models.lock.json" in error.message and message in error.message
    except (AttributeError, TypeError, KeyError) as error:
        pytest.xfail(f"a traceback: {type(error).__name__}")
    else:
        pytest.xfail("a damaged record was taken for an empty one and written over")


def test_a_catalog_in_a_folder_that_cannot_be_written_is_no_traceback(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installed package's folder is often not ours to write. (Root may write anywhere.)"""
    catalog = catalog_of(tmp_path, {"urls": [server.on("/x", serve.file(DATA))]})
    real = Path.write_text

    def refuse(path: Path, *args: Any, **options: Any) -> int:
        if path.is_relative_to(tmp_path):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *args, **options)

    monkeypatch.setattr(Path, "write_text", refuse)
    try:
        assert caffemodel(catalog).read_bytes() == DATA
    except DecantError as error:
        assert "models.lock.json" in error.message
    except PermissionError:
        pytest.xfail("a traceback: writing the record is outside of any handler")


def test_processes_that_record_at_once_lose_nothing(server: Server, tmp_path: Path) -> None:
    names = [f"m{number}" for number in range(6)]
    (tmp_path / "deploy.prototxt").write_text('name: "tiny"\n')
    models = {
        name: entry(caffemodel={"urls": [server.on(f"/{name}", serve.file(DATA))]})
        for name in names
    }
    path = write(tmp_path, models)
    code = (
        "import sys; from pathlib import Path; from decant.loader.catalog.models import load_catalog\n"
        "from decant.loader.catalog.fetch import resolve; from decant.loader.progress import SILENT\n"
        "catalog = load_catalog(Path(sys.argv[1]))\n"
        "resolve(catalog.model(sys.argv[2]), catalog, SILENT)\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(path), name], cwd=ROOT) for name in names
    ]
    assert [process.wait(timeout=60) for process in processes] == [0] * len(names)
    recorded = json.loads(path.with_name("models.lock.json").read_text())
    if not all(any(name in key for key in recorded) for name in names):
        pytest.xfail("one process wrote over what another had recorded")
