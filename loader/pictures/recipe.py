"""How a net's pictures are prepared: a recipe, recovered from a definition and applied to pictures.

data_transformer.cpp: (x - mean) * scale, mean first, and a mean image at the crop's own position in the
picture; at TEST the crop is the centre, begun at (size - crop) / 2 in whole numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from decant.loader.definition.graph import Layer, Net
from decant.loader.errors import BadInput, UsageError
from decant.loader.pictures import MEAN_IMAGE
from decant.loader.plan.deploy import mean_file, own_message, prepares_pictures
from decant.loader.weights import caffemodel

# how a picture gets its size, for the record: other libraries and modes give other numbers
RESAMPLING = "bilinear, antialiased when shrinking (Pillow), aspect not kept"
# what Pillow raises for files that are not pictures, or broken ones
UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)


@dataclass(frozen=True)
class Recipe:
    """`mean`: a value for each channel, in the net's order; `mean_image`: C x H x W in its place.

    `resize` is (H, W); `crop` a square, None for none. `notes`: what was left out on the way.
    """

    channel_order: str
    mean: tuple[float, ...]
    scale: float
    resize: tuple[int, int]
    crop: int | None = None
    mean_image: np.ndarray | None = field(default=None, compare=False)
    notes: tuple[str, ...] = ()

    @property
    def channels(self) -> int:
        """1 for grey."""
        return 1 if self.channel_order == "gray" else 3

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of what the net gets."""
        return (self.crop, self.crop) if self.crop else self.resize

    def to_json(self) -> dict[str, Any]:
        """For manifest.json."""
        return {
            "channel_order": self.channel_order,
            "mean": list(self.mean),
            "scale": self.scale,
            "resize": list(self.resize),
            "crop": self.crop,
            **({"mean_image": MEAN_IMAGE} if self.mean_image is not None else {}),
        }


def recover(net: Net, channels: int, beside: Path | None) -> tuple[Recipe | None, list[str]]:
    """The recipe that a training definition's data layer holds, and notes; None where none does.

    `beside`: the folder of the definition, for its mean file.
    """
    layers = list(filter(prepares_pictures, net.layers))
    if len(layers) != 1 or channels not in (1, 3):
        return None, []
    (layer,) = layers
    transform, own = layer.fields.message("transform_param"), own_message(layer)
    notes = [f"{layer.name}: mirror is left out"] if transform.boolean("mirror") else []
    crop = transform.integer("crop_size") or own.integer("crop_size") or None
    mean: tuple[float, ...] = tuple(float(text) for text in transform.texts("mean_value")) or (0.0,)
    image = None
    if transform.text("mean_file"):
        path = mean_file(layer, beside) if beside is not None else None
        if path is None:
            missing = f"mean file {transform.text('mean_file')!r} is not at hand"
            return None, [
                *notes,
                f"{layer.name}: {missing}: how pictures are prepared is not known",
            ]
        image = read_mean(path)
        if image.ndim != 3 or (crop and min(image.shape[1:]) < crop):
            shape = " x ".join(map(str, image.shape))
            return None, [
                *notes,
                f"{layer.name}: {path.name} ({shape}) is not a mean of its pictures",
            ]
        mean = tuple(float(value) for value in image.mean((1, 2)))
    resize = _picture_size(layer, image, crop)
    if resize is None or (len(mean) not in (1, channels)):
        return None, notes
    recipe = Recipe(
        "BGR" if channels == 3 else "gray",
        mean if len(mean) == channels else mean * channels,
        float(transform.text("scale", "1")),
        resize,
        crop,
        image,
    )
    return recipe, notes


def mean_file_of(net: Net, beside: Path) -> Path | None:
    """The mean file that `recover` would read."""
    layers = list(filter(prepares_pictures, net.layers))
    return mean_file(layers[0], beside) if len(layers) == 1 else None


def _picture_size(
    layer: Layer, image: np.ndarray | None, crop: int | None
) -> tuple[int, int] | None:
    """The mean image's; or what the layer resizes to; or no more than the crop."""
    if image is not None:
        return image.shape[1], image.shape[2]
    own = own_message(layer)
    high, wide = own.integer("new_height"), own.integer("new_width")
    return (high, wide) if high and wide else (crop, crop) if crop else None


def read_mean(path: Path) -> np.ndarray:
    """C x H x W float32 from a .binaryproto or .npy; raises BadInput."""
    try:
        if path.suffix == ".npy":
            found = np.load(path, allow_pickle=False)
        else:
            blob = caffemodel.read_blob(path)
            found = blob.array().reshape(blob.shape)
        found = np.asarray(found, np.float32)
    except (caffemodel.CaffemodelError, ValueError, OSError) as error:
        raise BadInput(f"{path}: not a mean file: {error}") from None
    found = found[0] if found.ndim == 4 else found
    if found.ndim not in (1, 3) or found.shape[0] not in (1, 3) or not np.isfinite(found).all():
        raise BadInput(f"{path}: a mean of shape {found.shape}; C x H x W is expected")
    return found


def with_mean(recipe: Recipe, word: str) -> Recipe:
    """`word`: values (`104,117,123`), or a file. Raises UsageError or BadInput."""
    if Path(word).is_file():
        found = read_mean(Path(word))
        values = tuple(float(value) for value in found.reshape(len(found), -1).mean(1))
        image = found if found.ndim == 3 else None
    else:
        try:
            values, image = tuple(float(value) for value in word.split(",")), None
        except ValueError:
            raise UsageError(f"--mean {word}: neither a file nor values as 104,117,123") from None
    if not np.isfinite(values).all():
        raise UsageError(f"--mean {word}: not a number")
    if len(values) == 1:
        values *= recipe.channels
    if len(values) != recipe.channels:
        raise UsageError(f"--mean {word}: {len(values)} channels, the net has {recipe.channels}")
    return replace(recipe, mean=values, mean_image=image)


def open_picture(path: Path, mode: str = "RGB") -> Image.Image:
    """The whole picture at its own size, "RGB" or "L"; raises BadInput."""
    try:
        with Image.open(path) as file:
            return _eight_bits(file).convert(mode)
    except UNREADABLE as error:
        raise BadInput(f"{path}: not a picture that Pillow can read ({error})") from None


def read_picture(path: Path, recipe: Recipe) -> np.ndarray:
    """C x H x W float32, RGB or grey, 0..1, warped to `resize` bilinearly; raises BadInput."""
    height, width = recipe.resize
    picture = open_picture(path, "RGB" if recipe.channels == 3 else "L")
    picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    array = np.asarray(picture, np.float32) / np.float32(255)
    return np.ascontiguousarray(array[None] if array.ndim == 2 else array.transpose(2, 0, 1))


def _eight_bits(file: Image.Image) -> Image.Image:
    """Of 16 bits the upper eight: Pillow's own way cuts off at 255."""
    if file.mode[:1] != "I":
        return file
    return Image.fromarray(np.clip(np.asarray(file, np.float32) / 257, 0, 255).astype(np.uint8))


def prepare(picture: np.ndarray, recipe: Recipe) -> np.ndarray:
    """The whole picture (RGB, 0..1, C x H x W) as the net wants it, not yet cropped."""
    x = picture[::-1] if recipe.channel_order == "BGR" else picture
    found: np.ndarray = (x * np.float32(255) - _mean_at(recipe, picture.shape[1:])) * np.float32(
        recipe.scale
    )
    return found


def _mean_at(recipe: Recipe, size: Sequence[int]) -> np.ndarray:
    image = recipe.mean_image
    if image is None:
        return np.asarray(recipe.mean, np.float32)[:, None, None]
    if image.shape[1:] != tuple(size):
        raise UsageError(
            f"a mean image of {image.shape[1]} x {image.shape[2]} for pictures of {size[0]} x "
            f"{size[1]}: give values with --mean"
        )
    return image


def centre(size: Sequence[int], crop: int) -> tuple[int, int]:
    """Where the middle crop begins: (top, left)."""
    return (size[0] - crop) // 2, (size[1] - crop) // 2


def crops(x: np.ndarray, crop: int | None, oversample: bool = False) -> np.ndarray:
    """The centre, 1 x C x h x w; or ten: four corners and the centre, and all of them mirrored."""
    if crop is None:
        return np.ascontiguousarray(x[None])
    height, width = x.shape[1:]
    places = [centre((height, width), crop)]
    if oversample:
        places = [
            (0, 0),
            (0, width - crop),
            (height - crop, 0),
            (height - crop, width - crop),
            *places,
        ]
    found = [x[:, top : top + crop, left : left + crop] for top, left in places]
    if oversample:
        found += [part[:, :, ::-1] for part in found]
    return np.ascontiguousarray(np.stack(found))
