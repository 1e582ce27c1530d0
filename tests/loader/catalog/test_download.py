"""One URL to one file, against a server that misbehaves."""

from __future__ import annotations

import gzip
import os
import random
from pathlib import Path

import pytest

from decant.loader.catalog.fetch import Files, resolve
from decant.loader.catalog.models import Catalog
from decant.loader.progress import SILENT, Progress
from tests.helpers import faulty_server as serve
from tests.helpers.faulty_server import Server
from tests.helpers.small_catalog import catalog_of, digests
from tests.loader.catalog.test_fetch import refusal

# begins as a caffemodel does: field 1, the net's name
DATA = b"\x0a\x04tiny" + random.Random(2).randbytes(300_000)


OTHER = b"\x0a\x05other" + random.Random(3).randbytes(300_000)


# several blocks of what the client reads at a time: what is cut off within a block may be lost
BIG = DATA * 40


def caffemodel(catalog: Catalog, progress: Progress = SILENT, **given: Path) -> Files:
    return resolve(catalog.model("tiny"), catalog, progress, **given)


def named_files() -> list[str]:
    """What lies in the cache under a final name: not .part, not what is kept about a download."""
    kept = Path(os.environ["DECANT_CACHE"]).rglob("*")
    return [path.name for path in kept if path.is_file() and path.suffix in (".caffemodel", ".gz")]


def lock_of(catalog: Catalog) -> Path:
    return catalog.path.with_name("models.lock.json")


def test_a_server_error_is_tried_again(server: Server, tmp_path: Path) -> None:
    url = server.on("/x", serve.status(503), serve.status(500), serve.file(DATA))
    catalog = catalog_of(tmp_path, {"urls": [url], **digests(DATA)})
    assert caffemodel(catalog).caffemodel.read_bytes() == DATA
    assert server.times("/x") == 3


@pytest.mark.parametrize("code", [408, 429])
def test_a_server_that_asks_for_patience_is_tried_again(
    server: Server, tmp_path: Path, code: int
) -> None:
    url = server.on("/x", serve.status(code), serve.file(DATA))
    catalog = catalog_of(tmp_path, {"urls": [url], **digests(DATA)})
    assert caffemodel(catalog).caffemodel.read_bytes() == DATA


def test_a_broken_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    url = server.on("/x", serve.cut(BIG, 3_000_000), serve.cut(BIG, 2_000_000), serve.file(BIG))
    catalog = catalog_of(tmp_path, {"urls": [url], **digests(BIG)})
    assert caffemodel(catalog).caffemodel.read_bytes() == BIG
    asked = [headers.get("Range") for headers in server.headers("/x")]
    assert asked[0] is None
    # how much of a cut answer arrives is up to the client's blocks
    starts = [int(str(text).removeprefix("bytes=").rstrip("-")) for text in asked[1:]]
    assert starts == sorted(starts) and 0 < starts[0] <= 3_000_000 < starts[1] <= 5_000_000
    assert all(headers.get("If-Range") for headers in server.headers("/x")[1:])


def test_a_file_that_changed_meanwhile_is_fetched_from_its_start(
    server: Server, tmp_path: Path
) -> None:
    url = server.on("/x", serve.cut(OTHER * 40, 3_000_000), serve.file(BIG))
    catalog = catalog_of(tmp_path, {"urls": [url], **digests(BIG)})
    assert caffemodel(catalog).caffemodel.read_bytes() == BIG


@pytest.mark.parametrize("tag", [True, False])
def test_a_server_without_ranges_sends_the_whole_file_again(
    server: Server, tmp_path: Path, tag: bool
) -> None:
    url = server.on(
        "/x",
        serve.cut(BIG, 3_000_000, ranges=False, tag=tag),
        serve.file(BIG, ranges=False, tag=tag),
    )
    catalog = catalog_of(tmp_path, {"urls": [url], **digests(BIG)})
    assert caffemodel(catalog).caffemodel.read_bytes() == BIG


def test_a_206_for_another_range_is_not_spliced(server: Server, tmp_path: Path) -> None:
    shifted = serve.raw(
        BIG[5:],
        206,
        Content_Length=len(BIG) - 5,
        Content_Range=f"bytes 5-{len(BIG) - 1}/{len(BIG)}",
        ETag=serve.tag_of(BIG),
    )
    url = server.on("/x", serve.cut(BIG, 3_000_000), shifted)
    second = server.on("/y", serve.file(BIG))
    catalog = catalog_of(tmp_path, {"urls": [url, second], **digests(BIG)})
    assert caffemodel(catalog).caffemodel.read_bytes() == BIG


def test_what_came_before_giving_up_serves_the_next_run(server: Server, tmp_path: Path) -> None:
    url = server.on("/x", serve.cut(BIG, 3_000_000), serve.status(503))
    catalog = catalog_of(tmp_path, {"urls": [url], **digests(BIG)})
    refusal(catalog)
    server.answers["/x"] = [serve.file(BIG)]
    assert caffemodel(catalog).caffemodel.read_bytes() == BIG
    assert server.headers("/x")[-1].get("Range")


def test_a_line_that_breaks_often_but_moves_on_is_not_given_up(
    server: Server, tmp_path: Path
) -> None:
    url = server.on("/x", *[serve.cut(BIG, 1_500_000)] * 6, serve.file(BIG))
    catalog = catalog_of(tmp_path, {"urls": [url], **digests(BIG)})
    assert caffemodel(catalog).caffemodel.read_bytes() == BIG


def test_a_body_shorter_than_its_content_length_is_no_file(server: Server, tmp_path: Path) -> None:
    url = server.on("/x", serve.raw(DATA, Content_Length=len(DATA) + 10))
    error = refusal(catalog_of(tmp_path, {"urls": [url]}))
    assert url in error.message
    assert not lock_of(catalog_of(tmp_path, {"urls": [url]})).exists()


def test_a_content_length_below_the_size_of_the_catalog_is_an_error(
    server: Server, tmp_path: Path
) -> None:
    url = server.on("/x", serve.raw(DATA, Content_Length=1000))
    error = refusal(catalog_of(tmp_path, {"urls": [url], "size": len(DATA)}))
    assert "1000" in error.message and str(len(DATA)) in error.message


def test_a_body_that_outgrows_the_size_of_the_catalog_is_cut_off(
    server: Server, tmp_path: Path
) -> None:
    sent: list[int] = []
    url = server.on("/x", serve.endless(sent, 60_000_000))
    refusal(catalog_of(tmp_path, {"urls": [url], "size": 1_000_000, **digests(DATA)}))
    assert sum(sent) < 30_000_000


def test_we_ask_for_the_bytes_as_they_are(server: Server, tmp_path: Path) -> None:
    url = server.on("/x", serve.file(DATA))
    caffemodel(catalog_of(tmp_path, {"urls": [url], **digests(DATA)}))
    assert server.headers("/x")[0]["Accept-Encoding"] == "identity"


def test_a_server_that_compresses_all_the_same_is_understood(
    server: Server, tmp_path: Path
) -> None:
    body = gzip.compress(DATA)
    url = server.on("/x", serve.raw(body, Content_Encoding="gzip", Content_Length=len(body)))
    catalog = catalog_of(tmp_path, {"urls": [url], **digests(DATA)})
    assert caffemodel(catalog).caffemodel.read_bytes() == DATA


def test_a_compressed_body_that_is_damaged_is_no_file(server: Server, tmp_path: Path) -> None:
    body = gzip.compress(DATA)[:-20]
    url = server.on("/x", serve.raw(body, Content_Encoding="gzip", Content_Length=len(body)))
    refusal(catalog_of(tmp_path, {"urls": [url]}))
