"""Enlarging, shrinking and unpooling, against their published definitions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.forks import computes_its_definition, forks_of


@pytest.mark.parametrize("name", forks_of("resampling"))
def test_a_layer_computes_its_published_definition(name: str, tmp_path: Path) -> None:
    computes_its_definition(name, tmp_path)
