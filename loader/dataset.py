"""Labelled pictures from a folder, read with Pillow, in one fixed order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loader.errors import BadInput
from loader.recipe import Recipe, crops, prepare, read_picture

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
LISTS = ("val.txt", "labels.txt")


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


def batches(
    pictures: Sequence[Picture], size: int, recipe: Recipe
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(N x C x H x W as the net wants them, N labels), in order.

    Warped to `resize` bilinearly, aspect not kept, then the centre is cut: the protocol of the
    published numbers that models.yaml marks comparable.
    """
    for start in range(0, len(pictures), size):
        part = pictures[start : start + size]
        arrays = [prepared(item, recipe) for item in part]
        yield np.stack(arrays), np.array([item.label for item in part])


def prepared(item: Picture, recipe: Recipe) -> np.ndarray:
    """One picture, C x H x W."""
    one: np.ndarray = crops(prepare(read_picture(item.path, recipe), recipe), recipe.crop)[0]
    return one
