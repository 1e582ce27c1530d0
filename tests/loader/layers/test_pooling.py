"""Pooling and spatial pyramids, against real Caffe's values of them."""

from __future__ import annotations

import pytest

from decant.dumper.dumpfile import Dump
from tests.helpers.golden import computes_what_caffe_did, nets_of


@pytest.mark.parametrize("name", nets_of("pooling"))
def test_a_layer_computes_what_caffe_computed(name: str, golden: dict[str, Dump]) -> None:
    computes_what_caffe_did(name, golden[name])
