"""Deep nets of the well-known kinds at their full depth, with few channels, and weights to fill them.

Rounding grows along them: what is right must pass parity all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import nn

from decant.loader.artifact.loading import module_from_source
from decant.loader.definition.graph import Net
from decant.loader.plan.planning import plan
from decant.loader.source.codegen import generate
from tests.helpers.random_weights import Blobs, random_blobs, shapes_of
from tests.helpers.structures import Builder, resnet

GLOBAL_MEAN = "pool: AVE global_pooling: true"
HALVED = "pool: MAX kernel_size: 2 stride: 2"


def normalised(net: Builder, name: str, bottom: str, outputs: int, kernel: int, stride: int = 1,
               group: int = 1, relu: bool = True) -> str:  # fmt: skip
    """Convolution, BatchNorm, Scale, ReLU."""
    top = net.conv(name, bottom, outputs, kernel, stride, group=group, bias=False)
    net.bn(f"{name}/bn", f"{name}/scale", top)
    return net.relu(f"{name}/relu", top) if relu else top


def densenet(blocks: Sequence[int], growth: int = 8, side: int = 64) -> str:
    """(6, 12, 48, 32) is DenseNet-201."""
    net = Builder("DenseNet", (1, 3, side, side))

    def before(name: str, bottom: str) -> str:
        top = net.add(f"{name}/bn", "BatchNorm", [bottom])
        net.add(f"{name}/scale", "Scale", [top], "scale_param { bias_term: true }", [top])
        return net.relu(f"{name}/relu", top)

    channels = 2 * growth
    top = net.pool("pool1", net.conv("conv1", "data", channels, 7, 2, bias=False), HALVED)
    for block, count in enumerate(blocks, 2):
        for number in range(count):
            name = f"conv{block}_{number}"
            part = net.conv(f"{name}/x1", before(f"{name}/x1", top), 4 * growth, bias=False)
            part = net.conv(f"{name}/x2", before(f"{name}/x2", part), growth, 3, bias=False)
            top, channels = net.concat(f"concat_{block}_{number}", [top, part]), channels + growth
        if block < len(blocks) + 1:
            channels //= 2
            top = net.conv(
                f"conv{block}_blk", before(f"conv{block}_blk", top), channels, bias=False
            )
            top = net.pool(f"pool{block}", top, "pool: AVE kernel_size: 2 stride: 2")
    net.classifier("fc", net.pool("pool", before("last", top), GLOBAL_MEAN), 100)
    return net.text


def mobilenet(width: int = 16, side: int = 96) -> str:
    net = Builder("MobileNet", (1, 3, side, side))
    top, channels = normalised(net, "conv1", "data", width, 3, 2), width
    for number in range(13):
        stride = 2 if number in (1, 3, 5, 11) else 1
        outputs = channels * 2 if number in (0, 1, 3, 5, 11) else channels
        top = normalised(net, f"conv{number}/dw", top, channels, 3, stride, channels)
        top, channels = normalised(net, f"conv{number}/sep", top, outputs, 1), outputs
    net.classifier("fc", net.pool("pool", top, GLOBAL_MEAN), 100)
    return net.text


def mobilenet_v2(width: int = 8, side: int = 96) -> str:
    net = Builder("MobileNetV2", (1, 3, side, side))
    top, channels = normalised(net, "conv1", "data", width * 4, 3, 2), width * 4
    for stage, (count, wide) in enumerate(
        zip((1, 2, 3, 4, 3, 3, 1), (2, 3, 4, 8, 12, 20, 40), strict=True), 2
    ):
        for number in range(count):
            name, outputs = f"block{stage}_{number}", wide * width // 2
            stride = 2 if number == 0 and stage in (3, 4, 5, 7) else 1
            part = normalised(net, f"{name}/expand", top, channels * 6, 1)
            part = normalised(net, f"{name}/dwise", part, channels * 6, 3, stride, channels * 6)
            part = normalised(net, f"{name}/linear", part, outputs, 1, relu=False)
            same = stride == 1 and outputs == channels
            top, channels = net.total(name, [top, part]) if same else part, outputs
    net.classifier("fc", net.pool("pool", top, GLOBAL_MEAN), 100)
    return net.text


def se_resnet(blocks: Sequence[int] = (3, 4, 6, 3), width: int = 8, side: int = 64) -> str:
    """Channels weighted by what a Sigmoid makes of their means."""
    net = Builder("SE-ResNet", (1, 3, side, side))
    top = normalised(net, "conv1", "data", width * 4, 7, 2)
    for stage, count in enumerate(blocks):
        outputs = width * 2**stage
        for number in range(count):
            name, stride = f"res{stage + 2}_{number}", 2 if stage and not number else 1
            shortcut = top
            if not number:
                shortcut = normalised(net, f"{name}/short", top, outputs * 4, 1, stride, relu=False)
            part = normalised(net, f"{name}/reduce", top, outputs, 1, stride)
            part = normalised(net, f"{name}/middle", part, outputs, 3)
            part = normalised(net, f"{name}/grow", part, outputs * 4, 1, relu=False)
            gate = net.conv(
                f"{name}/down", net.pool(f"{name}/mean", part, GLOBAL_MEAN), max(outputs // 4, 2)
            )
            net.relu(f"{name}/down/relu", gate)
            gate = net.add(f"{name}/gate", "Sigmoid", [net.conv(f"{name}/up", gate, outputs * 4)])
            gate = net.add(
                f"{name}/flat", "Reshape", [gate], "reshape_param { shape { dim: 0 dim: 0 } }"
            )
            part = net.add(f"{name}/weighted", "Scale", [part, gate], "scale_param { axis: 0 }")
            top = net.relu(f"{name}/relu", net.total(name, [shortcut, part]))
    net.classifier("fc", net.pool("pool", top, GLOBAL_MEAN), 100)
    return net.text


def vgg19_bn(width: int = 16, side: int = 64) -> str:
    net = Builder("VGG-19", (1, 3, side, side))
    top = "data"
    for stage, count in enumerate((2, 2, 4, 4, 4), 1):
        for number in range(count):
            top = normalised(net, f"conv{stage}_{number}", top, width * 2 ** min(stage - 1, 3), 3)
        top = net.pool(f"pool{stage}", top, HALVED)
    net.relu(
        "relu6", net.add("fc6", "InnerProduct", [top], "inner_product_param { num_output: 256 }")
    )
    net.classifier("fc8", "fc6", 100)
    return net.text


def chain(count: int, kind: str = "ReLU", residual: bool = True, norm: bool = True,
          width: int = 8, side: int = 16) -> str:  # fmt: skip
    """`count` convolutions, one behind the other; 250 residual ones are more than 1,000 layers."""
    net = Builder("Chain", (1, 3, side, side))
    top = net.conv("conv0", "data", width, 3)
    for number in range(1, count + 1):
        part = net.conv(f"conv{number}", top, width, 3 if number % 5 == 0 else 1)
        if norm:
            net.bn(f"bn{number}", f"scale{number}", part)
        net.relu(f"act{number}", part, kind)
        # so that 200 sums stay in range
        mean = "eltwise_param { coeff: 0.7 coeff: 0.7 }"
        top = net.add(f"sum{number}", "Eltwise", [top, part], mean) if residual else part
    net.classifier("fc", net.pool("pool", top, GLOBAL_MEAN), 10)
    return net.text


def lstm(steps: int, inputs: int, outputs: int, layers: int = 1) -> str:
    net = Builder("LSTM", (steps, 2, inputs))
    net.add("cont", "Input", [], f"input_param {{ shape {{ dim: {steps} dim: 2 }} }}")
    top = "data"
    for number in range(layers):
        param = f"recurrent_param {{ num_output: {outputs} }}"
        top = net.add(f"lstm{number}", "LSTM", [top, "cont"], param)
    top = net.add("fc", "InnerProduct", [top], "inner_product_param { num_output: 50 axis: 2 }")
    net.add("prob", "Softmax", [top], "softmax_param { axis: 2 }")
    return net.text


DEEP: dict[str, Callable[[int], str]] = {
    # by width
    "resnet50": lambda n: resnet((3, 4, 6, 3), n, 96),
    "resnet152": lambda n: resnet((3, 8, 36, 3), n, 64),
    "densenet121": lambda n: densenet((6, 12, 24, 16), n),
    "densenet201": lambda n: densenet((6, 12, 48, 32), n),
    "mobilenet": lambda n: mobilenet(2 * n),
    "mobilenet_v2": mobilenet_v2,
    "se_resnet50": lambda n: se_resnet(width=n),
    "vgg19_bn": lambda n: vgg19_bn(2 * n),
    "1000 layers": lambda n: chain(200, width=n),
    "plain chain": lambda n: chain(100, residual=False, width=n),
    "tanh chain": lambda n: chain(60, "TanH", residual=False, norm=False, width=2 * n),
    "sigmoid chain": lambda n: chain(60, "Sigmoid", residual=False, width=2 * n),
    "elu chain": lambda n: chain(60, "ELU", residual=False, width=2 * n),
    "lstm": lambda n: lstm(20, 16 * n, 32 * n),
    "deep lstm": lambda n: lstm(12, 16 * n, 16 * n, 3),
}


def even(net: Net, seed: int) -> Blobs:
    """He's scale, and BatchNorms that change little."""
    return random_blobs(net, seed=seed)


def trained(net: Net, seed: int) -> Blobs:
    """BatchNorms of trained nets: statistics of what they are given, and Scales over two decades."""
    random = np.random.default_rng(seed)
    blobs = random_blobs(net, seed=seed)
    for layer, own in zip(net.layers, blobs, strict=True):
        if layer.type == "Scale" and own:
            own[0] = (10 ** random.uniform(-1.5, 0.5, own[0].shape)).astype(np.float32)
    planned = plan(net, blobs, shapes_of(net))
    module = module_from_source(generate(planned, "net").source).train()
    tensors = {
        step.key(key): x for step in planned.steps for key, x in step.written.tensors.items()
    }
    module.load_state_dict({key: torch.from_numpy(np.array(x)) for key, x in tensors.items()})
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    for part in norms:
        part.momentum = 1.0
    pictures = [random.standard_normal((4, *shape[1:])) * 50 for shape in shapes_of(net).values()]
    with torch.no_grad():
        module(*(torch.from_numpy(x.astype(np.float32)) for x in pictures))
    owns = [own for layer, own in zip(net.layers, blobs, strict=True) if layer.type == "BatchNorm"]
    for own, part in zip(owns, norms, strict=True):
        factor = np.float32(999.98)
        assert part.running_mean is not None and part.running_var is not None
        own[0], own[1] = part.running_mean.numpy() * factor, part.running_var.numpy() * factor
        own[2] = np.array([factor])
    return blobs


def shrinking(net: Net, seed: int) -> Blobs:
    """Every convolution halves what it is given: biases and means are what counts in the end."""
    blobs = random_blobs(net, seed=seed)
    for layer, own in zip(net.layers, blobs, strict=True):
        if layer.type in ("Convolution", "InnerProduct"):
            own[0] *= np.float32(0.5)
    return blobs


FILLINGS = {"even": even, "trained": trained, "shrinking": shrinking}


def deep_nets(count: int) -> Iterator[tuple[str, str, Callable[[Net], Blobs]]]:
    """(name, definition, weights for it): every kind, then again with other weights and widths."""
    made = 0
    for seed in range(count):
        for name, define in DEEP.items():
            for style, fill in FILLINGS.items():
                if made == count:
                    return
                definition = define((8, 6, 12, 5, 10)[seed % 5])
                if style == "trained" and "BatchNorm" not in definition:
                    continue
                made += 1
                yield f"{name}, {style}, {seed}", definition, lambda net, f=fill, s=seed: f(net, s)
