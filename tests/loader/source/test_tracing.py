"""A module's graph in which layers are found again: by module, by statement, by input."""

from __future__ import annotations

import torch

from decant.loader.artifact.loading import module_from_source
from decant.loader.parity.running import run
from decant.loader.source.tracing import CaffeMap, Trace

SOURCE = """import torch
from torch import nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)

    def forward(self, x):
        return self.fc(x)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = Block()
        self.relu = nn.ReLU()

    def forward(self, x):
        y = self.block(x)
        a, b = y.chunk(
            2, 1
        )
        z = self.relu(a)
        return z + 2 * b[:, :1].repeat(1, 2)
"""


def line(text: str) -> str:
    """Where it stands in SOURCE."""
    return str(SOURCE[: SOURCE.index(text)].count("\n") + 1)


MAP = CaffeMap(
    {"fc": "block.fc", "slice": None, "relu": "relu", "sum": None},
    {
        "fc": ["block@" + line("return self.fc")],
        "slice": [line("a, b =")],
        "relu": [line("z =")],
        "sum": [line("return z")],
    },
    {"data": ["x"]},
    ["x"],
)


def test_layers_are_found_by_module_by_statement_and_by_input() -> None:
    trace = Trace(module_from_source(SOURCE), MAP)
    x = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    tops = run(trace, [x])
    fc = trace.module.block.fc(x)
    assert list(tops) == ["data", "fc", "slice", "relu", "sum"]
    assert torch.equal(tops["data"][0], x) and torch.equal(tops["fc"][0], fc)
    # a statement of three lines is known by its first, and makes two tops
    assert [top.tolist() for top in tops["slice"]] == [fc[:, :2].tolist(), fc[:, 2:].tolist()]
    assert torch.equal(tops["relu"][0], fc[:, :2].relu())


def test_a_layer_that_is_not_in_the_module_has_no_tops() -> None:
    trace = Trace(module_from_source(SOURCE), CaffeMap({"fc": "block.fc", "prob": None}))
    assert list(trace.tops) == ["fc"]
