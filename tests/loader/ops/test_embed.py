"""Embed: torch's own embedding, with a bias, by indices that are floats."""

from __future__ import annotations

import torch
from torch import nn

from decant.loader.ops.embed import Embed


@torch.no_grad()
def test_rows_by_float_indices_and_a_bias() -> None:
    torch.manual_seed(0)
    module = Embed(5, 3)
    module.weight.normal_()
    module.bias.normal_()
    index = torch.tensor([[4.0, 0.0], [2.0, 2.0]])
    wanted = nn.Embedding.from_pretrained(module.weight)(index.long()) + module.bias
    assert torch.equal(module(index), wanted)
