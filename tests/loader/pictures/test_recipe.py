"""How pictures are prepared: data_transformer.cpp's arithmetic, and what a definition says of it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from decant.loader.definition.graph import net_from_text
from decant.loader.errors import BadInput, UsageError
from decant.loader.pictures import labels
from decant.loader.pictures.recipe import (
    Recipe,
    crops,
    open_picture,
    prepare,
    read_mean,
    read_picture,
    recover,
    with_mean,
)
from decant.loader.pictures.transforms import build_transform
from tests.helpers import encode_caffemodel as encode

RANDOM = np.random.default_rng(4)
PICTURE = RANDOM.random((3, 10, 12)).astype(np.float32)


def by_hand(
    picture: np.ndarray, mean: np.ndarray, scale: float, top: int, left: int, crop: int
) -> np.ndarray:
    """(x - mean at the same place) * scale, pixel by pixel, channels reversed."""
    out = np.empty((3, crop, crop))
    for c in range(3):
        for h in range(crop):
            for w in range(crop):
                x = picture[2 - c, top + h, left + w] * 255
                out[c, h, w] = (x - mean[c, top + h, left + w]) * scale
    return out


def test_a_mean_image_is_subtracted_at_the_crops_position() -> None:
    image = RANDOM.random((3, 10, 12)).astype(np.float32) * 200
    recipe = Recipe("BGR", (1.0, 2.0, 3.0), 0.5, (10, 12), 7, image)
    (found,) = crops(prepare(PICTURE, recipe), 7)
    assert np.allclose(found, by_hand(PICTURE, image, 0.5, 1, 2, 7), atol=1e-4)
    # the transform that `load` returns takes the picture that is cropped already
    cropped = torch.from_numpy(PICTURE[:, 1:8, 2:9].copy())[None]
    assert np.allclose(build_transform(recipe)(cropped)[0].numpy(), found, atol=1e-4)
    with pytest.raises(UsageError, match="mean image of 10 x 12"):
        prepare(PICTURE[:, :5], recipe)


def test_a_mean_pixel() -> None:
    recipe = Recipe("BGR", (10.0, 20.0, 30.0), 2.0, (10, 12), 6)
    (found,) = crops(prepare(PICTURE, recipe), 6)
    flat = np.broadcast_to(np.array([10.0, 20, 30])[:, None, None], (3, 10, 12))
    assert np.allclose(found, by_hand(PICTURE, flat, 2.0, 2, 3, 6), atol=1e-3)


def test_ten_crops() -> None:
    x = np.arange(3 * 10 * 12, dtype=np.float32).reshape(3, 10, 12)
    found = crops(x, 4, oversample=True)
    places = [(0, 0), (0, 8), (6, 0), (6, 8), (3, 4)]
    for at, (top, left) in enumerate(places):
        assert np.array_equal(found[at], x[:, top : top + 4, left : left + 4])
        assert np.array_equal(found[at + 5], x[:, top : top + 4, left : left + 4][:, :, ::-1])


def data(param: str, kind: str = "Data", own: str = "") -> str:
    extra = f"image_data_param {{ {own} }}" if own else ""
    return f'layer {{ name: "d" type: "{kind}" top: "data" top: "label" transform_param {{ {param} }} {extra} }}'


def test_a_training_definition_says_how(tmp_path: Path) -> None:
    text = data("crop_size: 6 scale: 0.5 mean_value: 1 mean_value: 2 mean_value: 3 mirror: true")
    recipe, notes = recover(net_from_text(text, "net"), 3, None)
    assert recipe == Recipe("BGR", (1.0, 2.0, 3.0), 0.5, (6, 6), 6)
    assert notes == ["d: mirror is left out"]
    recipe, _ = recover(
        net_from_text(data("mean_value: 9", "ImageData", "new_height: 8 new_width: 7"), "net"),
        1,
        None,
    )
    assert recipe == Recipe("gray", (9.0,), 1.0, (8, 7))
    image = RANDOM.random((1, 3, 10, 12)).astype(np.float32)
    (tmp_path / "mean.binaryproto").write_bytes(encode.blob(image))
    text = data('crop_size: 6 mean_file: "somewhere/mean.binaryproto"')
    recipe, _ = recover(net_from_text(text, "net"), 3, tmp_path)
    assert recipe is not None
    assert recipe.resize == (10, 12)
    assert np.array_equal(recipe.mean_image, image[0])  # type: ignore[arg-type]
    recipe, notes = recover(net_from_text(text, "net"), 3, None)
    assert recipe is None, "no mean is not a mean of zero"
    assert "not at hand" in notes[0]


@pytest.mark.parametrize("shape", [(3,), (3, 6, 6)])
def test_a_file_that_is_no_mean_of_its_pictures_is_noted(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    (tmp_path / "mean.binaryproto").write_bytes(encode.blob(np.ones(shape, np.float32)))
    text = (
        'layer { name: "d" type: "Data" top: "data" transform_param { crop_size: 8 '
        'mean_file: "mean.binaryproto" } }'
    )
    recipe, (note,) = recover(net_from_text(text, "net"), 3, tmp_path)
    assert recipe is None and "not a mean of its pictures" in note


def test_a_mean_file_of_an_impossible_name_is_not_at_hand(tmp_path: Path) -> None:
    text = f'layer {{ name: "d" type: "Data" top: "data" transform_param {{ mean_file: "{"x" * 300}" }} }}'
    recipe, (note,) = recover(net_from_text(text, "net"), 3, tmp_path)
    assert recipe is None and "not at hand" in note


def test_means_from_words_and_files(tmp_path: Path) -> None:
    plain = Recipe("BGR", (0.0, 0.0, 0.0), 1.0, (4, 4))
    assert with_mean(plain, "104,117,123").mean == (104.0, 117.0, 123.0)
    assert with_mean(plain, "5").mean == (5.0, 5.0, 5.0)
    np.save(tmp_path / "pixel.npy", np.array([1.0, 2, 3]))
    assert with_mean(plain, str(tmp_path / "pixel.npy")).mean == (1.0, 2.0, 3.0)
    np.save(tmp_path / "image.npy", np.ones((3, 4, 4)))
    assert with_mean(plain, str(tmp_path / "image.npy")).mean_image is not None
    for word in ("blue", "1,2"):
        with pytest.raises(UsageError):
            with_mean(plain, word)
    (tmp_path / "bad.binaryproto").write_bytes(b"<html>")
    with pytest.raises(BadInput):
        read_mean(tmp_path / "bad.binaryproto")


def test_pictures_are_warped_and_grey_where_the_net_is(tmp_path: Path) -> None:
    Image.fromarray((PICTURE.transpose(1, 2, 0) * 255).astype(np.uint8)).save(tmp_path / "x.png")
    assert read_picture(tmp_path / "x.png", Recipe("BGR", (0.0,) * 3, 1.0, (5, 6))).shape == (
        3,
        5,
        6,
    )
    assert read_picture(tmp_path / "x.png", Recipe("gray", (0.0,), 1.0, (5, 6))).shape == (1, 5, 6)
    (tmp_path / "y.png").write_text("no picture")
    with pytest.raises(BadInput, match="not a picture"):
        read_picture(tmp_path / "y.png", Recipe("gray", (0.0,), 1.0, (5, 6)))


def test_a_broken_picture_is_bad_input_whatever_pillow_raises(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, "png")
    # a chunk without a name amid the picture: a SyntaxError
    start, name, data = file.getvalue().partition(b"IDAT")
    chunk = b"\0\0\0\4" + name + data[:4] + b"\0\0\0\0"
    (tmp_path / "x.png").write_bytes(start[:-4] + chunk + b"\0\0\0\4\1\2\3\4" + data)
    with pytest.raises(BadInput, match="not a picture"):
        open_picture(tmp_path / "x.png")


def test_labels_of_all_kinds(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text(
        "n01440764 tench, Tinca tinca\n/a/airfield 0\n/a/apartment_building/outdoor 8\nplain name\n"
    )
    assert labels.read(file) == [
        "tench, Tinca tinca",
        "airfield",
        "apartment_building/outdoor",
        "plain name",
    ]
    file.write_text("\n")
    with pytest.raises(BadInput):
        labels.read(file)
