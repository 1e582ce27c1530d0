"""Nets over length, height and width: C3D (v1.0's own files and v1.1's) and P3D, whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from decant.dumper import dumpfile
from decant.engines import reader
from decant.engines.job import Job
from decant.loader.artifact.conversion import Conversion, conversion_of
from decant.loader.definition.graph import net_from_text, read_net
from decant.loader.errors import BadInput
from decant.loader.plan.deploy import deploy
from decant.loader.progress import SILENT
from tests.helpers import encode_caffemodel as encode
from tests.helpers.by_hand_volumes import conv3d, pool3d
from tests.helpers.nets import Shape, inputs_text, layer

Layers = list[tuple[str, str, list[np.ndarray]]]
CLIP: Shape = (1, 3, 4, 16, 16)


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def converted(text: str, caffemodel: bytes, folder: Path) -> Conversion:
    (folder / "net.prototxt").write_text(text)
    (folder / "net.caffemodel").write_bytes(caffemodel)
    net = deploy(read_net(folder / "net.prototxt"), {}, {})
    reader.dump(
        Job(folder / "net.prototxt", folder / "net.caffemodel", {}, net=net),
        folder / "d.h5",
        SILENT,
    )
    return conversion_of(dumpfile.read(folder / "d.h5"), None, "net")


@torch.no_grad()
def compute(found: Conversion, x: np.ndarray) -> np.ndarray:
    return found.build()(torch.from_numpy(x)).numpy()  # type: ignore[no-any-return]


WEIGHT, BIAS = random(4, 3, 3, 3, 3), random(1, 1, 1, 1, 4)
INNER, OFFSET = random(3, 4 * 4 * 8 * 8), random(3)


def c3d(conv: str, pool: str, data: str) -> str:
    """The beginning of C3D, and its end."""
    sizes = "num_output: 4 kernel_size: 3 kernel_depth: 3 pad: 1 temporal_pad: 1"
    windows = "pool: MAX kernel_size: 2 kernel_depth: 1 stride: 2 temporal_stride: 1"
    return (
        data
        + layer("conv1a", "Convolution3D", ["data"], ["conv1a"], f"{conv} {{ {sizes} }}")
        + layer("relu1a", "ReLU", ["conv1a"], ["conv1a"])
        + layer("pool1", "Pooling3D", ["conv1a"], ["pool1"], f"{pool} {{ {windows} }}")
        + layer("fc", "InnerProduct", ["pool1"], ["fc"], "inner_product_param { num_output: 3 }")
    )


def by_numpy(x: np.ndarray) -> np.ndarray:
    found = np.maximum(conv3d(x, WEIGHT, BIAS, (1, 1, 1), (1, 1, 1)), 0)
    pooled, _ = pool3d(found, "MAX", (1, 2, 2), (1, 2, 2), (0, 0, 0), clip=False)
    return pooled.reshape(len(x), -1) @ INNER.T + OFFSET


C3D: Layers = [
    ("conv1a", "Convolution3D", [WEIGHT, BIAS]),
    ("fc", "InnerProduct", [INNER, OFFSET]),
]


@pytest.mark.parametrize("packed", [True, False])
def test_c3d_v1_0_has_blobs_of_its_own(packed: bool, tmp_path: Path) -> None:
    """Fields of convolution_param, and a caffemodel in which every blob has five axes."""
    text = c3d("convolution_param", "pooling_param", inputs_text({"data": CLIP}))
    found = converted(text, encode.c3d(C3D, packed), tmp_path)
    x = random(*CLIP)
    wanted = by_numpy(x)
    assert np.abs(compute(found, x) - wanted).max() <= 1e-5 * np.abs(wanted).max()
    assert found.tensors["fc.weight"].shape == INNER.shape
    assert found.tensors["conv1a.bias"].shape == (4,)


def test_c3d_v1_1_has_messages_of_its_own(tmp_path: Path) -> None:
    text = c3d("convolution3d_param", "pooling3d_param", inputs_text({"data": CLIP}))
    found = converted(text, encode.net("current", C3D), tmp_path)
    x = random(*CLIP)
    wanted = by_numpy(x)
    assert np.abs(compute(found, x) - wanted).max() <= 1e-5 * np.abs(wanted).max()


def test_its_legacy_input_has_five_dimensions(tmp_path: Path) -> None:
    dims = "".join(f"input_dim: {dim}\n" for dim in CLIP)
    text = c3d("convolution_param", "pooling_param", f'input: "data"\n{dims}')
    found = converted(text, encode.c3d(C3D), tmp_path)
    x = random(*CLIP)
    wanted = by_numpy(x)
    assert np.abs(compute(found, x) - wanted).max() <= 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize(
    "param",
    [
        "video_data_param { batch_size: 2 new_length: 4 } transform_param { crop_size: 16 }",
        "video_data_param { batch_size: 2 new_length: 4 new_height: 16 new_width: 16 }",
        "image_data_param { source: 'a.lst' batch_size: 2 crop_size: 16 new_length: 4 new_height: 20 new_width: 27 }",
    ],
)
def test_its_videos_become_an_input(param: str, tmp_path: Path) -> None:
    data = f'layer {{ name: "data" type: "VideoData" top: "data" top: "label" {param} }}\n'
    text = c3d("convolution_param", "pooling_param", data)
    text += layer("prob", "Softmax", ["fc"], ["prob"])
    text += layer("accuracy", "Accuracy", ["prob", "label"], ["accuracy"])
    found = converted(text, encode.c3d(C3D), tmp_path)
    assert found.inputs == {"data": CLIP}
    x = random(*CLIP)
    wanted = np.exp(by_numpy(x) - by_numpy(x).max())
    assert np.abs(compute(found, x) - wanted / wanted.sum()).max() <= 1e-5


def test_videos_of_no_known_length_are_asked_for() -> None:
    data = 'layer { name: "data" type: "VideoData" top: "data" video_data_param { } }\n'
    net = net_from_text(c3d("convolution_param", "pooling_param", data), "net.prototxt")
    with pytest.raises(Exception, match="--input"):
        deploy(net, {}, {})


def test_a_damaged_blob_of_c3d_is_refused(tmp_path: Path) -> None:
    text = c3d("convolution_param", "pooling_param", inputs_text({"data": CLIP}))
    whole = encode.c3d(C3D)
    with pytest.raises(BadInput, match="damaged or cut"):
        converted(text, whole[:-7], tmp_path)
    short = encode.chunk(6, encode.c3d_blob(WEIGHT)[:-40])
    bad = encode.chunk(2, encode.chunk(4, b"conv1a") + encode.number(5, 30) + short)
    with pytest.raises(BadInput, match="damaged or cut"):
        converted(text, encode.chunk(1, b"net") + bad, tmp_path)


def test_p3d_is_stock_convolutions_a_bn_and_a_pool(tmp_path: Path) -> None:
    """As in its published definition: N-D Convolution, BN on five axes, Pooling3D with kernel_l."""
    sizes = "pad: 0 pad: 3 pad: 3 kernel_size: 1 kernel_size: 7 kernel_size: 7 stride: 1 stride: 2 stride: 2"
    windows = "pool: MAX pad: 0 kernel_size: 3 stride: 2 pad_l: 0 kernel_l: 2 stride_l: 2"
    text = (
        inputs_text({"data": CLIP})
        + layer(
            "conv1",
            "Convolution",
            ["data"],
            ["conv1"],
            f"convolution_param {{ num_output: 4 bias_term: false {sizes} }}",
        )
        + layer(
            "bn_conv1",
            "BN",
            ["conv1"],
            ["bn_conv1"],
            "bn_param { slope_filler { value: 1 } bias_filler { value: 0 } frozen: false }",
        )
        + layer("relu", "ReLU", ["bn_conv1"], ["bn_conv1"])
        + layer("pool1", "Pooling3D", ["bn_conv1"], ["pool1"], f"pooling3d_param {{ {windows} }}")
    )
    weight = random(4, 3, 1, 7, 7)
    slope, shift, mean = random(1, 4), random(1, 4) + 1, random(1, 4) + 2
    variance = np.abs(random(1, 4)) + 0.5
    layers: Layers = [
        ("conv1", "Convolution", [weight]),
        ("bn_conv1", "BN", [slope, shift, mean, variance]),
    ]
    found = converted(text, encode.net("current", layers), tmp_path)
    assert "nn.BatchNorm3d(4)" in found.source
    x = random(*CLIP)
    wanted = conv3d(x, weight, None, (1, 2, 2), (0, 3, 3))
    parts = [part.reshape(1, 4, 1, 1, 1) for part in (slope, shift, mean, variance)]
    wanted = np.maximum((wanted - parts[2]) / np.sqrt(parts[3] + 1e-5) * parts[0] + parts[1], 0)
    wanted, _ = pool3d(wanted, "MAX", (2, 3, 3), (2, 2, 2), (0, 0, 0), clip=True)
    top = compute(found, x)
    assert top.shape == wanted.shape
    assert np.abs(top - wanted).max() <= 1e-5 * np.abs(wanted).max()
