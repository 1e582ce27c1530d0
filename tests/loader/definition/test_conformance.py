"""Misspelt fields, told from fields that a fork has."""

from __future__ import annotations

import pytest

from decant.loader.definition.graph import Net, net_from_text
from decant.loader.definition.reading import STOCK, Reading
from decant.loader.errors import BadInput
from tests.helpers.converting import conv, input_layer, layer

HEAD = input_layer("data", 1, 3, 16, 16)


V1_HEAD = 'input: "data" input_dim: [1, 3, 16, 16]\n'


def net(text: str, reading: Reading = STOCK) -> Net:
    return net_from_text(text, "net.prototxt", reading)


MISSPELT = [
    (conv("c", "data", "c", "Kernel_Size: 3"), "field Kernel_Size: is it kernel_size?"),
    (conv("c", "data", "c", "kernelsize: 3"), "is it kernel_size?"),
    (conv("c", "data", "c", "kernal_size: 3"), "is it kernel_size?"),
    (conv("c", "data", "c", "kernel_size: 3 num_outputs: 4"), "is it num_output?"),
    (conv("c", "data", "c", "kernel_size: 3 weight_filler { Type: 'xavier' }"), "is it type?"),
    (layer("c", "ReLU", "data", "c", "bottum: 'data'"), "field bottum: is it bottom?"),
    (layer("c", "ReLU", "data", "c", "Bottom: 'data'"), "is it bottom?"),
    (layer("c", "InnerProduct", "data", "c", "inner_produt_param { }"), "is it inner_product_param?"),
    (layer("c", "Dropout", "data", "c", "dropout_param { dropout_rate: 0.3 }"), "is it dropout_ratio?"),
    (layer("c", "ReLU", "data", "c", "param { lr_multi: 1 }"), "is it lr_mult?"),
    (layer("c", "Permute", "data", "c", "Include { phase: TEST }"), "is it include?"),
    ("inputs: 'x' " + layer("c", "ReLU", "data", "c"), "field inputs: is it input?"),
    ("Layer { } " + layer("c", "ReLU", "data", "c"), "field Layer: is it layer?"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), MISSPELT)
def test_a_misspelt_field_is_named_with_the_right_one(text: str, said: str) -> None:
    with pytest.raises(BadInput, match="^net.prototxt:2: ") as caught:
        net(HEAD + text)
    assert len(caught.value.details) == 1 and said in caught.value.details[0]


def test_v0s_own_spelling_is_meant_in_v0() -> None:
    text = "layers { layer { name: 'r' type: 'pool' kernel_size: 2 } bottom: 'data' top: 'r' }"
    with pytest.raises(BadInput, match="layer 'r': field kernel_size: is it kernelsize?"):
        net(V1_HEAD + text)


@pytest.mark.parametrize(
    "text",
    [
        conv("c", "data", "c", "kernel_size: 3 pad_l: 1 pad_r: 1"),
        conv("c", "data", "c", "kernel_size: 3 kernel_d: 3 stride_3d: 1 dilation_h: 1"),
        layer("c", "ReLU", "data", "c", "novel_param { }"),
        layer("c", "ROIPooling", "data", "c", "roi_pooling_param { pooled_h: 3 }"),
        layer("c", "Convolution3D", "data", "c", "convolution3d_param { num_output: 3 }"),
        # nobody asks what a layer of the training is called wrongly
        layer("c", "ReLU", "data", "c", "Bottom: 'x' include { phase: TRAIN }")
        + layer("d", "ReLU", "data", "d"),
    ],
)
def test_fields_of_forks_are_not_taken_for_misspelt(text: str) -> None:
    net(HEAD + text)
