"""Where values of the inputs go: NumPy does the same to the values themselves."""

from __future__ import annotations

import numpy as np
import pytest

from decant.loader.definition.graph import net_from_text
from decant.loader.layers import moving
from decant.loader.layers.moving import Moved, Moving
from tests.helpers.nets import layer

PLACES = np.arange(24).reshape(2, 3, 4)
INPUT = 'layer { name: "in" type: "Input" top: "a" top: "b" input_param { shape { dim: 2 dim: 3 dim: 4 } shape { dim: 2 } } }\n'


def site(
    kind: str, param: str, outs: list[tuple[int, ...]], *ins: Moved | None, tops: int = 1
) -> Moving:
    names = [f"t{at}" for at in range(tops)]
    text = INPUT + layer("it", kind, ["a", "b"][: len(ins)], names, param)
    found = net_from_text(text, "f").layers[-1]
    shapes = [x.places.shape if x is not None else (2, 3, 4) for x in ins]
    return Moving(found, ins, shapes, outs, np.arange(24.0))


def places(found: object) -> list[np.ndarray]:
    return [x.places for x in found]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("move", "kind", "param", "wanted"),
    [
        (moving.reshaped, "Flatten", "", PLACES.reshape(2, 12)),
        (moving.tiled, "Tile", "tile_param { axis: 2 tiles: 2 }", np.tile(PLACES, (1, 1, 2))),
        (
            moving.permuted,
            "Permute",
            "permute_param { order: 0 order: 2 }",
            PLACES.transpose(0, 2, 1),
        ),
        (moving.reversed_, "Reverse", "reverse_param { axis: 1 }", PLACES[:, ::-1]),
    ],
)
def test_one_bottom_is_moved_as_numpy_moves_it(
    move: moving.Move, kind: str, param: str, wanted: np.ndarray
) -> None:
    (found,) = places(move(site(kind, param, [wanted.shape], Moved(PLACES))))
    assert np.array_equal(found, wanted)
    assert move(site(kind, param, [wanted.shape], None)) == [None]


def test_a_slice_is_cut_and_a_concat_joined() -> None:
    cut = site(
        "Slice",
        "slice_param { axis: -1 slice_point: 1 }",
        [(2, 3, 1), (2, 3, 3)],
        Moved(PLACES),
        tops=2,
    )
    one, other = moving.sliced(cut)
    assert one and other and np.array_equal(other.places, PLACES[..., 1:])
    join = site("Concat", "concat_param { axis: 2 }", [(2, 3, 4)], one, other)
    (found,) = moving.joined(join)
    assert found and np.array_equal(found.places, PLACES)
    shifted = site("Concat", "", [(2, 3, 4)], one, Moved(other.places, shift=1.0))
    assert moving.joined(shifted) == [None]


def test_rows_are_picked_by_the_values_of_the_index() -> None:
    index = Moved(np.array([1, 0]), scale=1.0)
    (found,) = places(moving.picked(site("BatchReindex", "", [(2, 3, 4)], Moved(PLACES), index)))
    assert np.array_equal(found, PLACES[[1, 0]])


def test_a_power_of_one_scales_and_shifts_and_another_is_not_followed() -> None:
    linear = site(
        "Power", "power_param { scale: 2 shift: -1 }", [(2, 3, 4)], Moved(PLACES, 3.0, 5.0)
    )
    (found,) = moving.scaled(linear)
    assert found is not None and (found.scale, found.shift) == (6.0, 9.0)
    square = site("Power", "power_param { power: 2 }", [(2, 3, 4)], Moved(PLACES))
    assert moving.scaled(square) == [None]
