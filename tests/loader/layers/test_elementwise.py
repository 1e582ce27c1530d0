"""Sums, products and maxima of blobs, softmax and argmax, against real Caffe's values of them, and the forks' published definitions."""

from __future__ import annotations

from pathlib import Path

import pytest

from decant.dumper.dumpfile import Dump
from tests.helpers.forks import computes_its_definition, forks_of
from tests.helpers.golden import computes_what_caffe_did, nets_of


@pytest.mark.parametrize("name", nets_of("elementwise"))
def test_a_layer_computes_what_caffe_computed(name: str, golden: dict[str, Dump]) -> None:
    computes_what_caffe_did(name, golden[name])


@pytest.mark.parametrize("name", forks_of("elementwise"))
def test_a_layer_computes_its_published_definition(name: str, tmp_path: Path) -> None:
    computes_its_definition(name, tmp_path)
