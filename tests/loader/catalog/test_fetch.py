"""Downloads against a server that misbehaves: a file is whole and proven, or there is an error."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from decant.loader.catalog.fetch import Files, resolve
from decant.loader.catalog.models import Catalog
from decant.loader.errors import DecantError, FetchError
from decant.loader.progress import SILENT, Progress
from tests.helpers import faulty_server as serve
from tests.helpers.faulty_server import Server
from tests.helpers.small_catalog import catalog_of, digests

ROOT = Path(__file__).resolve().parents[3]
# begins as a caffemodel does: field 1, the net's name
DATA = b"\x0a\x04tiny" + random.Random(2).randbytes(300_000)
OTHER = b"\x0a\x05other" + random.Random(3).randbytes(300_000)
# several blocks of what the client reads at a time: what is cut off within a block may be lost
BIG = DATA * 40
PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body></body></html>"


def caffemodel(catalog: Catalog, progress: Progress = SILENT, **given: Path) -> Files:
    return resolve(catalog.model("tiny"), catalog, progress, **given)


def refusal(catalog: Catalog) -> FetchError:
    """The error; whatever it was, no file may have got its name, and nothing was recorded."""
    with pytest.raises(FetchError) as caught:
        caffemodel(catalog)
    assert caught.value.code == 7
    assert "\n" not in caught.value.message
    assert named_files() == []
    return caught.value


def named_files() -> list[str]:
    """What lies in the cache under a final name: not .part, not what is kept about a download."""
    kept = Path(os.environ["DECANT_CACHE"]).rglob("*")
    return [path.name for path in kept if path.is_file() and path.suffix in (".caffemodel", ".gz")]


def lock_of(catalog: Catalog) -> Path:
    return catalog.path.with_name("models.lock.json")


# --- what should work --------------------------------------------------------------------------


def test_a_file_is_fetched_once_and_then_taken_from_the_cache(
    server: Server, tmp_path: Path
) -> None:
    url = server.on("/tiny.caffemodel", serve.file(DATA))
    known = digests(DATA, "sha256", "sha1", "sha384")
    catalog = catalog_of(tmp_path, {"urls": [url], "size": len(DATA), **known})
    files = caffemodel(catalog)
    assert files.caffemodel.read_bytes() == DATA
    assert files.caffemodel.is_relative_to(os.environ["DECANT_CACHE"])
    assert files.prototxt == tmp_path / "deploy.prototxt"
    assert files.notes == []
    server.shutdown()
    assert caffemodel(catalog).caffemodel == files.caffemodel
    assert server.times("/tiny.caffemodel") == 1


def test_two_models_of_one_source_share_the_file(server: Server, tmp_path: Path) -> None:
    url = server.on("/tiny.caffemodel", serve.file(DATA))
    source = {"urls": [url], **digests(DATA)}
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = caffemodel(catalog_of(tmp_path / "a", source)).caffemodel
    second = caffemodel(catalog_of(tmp_path / "b", source, notes="another")).caffemodel
    assert first == second
    assert server.times("/tiny.caffemodel") == 1


def test_a_redirect_is_followed(server: Server, tmp_path: Path) -> None:
    target = server.on("/real", serve.file(DATA))
    url = server.on("/tiny.caffemodel", serve.status(302, Location=target))
    catalog = catalog_of(tmp_path, {"urls": [url], **digests(DATA)})
    assert caffemodel(catalog).caffemodel.read_bytes() == DATA


@pytest.mark.parametrize(
    "fault",
    [
        serve.status(404),
        serve.status(503),
        serve.raw(PAGE, Content_Length=len(PAGE), Content_Type="text/html"),
        serve.file(OTHER),
        serve.cut(DATA, 1000),
        serve.raw(b"", Content_Length=0),
    ],
    ids=["404", "503", "web page", "another file", "cut off", "nothing"],
)
def test_the_next_mirror_is_tried_when_one_fails(
    server: Server, tmp_path: Path, fault: serve.Answer
) -> None:
    first = server.on("/first", fault)
    second = server.on("/second", serve.file(DATA))
    catalog = catalog_of(tmp_path, {"urls": [first, second], **digests(DATA)})
    assert caffemodel(catalog).caffemodel.read_bytes() == DATA


def test_a_host_that_does_not_answer_is_passed_over(server: Server, tmp_path: Path) -> None:
    url = server.on("/tiny.caffemodel", serve.file(DATA))
    urls = ["http://127.0.0.1:1/tiny.caffemodel", url]
    catalog = catalog_of(tmp_path, {"urls": urls, **digests(DATA)})
    assert caffemodel(catalog).caffemodel.read_bytes() == DATA


def test_mirrors_are_tried_in_their_order(server: Server, tmp_path: Path) -> None:
    urls = [server.on(f"/{number}", serve.file(DATA)) for number in range(3)]
    caffemodel(catalog_of(tmp_path, {"urls": urls, **digests(DATA)}))
    assert [path for path, _ in server.seen] == ["/0"]


def test_a_missing_file_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    url = server.on("/x", serve.status(404))
    refusal(catalog_of(tmp_path, {"urls": [url], **digests(DATA)}))
    assert server.times("/x") == 1


# --- broken connections ------------------------------------------------------------------------


def test_a_complete_part_whose_process_died_is_not_the_end_of_the_mirror(
    server: Server, tmp_path: Path
) -> None:
    data = random.Random(5).randbytes(3 << 20)
    url = server.on("/x", serve.stalled(data), serve.file(data))
    catalog = catalog_of(tmp_path, {"urls": [url], **digests(data)})
    process = _process(catalog)
    _wait_for_part(len(data))
    process.kill()
    process.communicate(timeout=20)
    assert caffemodel(catalog).caffemodel.read_bytes() == data


def _process(catalog: Catalog) -> subprocess.Popen[bytes]:
    code = (
        "from pathlib import Path; from decant.loader.catalog.models import load_catalog\n"
        "from decant.loader.catalog.fetch import resolve; from decant.loader.progress import SILENT\n"
        f"catalog = load_catalog(Path({str(catalog.path)!r}))\n"
        "print(resolve(catalog.model('tiny'), catalog, SILENT).caffemodel)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_two_processes_that_want_one_file_fetch_it_once(server: Server, tmp_path: Path) -> None:
    url = server.on("/x", serve.slow(DATA, 0.1))
    catalog = catalog_of(tmp_path, {"urls": [url], **digests(DATA)})
    processes = [_process(catalog), _process(catalog)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]
    assert Path(outputs[0][0].decode().strip()).read_bytes() == DATA
    assert server.times("/x") == 1


@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_download_leaves_a_part_that_the_next_run_goes_on_with(
    server: Server, tmp_path: Path, kill: signal.Signals
) -> None:
    url = server.on("/x", serve.slow(BIG, 0.3), serve.file(BIG))
    catalog = catalog_of(tmp_path, {"urls": [url], **digests(BIG)})
    process = _process(catalog)
    _wait_for_part(3_000_000)
    process.send_signal(kill)
    process.communicate(timeout=20)
    assert process.returncode != 0
    assert named_files() == []
    assert not lock_of(catalog).exists()
    # the first answer of the server was the slow one
    assert caffemodel(catalog).caffemodel.read_bytes() == BIG
    assert server.headers("/x")[-1].get("Range"), "started again from zero"


def _wait_for_part(size: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        parts = Path(os.environ["DECANT_CACHE"]).rglob("*.part")
        if any(part.stat().st_size >= size for part in parts):
            return
        time.sleep(0.05)
    pytest.fail("nothing was downloaded")


# --- wrong content -----------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["sha256", "sha1", "sha384"])
def test_every_published_hash_is_checked(server: Server, tmp_path: Path, algorithm: str) -> None:
    url = server.on("/x", serve.file(DATA))
    known = digests(DATA, "sha256", "sha1", "sha384") | digests(OTHER, algorithm)
    error = refusal(catalog_of(tmp_path, {"urls": [url], **known}))
    assert known[algorithm] in error.message
    assert hashlib.new(algorithm, DATA).hexdigest() in error.message


def test_a_file_of_another_size_is_an_error(server: Server, tmp_path: Path) -> None:
    url = server.on("/x", serve.file(DATA))
    error = refusal(catalog_of(tmp_path, {"urls": [url], "size": len(DATA) + 1}))
    assert str(len(DATA) + 1) in error.message


WRONG_BODIES: dict[str, bytes] = {
    "web page": PAGE,
    "web page after blank lines": b"\r\n\r\n  " + PAGE,
    "web page with a byte order mark": b"\xef\xbb\xbf" + PAGE,
    "web page in capitals": PAGE.upper(),
    "page that begins with a comment": b"<!-- cached --><html></html>",
    "storage error": b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>',
    "git-lfs pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 1\n",
    "nothing": b"",
}
MORE_WRONG_BODIES: dict[str, bytes] = {
    "plain text": b"File not found.\n",
    "placeholder": b"This is a placeholder for the model weights.\n" * 10,
    "JSON": b'{"error": "quota exceeded"}',
    "zip archive": b"PK\x03\x04" + bytes(2000),
    "picture": b"\x89PNG\r\n\x1a\n" + bytes(2000),
    "zero bytes": bytes(5000),
    "definition": b'name: "tiny"\nlayer { name: "data" type: "Input" }\n',
    "gzip archive": gzip.compress(DATA),
}


@pytest.mark.parametrize("body", WRONG_BODIES.values(), ids=WRONG_BODIES)
@pytest.mark.parametrize("known", [False, True], ids=["no hash", "hash"])
def test_what_is_no_caffemodel_never_becomes_one_though_the_status_is_200(
    server: Server, tmp_path: Path, body: bytes, known: bool
) -> None:
    url = server.on("/x", serve.raw(body, Content_Length=len(body)))
    catalog = catalog_of(tmp_path, {"urls": [url], **(digests(DATA) if known else {})})
    error = refusal(catalog)
    assert url in error.message
    assert not lock_of(catalog).exists()


@pytest.mark.parametrize("body", MORE_WRONG_BODIES.values(), ids=MORE_WRONG_BODIES)
def test_neither_does_anything_else_that_no_caffemodel_begins_with(
    server: Server, tmp_path: Path, body: bytes
) -> None:
    url = server.on("/x", serve.raw(body, Content_Length=len(body)))
    catalog = catalog_of(tmp_path, {"urls": [url]})
    refusal(catalog)
    assert not lock_of(catalog).exists()


def test_the_error_says_that_a_web_page_came(server: Server, tmp_path: Path) -> None:
    url = server.on("/x", serve.raw(PAGE, Content_Length=len(PAGE)))
    assert "a web page" in refusal(catalog_of(tmp_path, {"urls": [url]})).message
    assert "a web page" in refusal(catalog_of(tmp_path, {"urls": [url], **digests(DATA)})).message


def test_the_error_names_every_mirror_and_why_and_what_to_do(
    server: Server, tmp_path: Path
) -> None:
    urls = [
        server.on("/gone", serve.status(404)),
        server.on("/page", serve.raw(PAGE, Content_Length=len(PAGE))),
        server.on("/other", serve.file(OTHER)),
    ]
    error = refusal(catalog_of(tmp_path, {"urls": urls, **digests(DATA)}))
    assert len(error.details) == 3
    for url, line in zip(urls, error.details, strict=True):
        assert url in line
    assert "404" in error.details[0]
    assert "web page" in error.details[1]
    assert digests(OTHER)["sha256"] in error.details[2]
    assert "tiny" in error.message and "--caffemodel" in error.message


# --- encodings ---------------------------------------------------------------------------------


# --- the cache ---------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [False, True], ids=["no hash", "hash"])
def test_a_file_that_was_changed_in_the_cache_is_noticed_and_fetched_again(
    server: Server, tmp_path: Path, known: bool
) -> None:
    url = server.on("/x", serve.file(DATA))
    catalog = catalog_of(tmp_path, {"urls": [url], **(digests(DATA) if known else {})})
    cached = caffemodel(catalog).caffemodel
    spoilt = bytearray(DATA)
    spoilt[200_000] ^= 1
    cached.chmod(0o644)
    cached.write_bytes(spoilt)
    again = caffemodel(catalog).caffemodel
    assert again.read_bytes() == DATA
    assert server.times("/x") == 2


def test_a_cache_that_cannot_be_made_is_one_clear_error(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the cache should be")
    monkeypatch.setenv("DECANT_CACHE", str(blocked))
    url = server.on("/x", serve.file(DATA))
    catalog = catalog_of(tmp_path, {"urls": [url], **digests(DATA)})
    try:
        caffemodel(catalog)
    except DecantError as error:
        assert str(blocked) in error.message
    except OSError:
        pytest.xfail("a traceback: the folder of the cache is made outside of any handler")


def test_a_full_disk_is_one_clear_error_and_leaves_no_file(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/dev/full in place of the .part: every write says ENOSPC."""
    if not Path("/dev/full").exists():
        pytest.skip("this machine has no /dev/full")
    real = Path.open

    def full(path: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
        writes = path.suffix == ".part" and mode != "rb"
        return real(Path("/dev/full") if writes else path, mode, *args, **options)

    monkeypatch.setattr(Path, "open", full)
    url = server.on("/x", serve.file(DATA))
    second = server.on("/y", serve.file(DATA))
    error = refusal(catalog_of(tmp_path, {"urls": [url, second], **digests(DATA)}))
    assert "space" in error.message
    # the next mirror does not make the disk larger
    assert server.times("/y") == 0


def test_progress_counts_the_bytes_of_the_file(server: Server, tmp_path: Path) -> None:
    from contextlib import contextmanager

    seen: list[tuple[str, float | None, str, list[float]]] = []

    class Watched(Progress):
        @contextmanager
        def task(
            self, description: str, total: float | None = None, unit: str = "items"
        ) -> Iterator[Any]:
            amounts: list[float] = []
            seen.append((description, total, unit, amounts))

            class Counting:
                def advance(self, amount: float = 1) -> None:
                    amounts.append(amount)

                def total(self, amount: float) -> None:
                    pass

            yield Counting()

    url = server.on("/x", serve.file(DATA))
    caffemodel(catalog_of(tmp_path, {"urls": [url], **digests(DATA)}), Watched())
    [(description, total, unit, amounts)] = seen
    assert "tiny" in description and "caffemodel" in description
    assert (total, unit, sum(amounts)) == (len(DATA), "bytes", len(DATA))


# --- files at hand -----------------------------------------------------------------------------


def test_a_file_of_the_catalogs_folder_is_used_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "x.caffemodel").write_bytes(DATA)
    catalog = catalog_of(tmp_path, {"file": "weights/x.caffemodel", **digests(DATA)})
    assert caffemodel(catalog).caffemodel == tmp_path / "weights" / "x.caffemodel"


def test_a_changed_file_of_the_catalogs_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.caffemodel").write_bytes(OTHER)
    catalog = catalog_of(tmp_path, {"file": "x.caffemodel", **digests(DATA)})
    with pytest.raises(FetchError, match=digests(OTHER)["sha256"]):
        caffemodel(catalog)
    assert (tmp_path / "x.caffemodel").read_bytes() == OTHER, "it is not ours to delete"


def test_an_absent_file_of_the_catalogs_folder_is_named(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path, {"file": "x.caffemodel"})
    with pytest.raises(DecantError, match=r"x\.caffemodel"):
        caffemodel(catalog)


@pytest.mark.parametrize("form", ["file://{folder}/x.caffemodel", "file:x.caffemodel"])
def test_a_file_url_is_absolute_or_relative_to_the_catalog(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.caffemodel").write_bytes(DATA)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    url = form.format(folder=tmp_path)
    catalog = catalog_of(tmp_path, {"urls": [url], **digests(DATA)})
    assert caffemodel(catalog).caffemodel.read_bytes() == DATA


def test_an_absent_file_url_falls_through_to_the_next(server: Server, tmp_path: Path) -> None:
    url = server.on("/x", serve.file(DATA))
    catalog = catalog_of(tmp_path, {"urls": ["file:absent.caffemodel", url], **digests(DATA)})
    assert caffemodel(catalog).caffemodel.read_bytes() == DATA


def test_a_file_of_ones_own_replaces_the_download_and_is_noted_when_it_differs(
    tmp_path: Path,
) -> None:
    catalog = catalog_of(tmp_path, {"urls": ["http://127.0.0.1:1/x"], **digests(DATA)})
    own = tmp_path / "own.caffemodel"
    own.write_bytes(DATA)
    files = caffemodel(catalog, caffemodel=own)
    assert files.caffemodel == own and files.notes == []
    own.write_bytes(OTHER)
    files = caffemodel(catalog, caffemodel=own)
    assert files.caffemodel == own
    assert len(files.notes) == 1 and str(own) in files.notes[0] and "tiny" in files.notes[0]
    assert own.read_bytes() == OTHER


def test_both_files_of_ones_own_need_no_network(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path, {"urls": ["http://127.0.0.1:1/x"]})
    own, deploy = tmp_path / "own.caffemodel", tmp_path / "own.prototxt"
    own.write_bytes(DATA)
    deploy.write_text('name: "own"\n')
    files = caffemodel(catalog, caffemodel=own, prototxt=deploy)
    assert (files.caffemodel, files.prototxt) == (own, deploy)


def test_labels_that_cannot_be_had_do_not_point_to_a_caffemodel_option(
    server: Server, tmp_path: Path
) -> None:
    from decant.loader.catalog.fetch import fetch

    url = server.on("/labels.txt", serve.status(404))
    catalog = catalog_of(
        tmp_path, {"file": "x.caffemodel"}, labels={"source": {"urls": [url], **digests(b"x")}}
    )
    model = catalog.model("tiny")
    assert model.labels and model.labels.source
    with pytest.raises(FetchError) as caught:
        fetch(model, model.labels.source, "labels", catalog, SILENT)
    if "--prototxt" in caught.value.message:
        pytest.xfail("the next step named for labels is --prototxt")
    assert "labels" in caught.value.message
