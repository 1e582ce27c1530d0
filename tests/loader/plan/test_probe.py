"""What each input of a net is fed, by who reads it. The module itself says what arrives where."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from decant.loader.artifact.recording import activations
from decant.loader.definition.graph import net_from_text
from decant.loader.errors import BadInput, UsageError
from decant.loader.plan.deploy import deploy
from decant.loader.plan.probe import Spread, choose, make_probe
from tests.helpers.nets import Shape, inputs_text, layer
from tests.helpers.random_weights import random_blobs
from tests.loader.source.test_codegen import built

ROWS = 50
EMBED = layer("embed", "Embed", ["m"], ["e"], f"embed_param {{ num_output: 4 input_dim: {ROWS} }}")
RECURRENT = "recurrent_param { num_output: 3 }"


def arrived(text: str, name: str) -> np.ndarray:
    """What layer `name` gives when the net of `text` is run on its probe."""
    net = net_from_text(text, "net")
    probe = make_probe(net)
    _, module = built(net, random_blobs(net))
    found = activations(module, [torch.from_numpy(array) for array in probe.values()])[name]
    return np.asarray((found[0] if isinstance(found, list) else found).numpy())


@pytest.mark.parametrize(
    ("shape", "deviation"),
    [
        ((1, 3, 40, 40), 50),
        ((1, 1, 40, 40), 50),
        ((1, 3, 4, 20, 20), 50),
        ((1, 20, 20, 20), 1),
        ((1, 3, 1, 1), 1),
        ((1, 1, 1, 2000), 1),
        ((1, 2000), 1),
        ((5, 2, 200), 1),
        ((2000,), 1),
    ],
)
def test_pictures_have_the_spread_of_pictures_and_features_that_of_features(
    shape: Shape, deviation: float
) -> None:
    net = net_from_text(inputs_text({"data": shape}) + layer("a", "AbsVal", ["data"], ["a"]), "net")
    chosen = choose(net)
    found = chosen.arrays["data"]
    assert found.shape == shape and found.dtype == np.float32
    # three values say little of a spread
    assert found.size < 10 or 0.8 < found.std() / deviation < 1.2
    what = "a picture" if deviation == 50 else "features"
    assert str(chosen) == f"data normal, deviation {deviation} ({what})"


MOVES = {
    "reshape": layer("m", "Reshape", ["words"], ["m"], "reshape_param { shape { dim: -1 } }"),
    "flatten": layer("m", "Flatten", ["words"], ["m"], "flatten_param { axis: 0 }"),
    "permute": layer("m", "Permute", ["words"], ["m"], "permute_param { order: 1 order: 0 }"),
    "tile": layer("m", "Tile", ["words"], ["m"], "tile_param { axis: -1 tiles: 3 }"),
    "dropout": layer("m", "Dropout", ["words"], ["m"]),
    "slice": layer("m", "Slice", ["words"], ["m", "rest"], "slice_param { axis: 0 slice_point: 5 }")
    + layer("r", "AbsVal", ["rest"], ["r"]),
    "concat": layer("m", "Concat", ["words", "words"], ["m"], "concat_param { axis: 0 }"),
    "power": layer("m", "Power", ["words"], ["m"], "power_param { scale: 2 shift: -6 }"),
    "twice": layer("f", "Flatten", ["words"], ["f"], "flatten_param { axis: 0 }")
    + layer("p", "Power", ["f"], ["f"], "power_param { shift: 1 }")
    + layer("m", "Reshape", ["f"], ["m"], "reshape_param { shape { dim: 4 dim: 3 } }"),
    "halves": layer("s", "Slice", ["words"], ["a", "b"], "slice_param { axis: 1 }")
    + layer("m", "Concat", ["b", "a"], ["m"], "concat_param { axis: 0 }"),
}  # fmt: skip


@pytest.mark.parametrize("move", MOVES)
def test_an_index_is_one_also_where_it_is_moved_before_it_is_read(move: str) -> None:
    found = arrived(inputs_text({"words": (6, 2)}) + MOVES[move] + EMBED, "m")
    assert ((found >= 0) & (found < ROWS) & (found == np.floor(found))).all()
    # the ends of the range, and others
    assert {0, ROWS - 1} <= {*found.ravel().tolist()}
    assert len(np.unique(found)) > 3


def test_an_index_that_is_one_of_rows_picked_by_another() -> None:
    text = inputs_text({"words": (6, 2), "which": (3,)})
    text += layer("m", "BatchReindex", ["words", "which"], ["m"]) + EMBED
    found = arrived(text, "m")
    assert found.shape == (3, 2)
    assert ((found >= 0) & (found < ROWS) & (found == np.floor(found))).all()


def test_an_index_behind_a_filter() -> None:
    text = inputs_text({"words": (6, 2), "keep": (6,)})
    text += layer("m", "Filter", ["words", "keep"], ["m"]) + EMBED
    found = arrived(text, "m")
    assert 0 < len(found) < 6
    assert ((found >= 0) & (found < ROWS) & (found == np.floor(found))).all()


def test_two_readers_of_one_index_are_both_served() -> None:
    for first, second in ((ROWS, 5), (5, ROWS)):
        text = inputs_text({"words": (40,)})
        for name, rows in (("one", first), ("two", second)):
            text += layer(
                name,
                "Embed",
                ["words"],
                [name],
                f"embed_param {{ num_output: 2 input_dim: {rows} }}",
            )
        found = make_probe(net_from_text(text, "net"))["words"]
        assert found.min() == 0 and 0 < found.max() < 5


def test_a_part_of_an_input_may_be_indices() -> None:
    text = inputs_text({"both": (40, 3)})
    text += (
        layer("s", "Slice", ["both"], ["m", "x"], "slice_param { axis: 1 slice_point: 1 }") + EMBED
    )
    chosen = choose(net_from_text(text, "net"))
    words, features = np.split(chosen.arrays["both"], [1], 1)
    assert (words == np.floor(words)).all() and words.max() == ROWS - 1
    assert features.min() < 0 and 0.7 < features.std() < 1.3
    assert "in part indices from 0 to 49" in str(chosen)


def test_an_index_that_the_net_makes_itself_is_none_of_ours() -> None:
    text = inputs_text({"data": (4, 9)}) + layer("m", "ArgMax", ["data"], ["m"])
    found = choose(net_from_text(text + EMBED, "net"))
    assert str(found) == "data normal, deviation 1 (features)"


@pytest.mark.parametrize(("rows", "picked"), [(2, 2), (4, 3), (4, 9), (5, 2), (1, 3), (3, 1)])
def test_rows_are_picked_out_of_order_and_more_than_once(rows: int, picked: int) -> None:
    text = inputs_text({"data": (rows, 3, 8, 8), "which": (picked,)})
    text += layer("b", "BatchReindex", ["data", "which"], ["b"])
    found = make_probe(net_from_text(text, "net"))
    assert found["data"].shape == (rows, 3, 8, 8), "of one row there is nothing to pick"
    which = found["which"].astype(int).tolist()
    assert which == found["which"].tolist() and 0 <= min(which) <= max(which) < rows
    assert which != list(range(picked)) or rows == 1
    assert len(set(which)) >= min(rows, picked, 2)
    assert len(set(which)) < picked or picked < 3


SELECTS = {
    "itself": "",
    "flattened": layer("m", "Flatten", ["keep"], ["m"]),
    "negated": layer("m", "Power", ["keep"], ["m"], "power_param { scale: -1 shift: 1 }"),
}


@pytest.mark.parametrize("how", SELECTS)
@pytest.mark.parametrize("rows", [2, 4, 7])
def test_a_filter_keeps_rows_and_drops_rows(how: str, rows: int) -> None:
    text = inputs_text({"data": (rows, 3), "keep": (rows, 1, 1, 1)}) + SELECTS[how]
    text += layer("f", "Filter", ["data", "m" if SELECTS[how] else "keep"], ["f"])
    assert 0 < len(arrived(text, "f")) < rows


def test_a_filter_of_pictures_has_as_many_as_are_declared() -> None:
    text = inputs_text({"data": (4, 3, 8, 8), "keep": (4,)})
    text += layer("f", "Filter", ["data", "keep"], ["f"])
    assert arrived(text, "f").shape == (3, 3, 8, 8)
    one = inputs_text({"data": (1, 3, 8, 8), "keep": (1,)})
    one += layer("f", "Filter", ["data", "keep"], ["f"])
    assert len(arrived(one, "f")) == 1


MARKED = {
    "LSTM": {"x": (6, 2, 4), "clip_markers": (6, 2)},
    "RNN": {"x": (6, 2, 4), "begins": (6, 2)},
}


@pytest.mark.parametrize("kind", MARKED)
@pytest.mark.parametrize("static", [False, True])
def test_the_second_bottom_of_a_recurrent_layer_marks_what_goes_on(kind: str, static: bool) -> None:
    shapes: dict[str, Shape] = {**MARKED[kind], **({"static": (2, 5)} if static else {})}
    text = inputs_text(shapes) + layer("l", kind, list(shapes), ["l"], RECURRENT)
    chosen = choose(net_from_text(text, "net"))
    x, marks = list(chosen.arrays.values())[:2]
    assert 0.5 < x.std() < 1.5
    assert set(marks.ravel().tolist()) == {0, 1}
    # a sequence that goes on beside one that begins anew
    assert (marks.mean(1) == 0.5).sum() == 1
    assert "continuation markers (1, and 0 in 1 of 12)" in str(chosen)


@pytest.mark.parametrize(
    ("shape", "zeros"), [((1, 1), 0), ((2, 1), 0), ((3, 1), 1), ((1, 2), 1), ((2, 4), 2)]
)
def test_a_short_sequence_goes_on(shape: Shape, zeros: int) -> None:
    text = inputs_text({"x": (*shape, 4), "go_on": shape})
    text += layer("l", "LSTM", ["x", "go_on"], ["l"], RECURRENT)
    assert (make_probe(net_from_text(text, "net"))["go_on"] == 0).sum() == zeros


def test_markers_that_are_reshaped_and_those_of_a_single_step() -> None:
    text = inputs_text({"x": (6, 2, 4), "marks": (12,)})
    text += layer("m", "Reshape", ["marks"], ["m"], "reshape_param { shape { dim: 6 dim: 2 } }")
    text += layer("l", "LSTM", ["x", "m"], ["l"], RECURRENT)
    assert (arrived(text, "m") == 0).sum() == 1
    unit = {"c": (1, 3, 4), "gates": (1, 3, 16), "marks": (1, 3)}
    text = inputs_text(unit) + layer("l", "LSTMUnit", list(unit), ["c1", "h1"])
    found = make_probe(net_from_text(text, "net"))
    assert found["marks"].tolist() == [[1, 0, 1]]
    assert 0.5 < found["gates"].std() < 1.5


def test_a_name_alone_says_nothing() -> None:
    """`cont` may be the content of a picture."""
    text = inputs_text({"cont": (1, 3, 8, 8)}) + layer("a", "AbsVal", ["cont"], ["a"])
    assert 40 < make_probe(net_from_text(text, "net"))["cont"].std() < 60


LSTM_4D = {
    # T x N x ..., read as it is
    "itself": ({"data": (3, 2, 4, 1), "cont": (3, 2)}, "", "data"),
    # three features beside each other look like a picture's channels
    "three": ({"data": (5, 3, 4, 4), "cont": (5, 3)}, "", "data"),
    # frames, of which a Reshape makes T x N
    "frames": (
        {"data": (6, 3, 8, 8), "cont": (6, 1)},
        layer("c", "Convolution", ["data"], ["c"], "convolution_param { num_output: 2 kernel_size: 3 }")
        + layer("m", "Reshape", ["c"], ["m"], "reshape_param { shape { dim: -1 dim: 1 dim: 72 } }"),
        "m",
    ),
    # frames of two clips, whose markers are in a row as well
    "clips": (
        {"data": (6, 3, 8, 8), "cont": (6,)},
        layer("c", "Convolution", ["data"], ["c"], "convolution_param { num_output: 2 kernel_size: 3 }")
        + layer("m", "Reshape", ["c"], ["m"], "reshape_param { shape { dim: -1 dim: 2 dim: 72 } }")
        + layer("k", "Reshape", ["cont"], ["k"], "reshape_param { shape { dim: -1 dim: 2 } }"),
        "m",
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", LSTM_4D)
@pytest.mark.parametrize("kind", ["LSTM", "RNN"])
def test_the_first_axis_of_a_recurrent_net_is_time(how: str, kind: str) -> None:
    shapes, text, bottom = LSTM_4D[how]
    cont = "k" if how == "clips" else "cont"
    text = inputs_text(shapes) + text + layer("l", kind, [bottom, cont], ["l"], RECURRENT)
    found = make_probe(net_from_text(text, "net"))
    assert {name: array.shape for name, array in found.items()} == shapes
    picture = how in ("frames", "clips")
    assert (40 < found["data"].std() < 60) if picture else found["data"].std() < 2
    arrived(text, "l")


def test_a_batch_that_is_no_time_becomes_one() -> None:
    """CRNN's: the width of the picture is time, and sequences are what there is one of."""
    text = inputs_text({"data": (4, 1, 8, 30)})
    text += layer("c", "Convolution", ["data"], ["c"], "convolution_param { num_output: 5 kernel_h: 8 kernel_w: 3 }")  # fmt: skip
    text += layer("p", "Permute", ["c"], ["p"], "permute_param { order: 3 order: 0 order: 1 order: 2 }")  # fmt: skip
    text += layer("ones", "Power", ["p"], ["q"], "power_param { scale: 0 shift: 1 }")
    text += layer("m", "Reduction", ["q"], ["marks"], "reduction_param { axis: 2 operation: MEAN }")
    text += layer("l", "LSTM", ["p", "marks"], ["l"], RECURRENT)
    assert make_probe(net_from_text(text, "net"))["data"].shape == (1, 1, 8, 30)


def transformed(param: str, kind: str = "Data") -> Mapping[str, np.ndarray]:
    text = f'layer {{ name: "d" type: "{kind}" top: "data" top: "label" {param} }}\n'
    text += layer("a", "Convolution", ["data"], ["a"], "convolution_param { num_output: 2 kernel_size: 3 }")  # fmt: skip
    given: dict[str, Shape] = {"data": (1, 3, 40, 40)}
    return make_probe(deploy(net_from_text(text, "net"), given, {}), given)


@pytest.mark.parametrize(
    ("param", "centre", "deviation"),
    [
        ("scale: 0.00390625", 0.5, 50 / 256),
        ("scale: 0.00390625 mean_value: 128", 0, 50 / 256),
        ('scale: 0.017 mean_file: "gone"', 0, 0.85),
        ("mean_value: 104 mean_value: 117 mean_value: 123", 0, 50),
        ("crop_size: 40", 128, 50),
        ("mean_value: 0 scale: 2", 256, 100),
        ("scale: -1", -128, 50),
        ("scale: 0", 0, 50),
    ],
)
@pytest.mark.parametrize("kind", ["Data", "ImageData", "MemoryData"])
def test_pictures_are_in_the_range_that_the_definition_says(
    param: str, centre: float, deviation: float, kind: str
) -> None:
    more = "memory_data_param { batch_size: 1 channels: 3 height: 40 width: 40 }"
    text = f"transform_param {{ {param} }} {more if kind == 'MemoryData' else ''}"
    found = transformed(text, kind)["data"]
    assert abs(found.mean() - centre) < 0.1 * deviation
    assert 0.9 < found.std() / deviation < 1.1


def test_v1_has_its_transform_where_the_data_are() -> None:
    """upgrade_proto.cpp: it goes before what `transform_param` says."""
    text = (
        'layers { name: "d" type: DATA top: "data" top: "label" '
        "data_param { scale: 0.00390625 crop_size: 40 } transform_param { scale: 3 mean_value: 9 } }\n"
        'layers { name: "a" type: RELU bottom: "data" top: "a" }\n'
    )
    given = {"data": (1, 3, 40, 40)}
    found = make_probe(deploy(net_from_text(text, "net"), given, {}), given)["data"]
    assert abs(found.mean()) < 0.02 and 0.9 < found.std() * 256 / 50 < 1.1


def test_what_is_no_picture_by_its_shape_is_one_where_the_definition_says_so() -> None:
    """A stack of optical flow, and an Input that kept its transform."""
    text = layer(
        "data", "Input", [], ["data"],
        "input_param { shape { dim: 1 dim: 20 dim: 16 dim: 16 } } "
        "transform_param { scale: 0.1 mean_value: 128 }",
    )  # fmt: skip
    net = net_from_text(text + layer("a", "AbsVal", ["data"], ["a"]), "net")
    assert str(choose(net)) == "data normal, deviation 5 (a picture)"


def test_the_catalog_knows_the_range_of_its_input() -> None:
    text = inputs_text({"data": (1, 3, 16, 16)}) + layer("a", "AbsVal", ["data"], ["a"])
    net = net_from_text(text, "net")
    plain, scaled = choose(net), choose(net, pictures={"data": Spread(0.0, 0.85, True)})
    # the same numbers, in another range
    assert np.allclose(plain.arrays["data"] * 0.017, scaled.arrays["data"], rtol=1e-5)


ROI = {
    "ROIPooling": "roi_pooling_param { pooled_h: 2 pooled_w: 2 spatial_scale: 0.25 }",
    "PSROIPooling": "psroi_pooling_param { output_dim: 3 group_size: 1 spatial_scale: 0.25 }",
    "ROIAlign": "roi_align_param { pooled_h: 2 pooled_w: 2 spatial_scale: 0.25 sampling_ratio: 2 }",
}


@pytest.mark.parametrize("kind", ROI)
@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1, 1)])
def test_boxes_lie_in_the_picture(kind: str, shape: Shape) -> None:
    text = inputs_text({"maps": (2, 3, 8, 10), "rois": shape})
    text += layer("p", kind, ["maps", "rois"], ["p"], ROI[kind])
    chosen = choose(net_from_text(text, "net"), {"maps": (2, 3, 8, 10), "rois": shape})
    boxes = chosen.arrays["rois"].reshape(6, 5)
    assert set(boxes[:, 0]) == {0, 1}
    assert (
        (boxes[:, 1:] >= 0).all()
        and (boxes[:, [1, 3]] < 40).all()
        and (boxes[:, [2, 4]] < 32).all()
    )
    assert (boxes[:, 3:] >= boxes[:, 1:3]).all()
    assert boxes[0, 1:].tolist() == [0, 0, 39, 31]
    assert len(np.unique(boxes, axis=0)) > 3


def test_the_size_of_the_picture_is_told() -> None:
    shapes = {"data": (1, 3, 64, 96), "scores": (1, 2, 4, 6), "moves": (1, 4, 4, 6), "info": (1, 3)}
    text = inputs_text(shapes) + layer("a", "AbsVal", ["data"], ["a"])
    text += layer(
        "p", "Proposal", ["scores", "moves", "info"], ["p"],
        "proposal_param { ratio: 1 scale: 8 base_size: 16 feat_stride: 16 }",
    )  # fmt: skip
    assert make_probe(net_from_text(text, "net"))["info"].tolist() == [[64, 96, 1]]


def test_a_seed_is_another_probe_and_the_same_one_is_the_same() -> None:
    text = inputs_text({"data": (1, 3, 8, 8), "words": (30,)})
    text += layer("e", "Embed", ["words"], ["e"], "embed_param { num_output: 2 input_dim: 9 }")
    net = net_from_text(text + layer("a", "AbsVal", ["data"], ["a"]), "net")
    one, again, other = (make_probe(net, seed=seed) for seed in (0, 0, 1))
    for name, array in one.items():
        assert np.array_equal(array, again[name])
        assert not np.array_equal(array, other[name])


def test_pictures_are_the_same_whatever_stands_beside_them() -> None:
    """The numbers that docs/parity.md reports were measured on them."""
    picture = inputs_text({"data": (1, 3, 8, 8)}) + layer("a", "AbsVal", ["data"], ["a"])
    plain = make_probe(net_from_text(picture, "net"))["data"]
    text = inputs_text({"words": (30,)}) + picture
    text += layer("e", "Embed", ["words"], ["e"], "embed_param { num_output: 2 input_dim: 9 }")
    assert np.array_equal(make_probe(net_from_text(text, "net"))["data"], plain)


def test_what_cannot_be_made_is_asked_for() -> None:
    text = inputs_text({"maps": (1, 3, 8, 8), "rois": (4, 4)})
    text += layer("p", "ROIPooling", ["maps", "rois"], ["p"], ROI["ROIPooling"])
    with pytest.raises(UsageError, match="--probe FILE.npz"):
        choose(net_from_text(text, "net"))
    words = inputs_text({"words": (3,)}) + layer("e", "Embed", ["words"], ["e"], "embed_param { input_dim: many }")  # fmt: skip
    with pytest.raises(BadInput, match="many"):
        choose(net_from_text(words, "net"))
