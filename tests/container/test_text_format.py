"""Our reading of the text format and of the schema, against the C++ parser of Caffe itself."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import patch

import pytest

from decant.engines.caffe import run_script
from decant.loader.definition import schema
from decant.loader.definition.prototxt import Message, lines_of, parse
from decant.loader.errors import BadInput
from tests.helpers.in_caffe import SCRIPTS
from tests.helpers.random_texts import Writer

Answer = tuple[bool, str, str]


class Everything:
    """Stands for the known layer types: of a fork's type only what no Caffe can read is a fault."""

    def __contains__(self, name: str) -> bool:
        return True


def ask(folder: Path, texts: list[str]) -> list[Answer]:
    """(taken, what protobuf says, the message as text). `folder` is made."""
    folder.mkdir()
    (folder / "texts.json").write_text(json.dumps(texts))
    run_script(SCRIPTS / "parse_texts.py", folder, "answers.json")
    return [
        (taken, said, shown)
        for taken, said, shown in json.loads((folder / "answers.json").read_text())
    ]


def read(text: str) -> tuple[Message | None, str]:
    """The tree, and what is wrong with it."""
    try:
        tree = parse(text, "net.prototxt")
    except BadInput as error:
        return None, error.message
    with patch.object(schema, "TYPES", Everything()):
        return tree, "; ".join(map(str, schema.faults(tree, "Net")))


@pytest.mark.parametrize("seed", [1, 2])
def test_we_take_what_caffe_takes_and_read_the_same(seed: int, tmp_path: Path) -> None:
    writer = Writer(seed)
    texts = [writer.text() for _ in range(3000)]
    differ, again, shown = [], [], []
    for text, (taken, said, printed) in zip(texts, ask(tmp_path / "written", texts), strict=True):
        tree, wrong = read(text)
        if taken and "UTF-8" in wrong:
            continue  # pycaffe's strings are Unicode: refused on purpose
        if taken is bool(wrong):
            differ.append(f"{text!r}: Caffe: {said or 'taken'}; we: {wrong or 'taken'}")
        elif taken and tree is not None:
            again.append("\n".join(lines_of(tree)))
            shown.append(printed)
    assert not differ, "\n".join(differ[:10])
    assert len(again) > 500
    for text, printed, (taken, said, once_more) in zip(
        again, shown, ask(tmp_path / "rendered", again), strict=True
    ):
        assert taken and once_more == printed, f"{text}\n{said}"
