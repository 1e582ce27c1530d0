"""RPN_*: what may be said of them, and that it travels and is honoured."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from decant.dumper import dumpfile
from decant.loader.catalog.models import CatalogReading
from decant.loader.definition.graph import net_from_text
from decant.loader.definition.reading import STOCK, Reading, ReadingOptions, from_json, from_text
from decant.loader.errors import UsageError
from decant.loader.plan.planning import plan
from tests.commands.test_cli import run
from tests.helpers.forks import FASTER, python
from tests.helpers.nets import inputs_text, layer

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow

PROPOSALS = inputs_text(FASTER) + layer(
    "it", "Python", list(FASTER), ["rois"], python("rpn.proposal_layer", "'feat_stride': 16")
)
ASKED = ReadingOptions(rpn=["post_nms_top_n=7", "RPN_NMS_THRESH=0.5"])
READING = Reading(rpn=(("nms_thresh", 0.5), ("post_nms_top_n", 7)))


def test_settings_are_read_and_come_back_from_their_text() -> None:
    assert ASKED.over() == READING
    assert READING.to_text() == '{"rpn": {"nms_thresh": 0.5, "post_nms_top_n": 7}}'
    assert from_text(READING.to_text()) == READING
    assert READING.of_caffe


def test_what_is_said_later_goes_over_what_was_said_before() -> None:
    later = ReadingOptions(rpn=["post_nms_top_n=9", "min_size=0"]).over(READING)
    assert dict(later.rpn) == {"nms_thresh": 0.5, "post_nms_top_n": 9, "min_size": 0}
    assert ReadingOptions().over(READING) == READING


@pytest.mark.parametrize(
    "word",
    ["", "top=1", "post_nms_top_n", "post_nms_top_n=", "post_nms_top_n=1.5", "pre_nms_top_n=-1",
     "pre_nms_top_n=nan", "nms_thresh=nan", "nms_thresh=inf", "min_size=-1", "min_size=16=17", "=1"],
)  # fmt: skip
def test_a_setting_that_is_none_is_refused_by_the_option(word: str) -> None:
    with pytest.raises(UsageError, match="--rpn"):
        ReadingOptions(rpn=[word]).over()


@pytest.mark.parametrize(
    "settings", [[], {"top": 1}, {"post_nms_top_n": True}, {"min_size": "16"}, {"nms_thresh": None}]
)
def test_a_damaged_reading_is_refused(settings: object) -> None:
    with pytest.raises(ValueError, match="rpn"):
        from_json({"rpn": settings})


def test_a_catalog_says_the_same() -> None:
    found = CatalogReading(rpn={"post_nms_top_n": 7, "nms_thresh": 0.5})
    assert found.frozen() == READING
    assert CatalogReading().frozen() == STOCK
    for settings in ({"top": 1}, {"post_nms_top_n": 7.5}, {"nms_thresh": -0.5}):
        with pytest.raises(ValueError, match="rpn"):
            CatalogReading(rpn=settings)


@pytest.mark.parametrize(
    ("words", "most", "literals"),
    [
        ([], 180, "min_size=16, pre_nms_top_n=6000, post_nms_top_n=300, nms_thresh=0.7"),
        (["post_nms_top_n=7"], 7, "post_nms_top_n=7, nms_thresh=0.7"),
        (["pre_nms_top_n=20"], 20, "pre_nms_top_n=20, post_nms_top_n=300"),
        (["pre_nms_top_n=0", "post_nms_top_n=0"], 180, "pre_nms_top_n=0, post_nms_top_n=0"),
        (["min_size=2.5"], 180, "min_size=2.5"),
    ],
)
def test_the_layer_has_the_settings_that_were_said(
    words: list[str], most: int, literals: str
) -> None:
    net = net_from_text(PROPOSALS, "net", ReadingOptions(rpn=words).over())
    written = plan(net, [[]] * len(net.layers), FASTER).steps[0].written
    assert literals in str(written.module)
    assert tuple(written.shapes[0]) == (most, 5)
    assert not [note for note in net.notes if "rpn" in note]


def test_settings_that_no_layer_takes_are_mentioned() -> None:
    net = net_from_text(inputs_text({"data": (1, 3)}), "net", READING)
    assert any("--rpn changes nothing" in note for note in net.notes)


def test_they_go_into_module_manifest_and_dump_and_a_later_word_goes_over_them(
    tmp_path: Path,
) -> None:
    (tmp_path / "net.prototxt").write_text(PROPOSALS)
    said = ["--rpn", "post_nms_top_n=7", "--rpn", "nms_thresh=0.5"]
    made = tmp_path / "artifacts/net/model.py"
    run("convert", "--prototxt", "net.prototxt", *said, cwd=tmp_path)
    manifest = json.loads((tmp_path / "artifacts/net/manifest.json").read_text())
    assert manifest["reading"] == READING.to_json()
    assert "post_nms_top_n=7, nms_thresh=0.5" in " ".join(made.read_text().split())
    shutil.rmtree(tmp_path / "artifacts")
    run("dump", "--prototxt", "net.prototxt", *said, "--out", "d.npz", cwd=tmp_path)
    assert from_text(dumpfile.read(tmp_path / "d.npz").reading) == READING
    run("load", "d.npz", "--name", "net", "--rpn", "post_nms_top_n=9", cwd=tmp_path)
    assert "post_nms_top_n=9, nms_thresh=0.5" in " ".join(made.read_text().split())
    done = run("inspect", "net.prototxt", "--rpn", "top=9", cwd=tmp_path, code=2)
    assert "--rpn 'top' is unknown" in done.stderr
