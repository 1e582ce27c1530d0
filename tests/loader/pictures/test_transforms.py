"""The transform of an artifact: Caffe's arithmetic, and gradients through it."""

from __future__ import annotations

import torch

from decant.loader.pictures.transforms import Transform
from tests.helpers.zoo_nets import random


def test_the_gradient_reaches_the_picture_through_the_transform() -> None:
    net = random("googlenet")
    picture = torch.rand(1, 3, 224, 224, requires_grad=True)
    net(Transform("BGR", (104.0, 117.0, 123.0), 1.0)(picture)).norm().backward()
    assert picture.grad is not None
    assert torch.isfinite(picture.grad).all()
    assert picture.grad.abs().sum() > 0


def test_the_transform_is_caffes_arithmetic() -> None:
    x = torch.rand(2, 3, 4, 4)
    found = Transform("BGR", (104.0, 117.0, 123.0), 0.017)(x)
    for channel, mean in ((0, 104.0), (1, 117.0), (2, 123.0)):
        expected = (x[:, 2 - channel] * 255 - mean) * 0.017
        torch.testing.assert_close(found[:, channel], expected)
    assert Transform("gray", (0.0,), 0.5).double()(x[:, :1].double()).dtype == torch.double
