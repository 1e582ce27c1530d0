"""What real Caffe computed for the small nets."""

from __future__ import annotations

import pytest

from decant.dumper.dumpfile import Dump
from tests.helpers.caffe_answers import GOLDEN, unpack


@pytest.fixture(scope="session")
def golden(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dump]:
    return unpack(GOLDEN, tmp_path_factory.mktemp("golden"))
