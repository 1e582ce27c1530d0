"""`report`: one page that a browser opens offline, and its pictures."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from tests.commands.test_classify import fixed_batch
from tests.commands.test_cli import MODEL, run
from tests.commands.test_convert import NET, write
from tests.helpers.nets import inputs_text, layer

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
CONV_OF_ONE = layer("view", "Reshape", ["fc"], ["view"], "reshape_param { shape { dim: 0 dim: 10 dim: 1 dim: 1 } }") + layer("c", "Convolution", ["view"], ["c"], "convolution_param { num_output: 10 kernel_size: 1 }")  # fmt: skip
# a window is at least 500 pixels wide, a frame in it is not; the page's findings become the title
FRAME = """<!DOCTYPE html><meta name="color-scheme" content="light dark">
<script>onmessage = event => document.title = event.data;</script>
<iframe src="page.html" style="width: WIDTHpx; height: 900px"></iframe>"""
# runs in the page once it stands
PROBE = """<script>
const tooWide = part => part.scrollWidth > part.clientWidth;
const wide = tooWide(document.documentElement), scrolls = tooWide(document.querySelector(".scroll"));
const pictures = Array.from(document.images, image => image.naturalWidth > 0 && image.alt !== "");
const shrunk = Array.from(document.images).filter(image => image.width < image.naturalWidth).length;
const unreached = Array.from(document.querySelectorAll("figure:not([tabindex])")).filter(tooWide).length;
const inverted = Array.from(document.images, image => getComputedStyle(image).filter !== "none");
const plots = Array.from(document.images, image => image.className === "plot");
const buttons = Array.from(document.querySelectorAll("th button"));
const edge = document.querySelector(".scroll").getBoundingClientRect().right;
const seen = buttons.filter(button => button.parentElement.getBoundingClientRect().right <= edge)
                    .map(button => button.textContent);
const cells = number => Array.from(document.querySelectorAll(`tbody tr > :nth-child(${number})`));
const order = () => cells(4).map(cell => cell.dataset.value === "" ? null : Number(cell.dataset.value));
buttons[3].click(); const up = order(), said = buttons[3].parentElement.getAttribute("aria-sort");
buttons[3].click(); const down = order();
buttons[1].click(); const names = cells(2).map(cell => cell.abbr);
parent.postMessage(JSON.stringify({wide, scrolls, pictures, shrunk, unreached, inverted, plots, seen,
                                   up, down, said, names}), "*");
</script>"""


class Page(HTMLParser):
    """Tags, links and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for key, value in attrs:
            if key in ("src", "href"):
                self.links.append(value or "")
            if key == "id":
                self.ids.append(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def test_convert_writes_a_page_that_needs_nothing_else(tmp_path: Path) -> None:
    run("convert", "--engine", "reader", cwd=tmp_path)
    page = Page((tmp_path / "artifacts/lenet_digits/report.html").read_text())
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert all(link[1:] in page.ids for link in page.links if link.startswith("#"))
    assert len(page.ids) == len(set(page.ids))
    assert "Every layer agrees with Caffe" in page.text
    manifest = json.loads((tmp_path / "artifacts/lenet_digits/manifest.json").read_text())
    for digest in manifest["files"].values():
        assert digest in page.text
    for link in page.links:
        if link.startswith("data:image/png"):
            with Image.open(io.BytesIO(base64.b64decode(link.partition(",")[2]))) as picture:
                extrema = picture.convert("L").getextrema()
                assert extrema[0] < extrema[1], "a picture of one colour"
    run("validate", "lenet_digits", cwd=tmp_path)


def test_a_page_may_be_left_out(tmp_path: Path) -> None:
    run("convert", "--engine", "reader", "--no-report", cwd=tmp_path)
    assert not (tmp_path / "artifacts/lenet_digits/report.html").exists()


def test_the_same_pictures_as_files(tmp_path: Path) -> None:
    run("convert", "--engine", "reader", "--no-report", cwd=tmp_path)
    done = json.loads(
        run("report", "lenet_digits", "--png", "pictures", "--json", cwd=tmp_path).stdout
    )
    names = {Path(path).stem for path in done["pictures"]}
    assert {"parity", "classes", "heat", "filters-conv1", "activations-conv2"} <= names
    page = Page(Path(tmp_path / done["report"]).read_text())
    inside = {
        base64.b64decode(link.partition(",")[2]) for link in page.links if "image/png" in link
    }
    assert {(tmp_path / path).read_bytes() for path in done["pictures"]} == inside


def test_without_parity_the_page_says_so(tmp_path: Path) -> None:
    run("convert", "--engine", "reader", "--no-parity", cwd=tmp_path)
    assert not (tmp_path / "artifacts/lenet_digits/report.html").exists()
    run("report", "lenet_digits", cwd=tmp_path)
    text = Page((tmp_path / "artifacts/lenet_digits/report.html").read_text()).text
    assert "Not compared with Caffe" in text and "agrees" not in text


def test_names_are_text_and_no_markup(tmp_path: Path) -> None:
    name = "<script>alert(1)</script>"
    words = write(tmp_path, NET + layer(name, "Power", ["prob"], [name]))
    run("convert", *words, cwd=tmp_path)
    page = Page((tmp_path / "artifacts/net/report.html").read_text())
    assert page.tags.count("script") == 1 and name in page.text


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (["none"], 10, "make convert"),
        (["lenet_digits", "--picture", "none.png"], 3, "not a picture"),
        (["lenet_digits", "--png", "file"], 2, "give a folder"),
        (["lenet_digits", "--png", "file/x"], 2, "give a folder"),
        (["lenet_digits", "--engine", "foo"], 2, "--engine 'foo'"),
    ],
)
def test_what_cannot_be_reported(words: list[str], code: int, reason: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    run("convert", "--engine", "reader", "--no-report", cwd=tmp_path)
    assert reason in run("report", *words, cwd=tmp_path, code=code).stderr.splitlines()[-1]
    assert not (tmp_path / "artifacts/lenet_digits/report.html").exists()
    assert sorted(path.name for path in (tmp_path / "artifacts").iterdir()) == ["lenet_digits"]


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, False), (390, True)])
def test_a_real_browser_shows_it(width: int, dark: bool, tmp_path: Path) -> None:
    if CHROMIUM is None:
        if os.environ.get("DECANT_REQUIRE_CONTAINER"):
            pytest.fail("chromium is not installed")
        pytest.skip("chromium is not installed")
    run("convert", "--engine", "reader", cwd=tmp_path)
    text = (tmp_path / "artifacts/lenet_digits/report.html").read_text()
    (tmp_path / "page.html").write_text(text.replace("</body>", PROBE + "</body>"))
    (tmp_path / "frame.html").write_text(FRAME.replace("WIDTH", str(width)))
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
            "--window-size=1400,1000", "--hide-scrollbars",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom",
            (tmp_path / "frame.html").as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr, done.stderr
    title = done.stdout.partition("<title>")[2].partition("</title>")[0]
    found = json.loads(title)
    assert not found["wide"], "the page scrolls sideways"
    assert len(found["pictures"]) >= 6 and all(found["pictures"])
    assert not found["shrunk"], "letters in pictures get too small to read"
    assert not found["unreached"], "a picture scrolls that the keyboard does not reach"
    assert found["inverted"] == [dark and plot for plot in found["plots"]]
    assert any(found["plots"]) and not all(found["plots"])
    assert found["seen"][:6] == ["#", "layer", "type", "end to end", "of its bound", "verdict"]
    assert found["scrolls"] == (width < 500)
    numbers = [value for value in found["up"] if value is not None]
    assert numbers == sorted(numbers) and found["said"] == "ascending"
    assert [value for value in found["down"] if value is not None] == numbers[::-1]
    # what was not computed stands last either way
    assert found["up"][-1] is None and found["down"][-1] is None
    assert found["names"] == sorted(found["names"])


def test_a_net_without_classes_looks_at_a_picture_all_the_same(tmp_path: Path) -> None:
    one, two = (
        layer(name, "Convolution", ["data"], [name], "convolution_param { num_output: 4 kernel_size: 3 }")
        for name in ("a", "b")
    )  # fmt: skip
    digit = str(MODEL / "validation/3/0003.png")
    for text, why in (
        (one, "it answers 1 with 1 x 4 x 4 x 4"),
        (one + two, "its outputs are a, b"),
    ):
        files = write(tmp_path, inputs_text({"data": (1, 1, 6, 6)}) + text)
        run("convert", *files, "--no-parity", cwd=tmp_path)
        words = ("report", "net", "--mean", "0", "--png", "pictures", "--picture")
        run(*words, digit, cwd=tmp_path)
        page = Page((tmp_path / "artifacts/net/report.html").read_text())
        assert f"no classifier of pictures: {why}" in page.text
        names = {path.stem for path in (tmp_path / "pictures").iterdir()}
        assert {"heat", "activations-a"} <= names and "classes" not in names
        done = run(*words, digit, "--engine", "caffe", cwd=tmp_path, code=2)
        assert "no classifier" in done.stderr.splitlines()[-1]
        # a wrong path is told before anything that the net lacks
        done = run("report", "net", "--picture", "none.png", cwd=tmp_path, code=3)
        assert "none.png" in done.stderr.splitlines()[-1]


def test_code_in_a_reason_is_shown_as_code(tmp_path: Path) -> None:
    run("convert", *write(tmp_path), "--no-report", cwd=tmp_path)
    parity = tmp_path / "artifacts/net/parity.json"
    parity.write_text(json.dumps({"status": "not measured", "reason": "<b> has `--x <y>`"}))
    run("report", "net", cwd=tmp_path)
    page = Page((tmp_path / "artifacts/net/report.html").read_text())
    assert "b" not in page.tags and "Not compared with Caffe: <b> has --x <y>." in page.text


def test_another_nets_dump_is_not_shown_as_caffes(tmp_path: Path) -> None:
    files = (
        "--prototxt",
        MODEL / "deploy.prototxt",
        "--caffemodel",
        MODEL / "lenet_digits.caffemodel",
    )
    run("convert", *map(str, files), "--engine", "reader", cwd=tmp_path)
    folder = tmp_path / "artifacts/lenet_digits"
    run("dump", *write(tmp_path), "--out", "other.h5", cwd=tmp_path)
    build = json.loads((folder / "build.json").read_text())
    build["parity_dump"] = str(tmp_path / "other.h5")
    (folder / "build.json").write_text(json.dumps(build))
    digit = str(MODEL / "validation/3/0003.png")
    run("report", "lenet_digits", "--picture", digit, "--mean", "0", cwd=tmp_path)
    assert "Caffe's own are not at hand" in Page((folder / "report.html").read_text()).text


def test_a_net_of_a_fixed_batch_and_its_picture(tmp_path: Path) -> None:
    run("convert", *write(tmp_path, fixed_batch(CONV_OF_ONE)), cwd=tmp_path)
    digit = str(MODEL / "validation/3/0003.png")
    run("report", "net", "--picture", digit, "--mean", "0", cwd=tmp_path)
    page = Page((tmp_path / "artifacts/net/report.html").read_text())
    assert "0003.png" in page.text and "What it sees" in page.text


def test_a_page_without_records_and_a_damaged_one(tmp_path: Path) -> None:
    run("convert", "--engine", "reader", "--no-report", cwd=tmp_path)
    folder = tmp_path / "artifacts/lenet_digits"
    for name in ("build.json", "parity.json"):
        (folder / name).unlink()
    run("report", "lenet_digits", cwd=tmp_path)
    assert "is missing" in Page((folder / "report.html").read_text()).text
    run("validate", "lenet_digits", cwd=tmp_path)
    (folder / "build.json").write_text("[")
    for command in ("report", "validate"):
        done = run(command, "lenet_digits", cwd=tmp_path, code=6)
        assert "build.json: damaged" in done.stderr.splitlines()[-1]


def test_a_damaged_dump_gives_way_to_the_catalogs(tmp_path: Path) -> None:
    run("convert", "--engine", "reader", "--no-report", cwd=tmp_path)
    build = tmp_path / "artifacts/lenet_digits/build.json"
    (tmp_path / "damaged.h5").write_bytes(b"x")
    changed = {**json.loads(build.read_text()), "parity_dump": str(tmp_path / "damaged.h5")}
    build.write_text(json.dumps(changed))
    assert "parity passed" in run("validate", "lenet_digits", cwd=tmp_path).stdout
