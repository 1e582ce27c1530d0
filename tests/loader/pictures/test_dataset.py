"""Folders of labelled pictures: which batch holds which, and what cannot be read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from decant.loader.errors import BadInput, EngineError
from decant.loader.pictures import dataset
from decant.loader.pictures.recipe import Recipe

ROOT = Path(__file__).resolve().parents[3]


PICTURES = ROOT / "models/lenet_digits/validation"


RECIPE = Recipe("gray", (0.0,), 1.0, (16, 16))


@pytest.mark.parametrize("total, size, world", [(10, 3, 1), (10, 3, 2), (2, 3, 4), (64, 32, 2)])
def test_every_picture_is_in_one_batch_of_one_process(total: int, size: int, world: int) -> None:
    parts = [part for rank in range(world) for part in dataset.plan(total, size, rank, world)]
    assert sorted(index for part in parts for index in part) == list(range(total))
    assert sorted(parts, key=lambda part: part.start) == dataset.plan(total, size)


def test_workers_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    assert [dataset.default_workers(count) for count in (0, 511, 512, 50_000)] == [0, 0, 1, 6]
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert dataset.default_workers(50_000) == 3


@pytest.mark.parametrize("workers", [0, 2])
def test_a_picture_cut_short_is_refused(tmp_path: Path, workers: int) -> None:
    good = next((PICTURES / "1").glob("*.png"))
    (tmp_path / "good.png").write_bytes(good.read_bytes())
    (tmp_path / "short.png").write_bytes(good.read_bytes()[:-30])
    (tmp_path / "val.txt").write_text("good.png 1\nshort.png 1\n")
    pictures = dataset.find(tmp_path)
    with pytest.raises(BadInput, match="short.png: not a picture"):
        list(dataset.batches(pictures, [range(0, 2)], RECIPE, workers))


class _Dies(dataset._Prepared):
    def __getitem__(self, index: int) -> Any:
        os._exit(1)


def test_a_worker_that_dies_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "_Prepared", _Dies)
    pictures = dataset.find(PICTURES)[:4]
    with pytest.raises(EngineError, match="--workers"):
        list(dataset.batches(pictures, [range(0, 4)], RECIPE, 1))
