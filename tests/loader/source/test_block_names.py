"""What repeated blocks are called: whole words of their layers' names, and no name twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from decant.loader.definition.naming import Names
from decant.loader.source.block_names import labels_of, shared_names_of
from tests.helpers.nets import inputs_text, layer
from tests.helpers.work import lines_run
from tests.loader.source.test_codegen import made


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        ([["Mconv1_stage2_L1", "Mconv2_stage2_L2"], ["Mconv1_stage3_L1", "Mconv2_stage3_L2"]], ["stage2", "stage3"]),
        ([["dpn2_bn", "dpn2_conv1"], ["dpn13_bn", "dpn13_conv1"]], ["dpn2", "dpn13"]),
        ([["a1", "b2"], ["a3", "b4"]], []),
    ],
)  # fmt: skip
def test_labels_are_whole_words(names: list[list[str]], labels: list[str]) -> None:
    assert labels_of(names, whole=True) == labels


@pytest.mark.parametrize(
    ("names", "stems", "marks"),
    [
        ([["conv1", "feat"], ["conv1_p", "feat_p"]], ["conv1", "feat"], ["", "p"]),
        ([["one/c", "one/d"], ["two/c", "two/d"]], ["c", "d"], ["one", "two"]),
        ([["rpn_p5", "cls_p5"], ["rpn_p4", "cls_p4"]], ["rpn", "cls"], ["p5", "p4"]),
        ([["c1_1a", "c1_2a"], ["c1_1b", "c1_2b"]], ["c1_1", "c1_2"], ["a", "b"]),
        ([["1", "2"], ["3", "4"]], ["", ""], ["", ""]),
    ],
)
def test_tied_layers_are_called_by_what_they_share(
    names: list[list[str]], stems: list[str], marks: list[str]
) -> None:
    assert shared_names_of(names) == (stems, marks)


@pytest.mark.parametrize("word", ["none", "true", "exception", "sequence", "model"])
def test_a_class_has_no_name_that_something_else_has(word: str) -> None:
    """Keywords, builtins, what ops import (PriorBox: Sequence), the net itself."""
    sizes = "prior_box_param { min_size: 4 variance: 0.1 }"
    text, bottom = inputs_text({"data": (1, 4, 8, 8)}), "data"
    for number in range(4):
        name = f"{word}_{number}a"
        for part in "bc":
            top = f"{name}_{part}"
            param = "convolution_param { num_output: 4 kernel_size: 1 }"
            text += layer(
                top, "Convolution", [bottom if part == "b" else f"{name}_b"], [top], param
            )
            text += layer(f"{top}_relu", "ReLU", [top], [top])
        text += layer(name, "Eltwise", [bottom, f"{name}_c"], [name])
        bottom = name
    source = made(text + layer("prior", "PriorBox", [bottom, "data"], ["prior"], sizes))[1].source
    assert f"class {word.capitalize()}2(nn.Module):" in source


def test_layers_of_one_name_are_numbered_one_after_the_other() -> None:
    def numbered(count: int) -> Callable[[], object]:
        names = Names()
        return lambda: [names.new("conv") for _ in range(count)]

    assert lines_run(numbered(4000)) < 6 * lines_run(numbered(1000))
    names = Names()
    found = [names.new("conv") for _ in range(10_000)]
    assert found[:2] == ["conv", "conv_2"] and found[-1] == "conv_10000"
    names.free("conv_7")
    assert names.new("conv") == "conv_7"
