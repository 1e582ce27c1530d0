"""Shapes in model.py: a letter where any number goes. The oracle is the module, run on other batches."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from decant.loader.artifact.recording import activations
from decant.loader.definition.graph import Net, net_from_text
from decant.loader.definition.naming import unique
from decant.loader.plan.batch import with_batch
from decant.loader.source.axes import Words, axes_of
from tests.helpers.nets import inputs_text, layer
from tests.helpers.odd_structures import ODD
from tests.helpers.random_weights import shapes_of
from tests.helpers.structures import Builder
from tests.helpers.well_known import NETS
from tests.loader.source.test_codegen import TEXTS, made

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow

SOME = ["dpn92", "shufflenet_v2", "ssd300", "fpn", "siamese", "openpose"]
ALL = {
    **{name: make() for name, make in ODD.items()},
    **{name: TEXTS[name] for name in ("resnet", "hed", "fcn8s", "light_cnn", "ssd_trunk")},
    **{name: NETS[name]() for name in SOME},
}


def sizes(words: Words, numbers: dict[str, int]) -> tuple[int, ...]:
    """`2N x 3` of N = 4: (8, 3)."""
    found = []
    for word in words:
        count, letters = re.fullmatch(r"(\d*)([A-Z]*)", word).groups()  # type: ignore[union-attr]
        found.append(int(count or 1) * int(np.prod([numbers[letter] for letter in letters] or [1])))
    return tuple(found)


def ran(net: Net, module: torch.nn.Module, batch: int) -> dict[str, list[tuple[int, ...]]]:
    """Every layer's shapes of so many pictures."""
    shapes = with_batch(shapes_of(net), next(iter(shapes_of(net).values()))[0], batch)
    random = torch.Generator().manual_seed(0)
    found = activations(module, [torch.randn(shape, generator=random) for shape in shapes.values()])
    return {
        name: [tuple(top.shape) for top in (tops if isinstance(tops, list) else [tops])]
        for name, tops in found.items()
    }


@torch.no_grad()
@pytest.mark.parametrize("name", list(ALL))
def test_the_letter_stands_where_the_batch_does(name: str) -> None:
    net, _, module, _ = made(ALL[name], name)
    axes = axes_of(net, shapes_of(net))
    own = next(iter(shapes_of(net).values()))[0]
    free = any("N" in word for words in axes.inputs.values() for word in words)
    for batch in (own, own + 2) if free else (own,):
        for layer_name, shapes in ran(net, module, batch).items():
            for words, shape in zip(axes.tops[layer_name], shapes, strict=True):
                rows = shape[words.index("K")] if "K" in words else 0
                assert sizes(words, {"N": batch, "K": rows}) == shape, (layer_name, words)


def words_of(text: str) -> tuple[dict[str, str], dict[str, str]]:
    """(inputs, first tops) as they are shown."""
    net = net_from_text(text, "net")
    axes = axes_of(net, shapes_of(net))
    names = unique(item.name for item in net.layers)
    return (
        {blob: " x ".join(words) for blob, words in axes.inputs.items()},
        {name: " x ".join(axes.tops[name][0]) for name in names if axes.tops[name]},
    )


def test_a_detector() -> None:
    _, tops = words_of(NETS["ssd300"]())
    assert tops["conv9_2_mbox_priorbox"] == "1 x 2 x 16"
    assert tops["mbox_conf_reshape"] == "N x 8732 x 3"
    assert tops["detection_out"] == "1 x 1 x K x 7"
    source = made(NETS["ssd300"](), "ssd")[1].source
    assert '"""N x 3 x 300 x 300 -> 1 x 1 x K x 7; K: depends on the data"""' in source
    assert source.rstrip().endswith("  # 1 x 1 x K x 7")


def test_a_fixed_batch_is_a_number() -> None:
    inputs, tops = words_of(ODD["batch_in_the_definition"]())
    assert inputs == {"data": "4 x 3 x 6 x 6"}
    assert tops["c"] == "4 x 2 x 6 x 6" and tops["r"] == "4 x 8 x 9" and tops["s"] == "2 x 8 x 9"


def test_a_reshape_to_one_row_fixes_the_batch() -> None:
    net = Builder("Rows", (1, 4, 6, 6))
    net.add("r", "Reshape", ["data"], "reshape_param { shape { dim: 1 dim: -1 dim: 2 } }")
    assert words_of(net.text)[0] == {"data": "1 x 4 x 6 x 6"}


def test_pictures_laid_one_behind_the_other() -> None:
    net = Builder("Rows", (1, 4, 6, 6))
    net.add("p", "Permute", ["data"], "permute_param { order: 0 order: 2 order: 3 order: 1 }")
    net.add("r", "Reshape", ["p"], "reshape_param { shape { dim: -1 dim: 4 } }")
    assert words_of(net.text)[1]["r"] == "36N x 4"


RECURRENT = "recurrent_param { num_output: 5 }"


def test_a_recurrent_net_counts_steps_and_sequences() -> None:
    text = inputs_text({"x": (8, 2, 4), "cont": (8, 2)})
    text += layer("lstm", "LSTM", ["x", "cont"], ["lstm"], RECURRENT)
    text += layer(
        "fc", "InnerProduct", ["lstm"], ["fc"], "inner_product_param { num_output: 3 axis: 2 }"
    )
    inputs, tops = words_of(text)
    assert inputs == {"x": "T x N x 4", "cont": "T x N"}
    assert tops["lstm"] == "T x N x 5" and tops["fc"] == "T x N x 3"
    source = made(text)[1].source
    assert '"""T x N x 4, T x N -> T x N x 3; T: time steps"""' in source


@pytest.mark.parametrize(
    ("given", "param", "data", "top"),
    [
        ((5, 2, 7), "", "T x N x 7", "T x N x 3"),
        ((5, 7), "", "T x 7", "T x 3"),
        # 3 steps of 2 sequences, in one axis
        ((6, 7), "batch_size: 2", "6 x 7", "6 x 3"),
    ],
)
def test_the_steps_of_a_forks_lstm(given: tuple[int, ...], param: str, data: str, top: str) -> None:
    text = inputs_text({"x": given})
    text += layer("l", "Lstm", ["x"], ["l"], f"lstm_param {{ num_output: 3 {param} }}")
    text += layer("r", "ReLU", ["l"], ["r"])
    inputs, tops = words_of(text)
    assert inputs == {"x": data} and tops["r"] == top


def test_a_recurrent_layer_whose_shape_nobody_knows() -> None:
    """Refused by its own rule; the rest of the net has its letters."""
    text = inputs_text({"data": (2, 4, 6, 6)}) + layer("r", "ReLU", ["data"], ["r"])
    text += layer("l", "LSTM", ["r"], ["l"], "recurrent_param { num_output: 3 }")
    net = net_from_text(text, "net")
    assert axes_of(net, shapes_of(net)).tops["r"] == [("N", "4", "6", "6")]


def test_the_columns_of_pictures_are_not_their_number() -> None:
    text = inputs_text({"data": (1, 4, 6)})
    text += layer("t", "Transpose", ["data"], ["t"], "transpose_param { dim: 2 dim: 0 dim: 1 }")
    text += layer("l", "Lstm", ["t"], ["l"], "lstm_param { num_output: 3 }")
    inputs, tops = words_of(text)
    assert inputs == {"data": "N x 4 x 6"} and tops["l"] == "6 x N x 3"


def test_steps_that_the_definition_counts_on_are_a_number() -> None:
    """Features of 6 frames, which a Reshape makes 3 steps of 2 sequences."""
    text = inputs_text({"frames": (6, 4), "cont": (3, 2)})
    text += layer(
        "r", "Reshape", ["frames"], ["r"], "reshape_param { shape { dim: 3 dim: 2 dim: 4 } }"
    )
    text += layer("lstm", "LSTM", ["r", "cont"], ["lstm"], RECURRENT)
    inputs, tops = words_of(text)
    assert inputs == {"frames": "6 x 4", "cont": "3 x 2"} and tops["lstm"] == "3 x 2 x 5"


def test_rows_that_the_data_chooses() -> None:
    text = inputs_text({"data": (4, 3), "keep": (4,)})
    text += layer("f", "Filter", ["data", "keep"], ["f"])
    text += layer("fc", "InnerProduct", ["f"], ["fc"], "inner_product_param { num_output: 2 }")
    inputs, tops = words_of(text)
    assert inputs["data"] == "N x 3" and tops["f"] == "K x 3" and tops["fc"] == "K x 2"


def test_regions_behind_a_proposal() -> None:
    text = inputs_text({"scores": (1, 12, 4, 5), "offsets": (1, 24, 4, 5), "info": (1, 3)})
    ratios = " ".join(f"ratio: {r}" for r in (0.5, 1, 2)) + " scale: 1 scale: 2"
    text += layer(
        "p",
        "Proposal",
        ["scores", "offsets", "info"],
        ["rois"],
        f"proposal_param {{ {ratios} post_nms_topn: 7 }}",
    )
    text += layer(
        "roi",
        "ROIPooling",
        ["scores", "rois"],
        ["roi"],
        "roi_pooling_param { pooled_h: 2 pooled_w: 2 spatial_scale: 0.1 }",
    )
    inputs, tops = words_of(text)
    assert inputs["scores"] == "1 x 12 x 4 x 5"
    assert tops["p"] == "K x 5" and tops["roi"] == "K x 12 x 2 x 2"


def test_a_shape_is_not_broken_over_two_lines() -> None:
    source = made(NETS["fpn"](), "fpn")[1].source
    title = source[source.index("class Model") :].split('"""')[1]
    assert all(not line.rstrip().endswith(" x") for line in title.split("\n"))
    assert all(not line.strip().startswith("x ") for line in title.split("\n"))
