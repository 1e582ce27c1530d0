"""Batch normalisation whose statistics float32 does not bear as a factor and a summand."""

from __future__ import annotations

import torch
from torch import nn


@torch.fx.wrap
def centred(
    x: torch.Tensor,
    mean: torch.Tensor,
    variance: torch.Tensor,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    eps: float,
) -> torch.Tensor:
    """(x - mean) / sqrt(variance + eps) (* weight + bias), channel by channel; x is N x C x ..."""
    shape = (-1,) + (1,) * (x.dim() - 2)
    # in place on what is new
    x = (x - mean.reshape(shape)).div_((variance + eps).sqrt().reshape(shape))
    if weight is None or bias is None:
        return x
    return x.mul_(weight.reshape(shape)).add_(bias.reshape(shape))


class CentredBatchNorm(nn.modules.batchnorm._BatchNorm):
    """nn.BatchNorm for any number of axes, which subtracts the mean first, as Caffe does.

    nn.BatchNorm itself computes x * a + b: where the mean is large against the deviation, both
    are large and cancel. State, training and constructor are those of nn.BatchNorm.
    """

    def _check_input_dim(self, input: torch.Tensor) -> None:
        """Any number of axes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training or self.running_mean is None or self.running_var is None:
            return super().forward(x)
        return centred(x, self.running_mean, self.running_var, self.weight, self.bias, self.eps)
