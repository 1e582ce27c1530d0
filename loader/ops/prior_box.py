"""SSD's prior boxes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


@torch.fx.wrap
def prior_boxes(
    x: torch.Tensor,
    picture: tuple[int, int],
    sizes: torch.Tensor,
    variance: torch.Tensor,
    step: tuple[float, float],
    offsets: torch.Tensor,
    clip: bool,
) -> torch.Tensor:
    """Boxes of all sizes (width, height in pixels of the picture) around every place of x.

    `offsets`: (right, down) of each size's middles, in places.

    1 x 2 x (4 for each box): corners as parts of the picture, and variances.
    """
    rows, columns = x.shape[-2:]
    height, width = picture
    step_y, step_x = step[0] or height / rows, step[1] or width / columns
    y = torch.arange(rows, device=x.device, dtype=torch.float64)
    x_ = torch.arange(columns, device=x.device, dtype=torch.float64)
    places = torch.stack(torch.meshgrid(y, x_, indexing="ij")[::-1], -1)[:, :, None, None]
    steps = torch.tensor([step_x, step_y], device=x.device, dtype=torch.float64)
    middle = (places + offsets.to(places)) * steps
    half = sizes.to(middle)[:, None] / 2
    boxes = torch.cat((middle - half, middle + half), -1)
    boxes = boxes / torch.tensor([width, height] * 2, device=x.device, dtype=torch.float64)
    boxes = (boxes.clamp(0, 1) if clip else boxes).to(x.dtype).flatten()
    variances = variance.to(x).expand(boxes.numel() // 4, 4).flatten()
    return torch.stack((boxes, variances))[None]


class PriorBox(nn.Module):
    """Boxes of fixed sizes around every place; `step` 0: the picture's size over that of x.

    `offsets`: several (down, right) for each size, in place of the one `offset`.
    """

    def __init__(
        self,
        sizes: Sequence[tuple[float, float]],
        variance: Sequence[float],
        step: tuple[float, float] = (0.0, 0.0),
        offset: float = 0.5,
        clip: bool = False,
        picture: tuple[int, int] | None = None,
        offsets: Sequence[tuple[float, float]] = (),
    ) -> None:
        super().__init__()
        self.sizes, self.variance = sizes, variance
        self.step, self.clip, self.picture = step, clip, picture
        self.offsets = [(right, down) for down, right in offsets or [(offset, offset)]]

    def forward(self, x: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        sizes, variance = torch.tensor(self.sizes), torch.tensor(self.variance)
        offsets = torch.tensor(self.offsets, dtype=torch.float64)
        picture = self.picture or (image.size(-2), image.size(-1))
        return prior_boxes(x, picture, sizes, variance, self.step, offsets, self.clip)
