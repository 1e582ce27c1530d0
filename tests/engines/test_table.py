"""The table alone says which engines there are."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Literal

import pytest

from decant.engines import table
from decant.engines.choose import choose
from decant.engines.docker import connection
from decant.loader.definition.graph import Net
from decant.stages.answers import beside as answering
from tests.helpers.choosing import FORK, net, no_engine


class Third:
    """An engine that somebody adds: it takes the fork's net, and runs it."""

    name, runs, lacks, refusal = "third", True, "", "the third cannot run this net"

    def available(self) -> str:
        return "the third is here"

    def takes(self, net: Net, *_: object) -> list[str]:
        return []


def test_the_table_alone_says_which_engines_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "connect", no_engine)
    monkeypatch.setitem(sys.modules, "decant.engines.third", SimpleNamespace(ENGINE=Third()))
    monkeypatch.setattr(table, "Name", Literal["caffe", "third", "reader"])
    assert choose("auto", net()).engine.name == choose("auto", FORK).engine.name == "third"
    assert choose("third", FORK).reason == "asked for"  # type: ignore[arg-type]
    assert answering("third").name == "third"  # type: ignore[arg-type, union-attr]
    assert answering("reader") is None is answering("auto")
