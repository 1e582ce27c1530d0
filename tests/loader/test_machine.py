"""Units that differ between Linux and macOS, and words between a checkout and a package."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from decant.loader import machine
from decant.loader.machine import peak_memory

KEPT = 64 << 20


@pytest.mark.parametrize(("platform", "said"), [("linux", 3 << 10), ("darwin", 3 << 20)])
def test_memory_is_in_bytes(platform: str, said: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(resource, "getrusage", lambda _who: SimpleNamespace(ru_maxrss=said))
    assert peak_memory() == 3 << 20


def test_memory_that_is_held_is_counted() -> None:
    held = np.ones(KEPT, np.uint8)
    assert KEPT < peak_memory() < 1 << 40
    assert held[-1] == 1


def test_make_is_named_in_a_checkout_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.is_checkout()
    assert machine.convert_command("vgg16") == "make convert MODEL=vgg16"
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    assert machine.convert_command("vgg16") == "decant convert vgg16"
