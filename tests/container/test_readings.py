"""Definitions that are read in another way than Caffe would: what it is given is proven all the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from decant.loader.definition.reading import NO_OPTIONS, ReadingOptions
from tests.helpers.converting import converted, layer, random, write_pair
from tests.helpers.crop_nets import ask
from tests.loader.definition.test_crop import FORK
from tests.loader.definition.test_phases import ALL_IN_ONE, IN_THE_WAY, NET, TRAIN_FILE

FILES = {
    "crop aligned": (FORK, ReadingOptions(crop="aligned")),
    "crop as stock": (FORK, NO_OPTIONS),
    "train only": (TRAIN_FILE, ReadingOptions(phase="train")),
    "stage": (ALL_IN_ONE, ReadingOptions(stages=["deploy"])),
    "in the way": (NET + "".join(IN_THE_WAY), NO_OPTIONS),
}


@pytest.mark.parametrize("name", FILES)
def test_what_caffe_gets_is_what_is_converted(name: str, image: str, tmp_path: Path) -> None:
    text, asked = FILES[name]
    if name == "in the way":  # each under a name of its own
        text = NET + "".join(
            more.replace('"l"', f'"l{number}"') for number, more in enumerate(IN_THE_WAY)
        )
    channels = 1 if text == FORK else 3
    write_pair(tmp_path, text, [("c", "Convolution", [random(4, channels, 3, 3), random(4)])])
    converted(tmp_path, asked, engine="caffe")
    parity = json.loads((tmp_path / "artifacts/net/parity.json").read_text())
    assert parity["status"] == "passed" and image


def test_a_crop_of_two_channels_more_agrees(image: str, tmp_path: Path) -> None:
    text = FORK.replace('top: "out"', 'top: "out" crop_param { axis: 1 }')
    text += layer("r", "ReLU", "out", "r")
    write_pair(tmp_path, text, [("c", "Convolution", [random(4, 1, 3, 3), random(4)])])
    converted(tmp_path, ReadingOptions(crop="aligned"), engine="caffe")
    assert image


def test_offsets_of_pycaffe_are_as_recorded(image: str) -> None:
    recorded = Path(__file__).parents[1] / "loader/definition/coord_map.json"
    assert ask() == json.loads(recorded.read_text()) and image
