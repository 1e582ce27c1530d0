"""Labelled pictures from a folder, read with Pillow, in one fixed order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from loader.errors import BadInput

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


def read(path: Path, channels: int, resize: tuple[int, int], crop: int | None) -> np.ndarray:
    """channels x H x W float32, RGB (or grey), 0..1.

    Warped to `resize` (H, W) bilinearly, aspect not kept, then the centre is cut: the protocol of
    the published numbers that models.yaml marks comparable.
    """
    try:
        with Image.open(path) as file:
            picture = file.convert("RGB" if channels == 3 else "L")
            height, width = resize
            picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    except (OSError, UnidentifiedImageError, ValueError) as error:
        raise BadInput(f"{path}: not a picture that Pillow can read ({error})") from None
    if crop is not None:
        left, top = round((width - crop) / 2), round((height - crop) / 2)
        picture = picture.crop((left, top, left + crop, top + crop))
    array = np.asarray(picture, np.float32) / np.float32(255)
    return np.ascontiguousarray(array[None] if array.ndim == 2 else array.transpose(2, 0, 1))


def batches(
    pictures: Sequence[Picture],
    size: int,
    channels: int,
    resize: tuple[int, int],
    crop: int | None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(N x channels x H x W, N labels), in order."""
    for start in range(0, len(pictures), size):
        part = pictures[start : start + size]
        arrays = [read(item.path, channels, resize, crop) for item in part]
        yield np.stack(arrays), np.array([item.label for item in part])
