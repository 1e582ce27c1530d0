"""Stage 1: where a dump is kept, and what is refused before an engine runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from decant.loader.definition.reading import STOCK, Reading
from decant.stages.dump import _cached
from decant.stages.inputs import Inputs
from tests.helpers.converting import conv, input_layer, write_pair
from tests.helpers.training_nets import WEIGHTS

TRAIN, TEST = "include { phase: TRAIN }", "include { phase: TEST }"


NET = input_layer("data", 1, 3, 16, 16) + conv("c", "data", "c")


def test_two_readings_have_two_places_in_the_cache(tmp_path: Path) -> None:
    write_pair(tmp_path, NET, WEIGHTS)
    places = {
        _cached(
            Inputs(
                "net", None, tmp_path / "net.prototxt", tmp_path / "net.caffemodel", None, reading
            ),
            "reader",
            {"data": np.zeros((1, 3, 16, 16), np.float32)},
        )
        for reading in (STOCK, Reading("TRAIN"), Reading(crop="aligned"))
    }
    assert len(places) == 3
