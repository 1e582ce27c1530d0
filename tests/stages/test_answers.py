"""Which function a net's answer comes from."""

from __future__ import annotations

import pytest

from decant.loader.artifact.manifest import Manifest
from decant.loader.errors import UsageError
from decant.stages.answers import ends_in, last_function, refuse_no_classifier
from tests.helpers import artifacts

NET = [("Convolution", ["data"], ["c"]), ("InnerProduct", ["c"], ["fc"])]
AUX = [("InnerProduct", ["c"], ["aux"]), ("Silence", ["aux"], [])]


@pytest.mark.parametrize(
    ("rest", "blob", "kind"),
    [
        ([], "fc", "InnerProduct"),
        ([("Softmax", ["fc"], ["p"])], "p", "Softmax"),
        ([("Softmax", ["fc"], ["fc"])], "fc", "Softmax"),
        ([("Softmax", ["fc"], ["p"]), ("Flatten", ["p"], ["q"]), ("Dropout", ["q"], ["q"])], "q", "Softmax"),
        ([("Softmax", ["fc"], ["p"]), ("Split", ["p"], ["q", "u"])], "q", "Softmax"),
        # what comes later in the definition, and is not an answer
        ([("Softmax", ["fc"], ["p"]), *AUX], "p", "Softmax"),
        ([("Softmax", ["c"], ["other"])], "fc", "InnerProduct"),
    ],
)  # fmt: skip
def test_the_last_function_of_the_answer(
    rest: list[tuple[str, list[str], list[str]]], blob: str, kind: str
) -> None:
    assert last_function([*NET, *rest], blob) == kind


def manifest(*layers: tuple[str, str, str, list[int]], left_out: str = "") -> Manifest:
    """Of a chain: (type, bottom, top, the top's shape)."""
    net = [
        {"name": f"l{at}", "type": kind, "bottoms": [bottom], "tops": [top], "shapes": [shape]}
        for at, (kind, bottom, top, shape) in enumerate(layers)
    ]
    return artifacts.manifest(
        inputs=[{"blob": "data", "shape": [4, 3, 8, 8]}],
        outputs=[{"blob": layers[-1][2], "layer": net[-1]["name"], "type": layers[-1][0]}],
        net=net,
        left_out={item["name"]: "" for item in net if item["type"] == left_out},
    )


FC = ("InnerProduct", "data", "fc", [4, 10])


def test_a_split_behind_the_softmax_is_no_function() -> None:
    found = manifest(
        FC, ("Softmax", "fc", "p", [4, 10]), ("Split", "p", "q", [4, 10]), left_out="Split"
    )
    assert ends_in(found) == "Softmax"
    refuse_no_classifier(found)


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (("ArgMax", "fc", "a", [4, 1]), "no scores of classes"),
        (("ArgMax", "fc", "a", [4, 1, 10]), "no scores of classes"),
        (("InnerProduct", "fc", "a", [4, 1]), "no scores of classes"),
        (("Softmax", "fc", "a", [4, 1]), "no scores of classes"),
        (("Convolution", "fc", "a", [4, 10, 2, 2]), "it answers 4 with 4 x 10 x 2 x 2"),
    ],
)
def test_what_is_no_classifier_is_refused_by_name(
    layer: tuple[str, str, str, list[int]], why: str
) -> None:
    with pytest.raises(
        UsageError, match=f"net: no classifier of pictures.*{why}.*loader.activations"
    ):
        refuse_no_classifier(manifest(FC, layer))


def test_one_sigmoid_is_a_classifier() -> None:
    refuse_no_classifier(manifest(FC, ("Sigmoid", "fc", "a", [4, 1])))
