"""Pooling where torch's differs: windows counted and averaged by loops over pooling_layer.cpp's formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from decant.loader.ops import pooling

GEOMETRIES = [
    # size, kernel, stride, pad
    ((7, 9), (2, 2), (3, 3), (0, 0)),
    ((8, 10), (3, 3), (2, 2), (2, 2)),
    ((5, 5), (3, 2), (2, 3), (2, 0)),
    ((6, 7), (3, 3), (1, 1), (1, 1)),
]


def count(size: int, kernel: int, stride: int, pad: int, padded: bool) -> int:
    """PoolingLayer::Reshape."""
    found = math.ceil((size + 2 * pad - kernel) / stride) + 1
    return found - 1 if padded and (found - 1) * stride >= size + pad else found


def by_loops(
    x: np.ndarray, kernel: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """PoolingLayer::Forward_cpu, one plane: maxima, where they are, averages."""
    high, wide = x.shape
    padded = any(pad)
    rows, columns = (count(*of, padded) for of in zip(x.shape, kernel, stride, pad, strict=True))
    most = np.full((rows, columns), np.finfo(np.float32).min)
    where, mean = np.full((rows, columns), -1.0), np.zeros((rows, columns))
    for i in range(rows):
        for j in range(columns):
            top, left = i * stride[0] - pad[0], j * stride[1] - pad[1]
            bottom, right = (
                min(top + kernel[0], high + pad[0]),
                min(left + kernel[1], wide + pad[1]),
            )
            size = (bottom - top) * (right - left)
            for h in range(max(top, 0), min(bottom, high)):
                for w in range(max(left, 0), min(right, wide)):
                    mean[i, j] += x[h, w]
                    if x[h, w] > most[i, j]:
                        most[i, j], where[i, j] = x[h, w], h * wide + w
            # of an empty window too, as C divides: NaN
            mean[i, j] = mean[i, j] / size if size else np.nan
    return most, where, mean


@pytest.mark.parametrize(("size", "kernel", "stride", "pad"), GEOMETRIES)
def test_any_stride_and_pad(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int]
) -> None:
    x = np.random.default_rng(0).permutation(math.prod(size)).reshape(size) - 20.0
    most, where, mean = by_loops(x, kernel, stride, pad)
    picture = torch.from_numpy(x)[None, None].float()
    values, places = pooling.WideMaxPoolMask(kernel, stride, pad)(picture)
    assert np.allclose(values[0, 0].numpy(), most)
    assert np.array_equal(places[0, 0].numpy(), where)
    assert torch.equal(pooling.MaxPool(kernel, stride, pad)(picture), values)
    found = pooling.AvgPool(kernel, stride, pad)(picture)[0, 0].numpy()
    assert np.allclose(found, mean, rtol=1e-5, equal_nan=True)


def test_masks_of_usual_windows_and_of_whole_planes() -> None:
    x = torch.tensor([[[[1.0, 5.0, 2.0, 0.0], [3.0, 4.0, 8.0, 6.0]]]])
    assert [y.flatten().tolist() for y in pooling.MaxPoolMask(2, 2)(x)] == [[5.0, 8.0], [1.0, 6.0]]
    assert [y.flatten().tolist() for y in pooling.GlobalMaxPoolMask()(x)] == [[8.0], [6.0]]


def test_a_pyramid_of_a_size_that_goes_into_its_bins() -> None:
    x = torch.randn(2, 3, 8, 4, generator=torch.Generator().manual_seed(0))
    levels = [torch.nn.functional.adaptive_max_pool2d(x, bins).flatten(1) for bins in (1, 2, 4)]
    assert torch.equal(pooling.SpatialPyramidPool(3, True)(x), torch.cat(levels, 1))
    one = pooling.SpatialPyramidPool(1, False)(x)
    assert torch.allclose(one, x.mean((2, 3), keepdim=True))
