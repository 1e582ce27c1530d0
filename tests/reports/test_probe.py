"""Nets that people reported because the probe was no input of theirs; and their neighbours."""

from __future__ import annotations

import numpy as np
import pytest

from loader.graph import Net, net_from_text, read_net
from loader.probe import choose, make_probe
from tests.conftest import CASES
from tests.layers.nets import inputs_text, layer

RECURRENT = "recurrent_param { num_output: 3 }"
EMBED = "embed_param { input_dim: 50 num_output: 4 bias_term: false }"
REPORTED = {
    "lstm4d": inputs_text({"data": (3, 2, 4, 1), "cont": (3, 2)})
    + layer("lstm", "LSTM", ["data", "cont"], ["lstm"], RECURRENT),
    "lstm_cont": inputs_text({"cont_sentence": (8, 2), "words": (8, 2)})
    + layer("embedding", "Embed", ["words"], ["e"], EMBED)
    + layer("lstm", "LSTM", ["e", "cont_sentence"], ["lstm"], RECURRENT),
    "filter": inputs_text({"data": (4, 3), "keep": (4,)})
    + layer("f", "Filter", ["data", "keep"], ["out"])
    + layer("r", "ReLU", ["out"], ["out2"]),
    "embed_reshape": inputs_text({"words": (6, 2)})
    + layer("flat", "Reshape", ["words"], ["flat"], "reshape_param { shape { dim: -1 } }")
    + layer("embedding", "Embed", ["flat"], ["e"], EMBED),
}
HERE = [name for name in REPORTED if (CASES / "reports" / name / "net.prototxt").is_file()]


def nets(name: str) -> list[Net]:
    """As it is rebuilt here, and the report's own where it is at hand."""
    found = [net_from_text(REPORTED[name], name)]
    if name in HERE:
        found.append(read_net(CASES / "reports" / name / "net.prototxt"))
    return found


def test_the_first_axis_of_four_may_be_time() -> None:
    for net in nets("lstm4d"):
        probe = make_probe(net)
        assert probe["data"].shape == (3, 2, 4, 1) and probe["cont"].shape == (3, 2)
        assert np.abs(probe["data"]).max() < 5, "features are no pictures"


def test_markers_are_markers_under_any_name() -> None:
    for net in nets("lstm_cont"):
        probe = make_probe(net)
        assert set(probe["cont_sentence"].ravel().tolist()) == {0, 1}
        assert probe["cont_sentence"].mean() > 0.9
        words = probe["words"]
        assert (words == np.floor(words)).all() and words.min() >= 0 and words.max() <= 49


def test_a_filter_keeps_some_rows_and_drops_some() -> None:
    for net in nets("filter"):
        assert 0 < np.count_nonzero(make_probe(net)["keep"]) < 4


def test_an_embedding_behind_a_reshape_gets_rows_that_are_there() -> None:
    for net in nets("embed_reshape"):
        words = make_probe(net)["words"]
        assert (words == np.floor(words)).all() and words.min() == 0 and words.max() == 49
        assert str(choose(net)) == "words indices from 0 to 49"


@pytest.mark.parametrize("size", [256, 1000])
@pytest.mark.parametrize("kind", ["Exp", "Log", "Power"])
def test_features_stay_where_steep_functions_bear_them(size: int, kind: str) -> None:
    """exp of 50 x 60 is infinite on both sides, and proves nothing."""
    fc = layer("fc", "InnerProduct", ["data"], ["fc"], "inner_product_param { num_output: 9 }")
    text = inputs_text({"data": (1, size)}) + fc + layer("e", kind, ["fc"], ["e"])
    assert np.abs(make_probe(net_from_text(text, "net"))["data"]).max() < 5


def test_a_captioning_net_has_all_kinds_of_inputs() -> None:
    """LRCN's: a picture's features or the picture, words, and where sentences begin."""
    shapes = {"data": (2, 3, 16, 16), "cont_sentence": (5, 2), "input_sentence": (5, 2)}
    text = inputs_text(shapes) + layer(
        "embedding",
        "Embed",
        ["input_sentence"],
        ["e"],
        "embed_param { num_output: 4 input_dim: 99 }",
    )
    text += layer("fc", "InnerProduct", ["data"], ["fc"], "inner_product_param { num_output: 6 }")
    text += layer("lstm", "LSTM", ["e", "cont_sentence", "fc"], ["lstm"], RECURRENT)
    chosen = choose(net_from_text(text, "net"))
    assert {name: array.shape for name, array in chosen.arrays.items()} == shapes
    assert chosen.about == {
        "data": "normal, deviation 50 (a picture)",
        "cont_sentence": "continuation markers (1, and 0 in 1 of 10)",
        "input_sentence": "indices from 0 to 98",
    }
