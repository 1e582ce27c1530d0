"""Labelled pictures from a folder, read with Pillow, in one fixed order."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset

from decant.loader.errors import BadInput, DecantError, EngineError
from decant.loader.pictures.recipe import Recipe, crops, prepare, read_picture

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
LISTS = ("val.txt", "labels.txt")

Batch = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Picture:
    """A file and the number of its class."""

    path: Path
    label: int


def find(folder: Path, names: Sequence[str] = ()) -> list[Picture]:
    """Pictures with labels: `val.txt` (lines `file label`), or one subfolder for each class.

    A subfolder is called by the class's number or by its name in `names` (its synset word, too).
    Raises BadInput with every line or folder that does not fit.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such folder; give one with labelled pictures")
    for name in LISTS:
        if (folder / name).is_file():
            found, wrong = _from_list(folder, folder / name)
            break
    else:
        found, wrong = _from_folders(folder, names)
    if wrong:
        raise BadInput(f"{folder}: {wrong[0]}", wrong)
    if not found:
        raise BadInput(f"{folder}: no pictures; one subfolder a class, or val.txt, is expected")
    return found


def _from_list(folder: Path, file: Path) -> tuple[list[Picture], list[str]]:
    found, wrong = [], []
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        name, _, label = line.strip().rpartition(" ")
        if not line.strip():
            continue
        if not name or not label.isdigit():
            wrong.append(f"{file.name}:{number}: expected `file label`")
        elif not (folder / name).is_file():
            wrong.append(f"{file.name}:{number}: {name} is not there")
        else:
            found.append(Picture(folder / name, int(label)))
    return found, wrong


def _from_folders(folder: Path, names: Sequence[str]) -> tuple[list[Picture], list[str]]:
    classes = {name: number for number, name in enumerate(names)}
    classes |= {name.split(" ")[0]: number for number, name in enumerate(names)}
    found, wrong = [], []
    for sub in sorted(path for path in folder.iterdir() if path.is_dir()):
        label = classes.get(sub.name, int(sub.name) if sub.name.isdigit() else None)
        if label is None:
            wrong.append(f"folder {sub.name!r} is neither a class's number nor its name")
            continue
        files = sorted(path for path in sub.rglob("*") if path.suffix.lower() in SUFFIXES)
        found += [Picture(path, label) for path in files]
    return found, wrong


def plan(total: int, size: int, rank: int = 0, world: int = 1) -> list[range]:
    """Which pictures each batch holds: every `world`-th batch from `rank` on, in order.

    Whole batches are dealt out, so that a picture is computed among the same others everywhere.
    """
    starts = range(rank * size, total, world * size)
    return [range(start, min(start + size, total)) for start in starts]


def default_workers(pictures: int) -> int:
    """A process for each core of this one's share, at most 8; none where few pictures are."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    beside = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return min(8, cores // beside, pictures // 512)


def batches(
    pictures: Sequence[Picture], parts: Sequence[range], recipe: Recipe, workers: int = 0
) -> Iterator[Batch]:
    """(N x C x H x W as the net wants them, N labels) for each of `parts`, in their order.

    `workers` processes read ahead; the order and the bytes are the same with any number of them.
    Warped to `resize` bilinearly, aspect not kept, then the centre is cut: the protocol of the
    published numbers that models.yaml marks comparable. Raises BadInput for what is not a picture.
    """
    try:
        for batch in _loader(_Prepared(pictures, recipe), parts, workers):
            if isinstance(batch, DecantError):
                raise batch
            yield batch
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise EngineError(
            f"a process that reads pictures died ({error}): give fewer with --workers"
        ) from None


def _loader(found: _Prepared, parts: Sequence[range], workers: int) -> DataLoader[Any]:
    with warnings.catch_warnings():
        # more workers than cores: the caller asked for them
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        return DataLoader(
            found,
            batch_sampler=[list(part) for part in parts],
            num_workers=min(workers, len(parts)),
            collate_fn=_collate,
            worker_init_fn=_begin_worker,
        )


class _Prepared(Dataset[Any]):
    """What the net wants of each picture and its label; or the error in its place.

    An error is handed on as a value: raised in a worker it would come with the worker's traceback.
    """

    def __init__(self, pictures: Sequence[Picture], recipe: Recipe) -> None:
        self.pictures, self.recipe = pictures, recipe

    def __getitem__(self, index: int) -> tuple[np.ndarray, int] | DecantError:
        item = self.pictures[index]
        try:
            return prepared(item, self.recipe), item.label
        except DecantError as error:
            return error


def _collate(items: Sequence[tuple[np.ndarray, int] | DecantError]) -> Batch | DecantError:
    """Arrays, not tensors: these would need shared memory, of which containers have little."""
    good = []
    for item in items:
        if isinstance(item, DecantError):
            return item
        good.append(item)
    return np.stack([array for array, _ in good]), np.array([label for _, label in good])


def _begin_worker(_number: int) -> None:
    """Ctrl-C is the main process's to handle; it then ends its workers, by SIGTERM if need be."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A main process that was killed cannot end its workers, and these wait to hand on a batch."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def prepared(item: Picture, recipe: Recipe) -> np.ndarray:
    """One picture, C x H x W; raises BadInput."""
    one: np.ndarray = crops(prepare(read_picture(item.path, recipe), recipe), recipe.crop)[0]
    return one
