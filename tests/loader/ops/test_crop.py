"""U-Net's crop: the middle, by slices written out."""

from __future__ import annotations

import torch

from decant.loader.ops.crop import middle_of


def test_the_middle_is_cut_out_and_an_odd_place_stays_behind() -> None:
    x = torch.arange(2 * 3 * 7 * 9.0).reshape(2, 3, 7, 9)
    assert torch.equal(middle_of(x, torch.empty(2, 5, 4, 5)), x[:, :, 1:5, 2:7])
    assert torch.equal(middle_of(x, x), x)


def test_volumes_are_cut_in_all_three_axes() -> None:
    x = torch.arange(4 * 4 * 4.0).reshape(1, 1, 4, 4, 4)
    assert torch.equal(middle_of(x, torch.empty(1, 1, 2, 2, 2)), x[..., 1:3, 1:3, 1:3])
