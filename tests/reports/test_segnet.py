"""SegNet: sizes written beside a scale, pictures of odd sizes, and its own data layer."""

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
from decant.loader.errors import UsageError
from decant.loader.plan.deploy import deploy
from decant.loader.progress import SILENT
from tests.helpers import by_hand
from tests.helpers import encode_caffemodel as encode
from tests.helpers.by_hand_volumes import conv3d, pool3d
from tests.helpers.nets import Shape, inputs_text, layer

CONV = "convolution_param { num_output: 4 kernel_size: 3 pad: 1 }"
POOL = "pooling_param { pool: MAX kernel_size: 2 stride: 2 }"


def trunk(upsample: str) -> str:
    """Down by two, and up again: what SegNet is made of."""
    return (
        layer("conv", "Convolution", ["data"], ["conv"], CONV)
        + layer("conv_bn", "BN", ["conv"], ["conv"], "bn_param { bn_mode: INFERENCE }")
        + layer("relu", "ReLU", ["conv"], ["conv"])
        + layer("pool", "Pooling", ["conv"], ["pool", "pool_mask"], POOL)
        + layer("up", "Upsample", ["pool", "pool_mask"], ["up"], f"upsample_param {{ {upsample} }}")
        + layer("classes", "Convolution", ["up"], ["classes"], CONV)
    )


def blobs() -> dict[str, list[np.ndarray]]:
    random = np.random.default_rng(0)
    found = {
        "conv": [(4, 3, 3, 3), (4,)], "conv_bn": [(1, 4, 1, 1)] * 2, "classes": [(4, 4, 3, 3), (4,)],
    }  # fmt: skip
    return {
        name: [random.standard_normal(shape).astype(np.float32) for shape in shapes]
        for name, shapes in found.items()
    }


def converted(text: str, folder: Path) -> Conversion:
    kinds = {"conv": "Convolution", "conv_bn": "BN", "classes": "Convolution"}
    (folder / "net.prototxt").write_text(text)
    layers = [(name, kinds[name], found) for name, found in blobs().items()]
    (folder / "net.caffemodel").write_bytes(encode.net("current", layers))
    net = deploy(read_net(folder / "net.prototxt"), {}, {})
    job = Job(folder / "net.prototxt", folder / "net.caffemodel", {}, net=net)
    reader.dump(job, folder / "dump.h5", SILENT)
    return conversion_of(dumpfile.read(folder / "dump.h5"), None, "net")


def by_numpy(x: np.ndarray, height: int, width: int) -> np.ndarray:
    found, ones = blobs(), (1, 1, 1)

    def conv(values: np.ndarray, name: str) -> np.ndarray:
        weight, bias = found[name]
        return conv3d(values[:, :, None], weight[:, :, None], bias, ones, (0, 1, 1))[:, :, 0]

    scale, shift = found["conv_bn"]
    x = np.maximum(conv(x, "conv") * scale + shift, 0)
    pooled, mask = pool3d(x[:, :, None], "MAX", (1, 2, 2), (1, 2, 2), (0, 0, 0), clip=True)
    return conv(by_hand.unpool(pooled[:, :, 0], mask[:, :, 0], height, width), "classes")


@pytest.mark.parametrize(
    ("size", "upsample"),
    [
        ((45, 60), "scale: 2 upsample_w: 60 upsample_h: 45"),
        ((23, 15), "upsample_w: 15 upsample_h: 23"),
        ((45, 60), "scale: 2 pad_out_h: true"),
        ((8, 6), "scale: 2"),
        ((8, 6), "scale_h: 2 scale_w: 2"),
        ((7, 9), "upsample_h: 7 upsample_w: 9 scale_h: 3 scale_w: 3 pad_out_w: true"),
    ],
)
@torch.no_grad()
def test_segnet_comes_back_to_its_size(
    size: tuple[int, int], upsample: str, tmp_path: Path
) -> None:
    shape: Shape = (2, 3, *size)
    found = converted(inputs_text({"data": shape}) + trunk(upsample), tmp_path)
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    wanted = by_numpy(x, *size)
    top = found.build()(torch.from_numpy(x)).numpy()
    assert top.shape == wanted.shape == (2, 4, *size)
    assert np.abs(top - wanted).max() <= 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize(
    ("upsample", "why"),
    [
        ("scale_h: 2", "one without the other"),
        ("scale: 2 scale_h: 2 scale_w: 2", "scale_h and scale_w with scale"),
        ("scale: 1", "2 and more"),
        ("scale: 3 pad_out_h: true", "2 with pad_out"),
        ("upsample_h: 1 upsample_w: 9", "above 1"),
    ],
)
def test_what_segnet_itself_refuses_is_refused(upsample: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=why):
        converted(inputs_text({"data": (1, 3, 6, 8)}) + trunk(upsample), tmp_path)


def training(data: str) -> str:
    """As SegNet's authors train and test it."""
    return (
        f'layer {{ name: "data" type: "DenseImageData" top: "data" top: "label" {data} }}\n'
        + trunk("scale: 2 upsample_w: 15 upsample_h: 23")
        + layer(
            "loss",
            "SoftmaxWithLoss",
            ["classes", "label"],
            ["loss"],
            "softmax_param { engine: CAFFE }",
        )
        + layer("accuracy", "Accuracy", ["classes", "label"], ["accuracy", "per_class"])
    )


@torch.no_grad()
def test_its_data_layer_becomes_an_input(tmp_path: Path) -> None:
    sizes = "new_height: 23 new_width: 15"
    data = f'dense_image_data_param {{ source: "test.txt" batch_size: 3 {sizes} shuffle: true }}'
    found = converted(training(data), tmp_path)
    assert found.inputs == {"data": (1, 3, 23, 15)}
    assert found.recipe is not None and found.recipe.resize == (23, 15)
    x = np.random.default_rng(1).standard_normal((1, 3, 23, 15)).astype(np.float32)
    wanted = by_numpy(x, 23, 15)
    wanted = np.exp(wanted - wanted.max(1, keepdims=True))
    wanted /= wanted.sum(1, keepdims=True)
    top = found.build()(torch.from_numpy(x)).numpy()
    assert np.abs(top - wanted).max() <= 1e-5


@pytest.mark.parametrize(
    ("param", "shape"),
    [
        ("new_height: 23 new_width: 15", (1, 3, 23, 15)),
        ("new_height: 23 new_width: 15 is_color: false", (1, 1, 23, 15)),
    ],
)
def test_its_pictures_are_in_colour_unless_it_says_so(param: str, shape: Shape) -> None:
    """Without weights: the layer's own default."""
    net = net_from_text(training(f"dense_image_data_param {{ {param} }}"), "train.prototxt")
    assert deploy(net, {}, {}).inputs == {"data": shape}


def test_a_size_that_is_nowhere_is_asked_for() -> None:
    net = net_from_text(training("dense_image_data_param { batch_size: 3 }"), "train.prototxt")
    with pytest.raises(UsageError, match="--input"):
        deploy(net, {}, {})
    assert deploy(net, {"data": (1, 3, 23, 15)}, {}).inputs == {"data": (1, 3, 23, 15)}
