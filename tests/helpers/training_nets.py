"""Definitions for training, and one that is several nets."""

from __future__ import annotations

from tests.helpers.converting import conv, input_layer, layer, random

DATA = (
    "data_param { source: 'db' batch_size: 8 } "
    "transform_param { crop_size: 16 mean_value: 1 mean_value: 2 mean_value: 3 }"
)
WEIGHTS = [("c", "Convolution", [random(4, 3, 3, 3), random(4)])]


def data(rule: str) -> str:
    return layer("data", "Data", "", "data label", f"{DATA} {rule}")


ALL_IN_ONE = (
    layer("data", "Data", "", "data label", f'{DATA} include {{ phase: TEST stage: "val" }}')
    + input_layer("data", 1, 3, 16, 16, rule='include { stage: "deploy" }')
    + conv("c", "data", "c")
    + layer("p", "Softmax", "c", "p", 'include { stage: "deploy" }')
    + layer("l", "SoftmaxWithLoss", "c label", "l", 'include { stage: "val" }')
)
