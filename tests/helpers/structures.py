"""The well-known nets in small: the same structure and the same kinds of names, few channels."""

from __future__ import annotations

from collections.abc import Sequence


class Builder:
    """Writes a definition layer by layer; each method returns the top's name."""

    def __init__(self, name: str, shape: Sequence[int] = (1, 3, 64, 64)) -> None:
        dims = " ".join(f"dim: {size}" for size in shape)
        self.text = f'name: "{name}"\n'
        self.add("data", "Input", [], f"input_param {{ shape {{ {dims} }} }}")

    def add(
        self,
        name: str,
        kind: str,
        bottoms: Sequence[str],
        param: str = "",
        tops: Sequence[str] = (),
    ) -> str:
        wires = [f'bottom: "{blob}"' for blob in bottoms] + [
            f'top: "{top}"' for top in tops or [name]
        ]
        self.text += f'layer {{ name: "{name}" type: "{kind}" {" ".join(wires)} {param} }}\n'
        return (tops or [name])[0]

    def conv(self, name: str, bottom: str, outputs: int, kernel: int = 1, stride: int = 1, pad: int | None = None,
             group: int = 1, bias: bool = True, extra: str = "") -> str:  # fmt: skip
        pad = kernel // 2 if pad is None else pad
        param = f"num_output: {outputs} kernel_size: {kernel} stride: {stride} pad: {pad} group: {group} bias_term: {str(bias).lower()} {extra}"
        return self.add(name, "Convolution", [bottom], f"convolution_param {{ {param} }}")

    def relu(self, name: str, blob: str, kind: str = "ReLU") -> str:
        return self.add(name, kind, [blob], tops=[blob])

    def bn(self, name: str, scale: str, blob: str) -> str:
        """BatchNorm and Scale, both in place."""
        self.add(name, "BatchNorm", [blob], tops=[blob])
        return self.add(scale, "Scale", [blob], "scale_param { bias_term: true }", [blob])

    def pool(self, name: str, bottom: str, param: str) -> str:
        return self.add(name, "Pooling", [bottom], f"pooling_param {{ {param} }}")

    def concat(self, name: str, bottoms: Sequence[str]) -> str:
        return self.add(name, "Concat", bottoms)

    def total(self, name: str, bottoms: Sequence[str]) -> str:
        return self.add(name, "Eltwise", bottoms)

    def classifier(self, name: str, bottom: str, outputs: int) -> str:
        top = self.add(
            name, "InnerProduct", [bottom], f"inner_product_param {{ num_output: {outputs} }}"
        )
        return self.add("prob", "Softmax", [top])


def resnet(blocks: Sequence[int] = (2, 3, 2), width: int = 4, side: int = 64) -> str:
    """KaimingHe's names: res2a_branch2a, bn2a_branch2a, scale2a_branch2a."""
    net = Builder("ResNet", (1, 3, side, side))
    top = net.bn("bn_conv1", "scale_conv1", net.conv("conv1", "data", width * 4, 7, 2))
    net.relu("conv1_relu", top)
    top = net.pool("pool1", top, "pool: MAX kernel_size: 3 stride: 2")

    def branch(block: str, bottom: str, outputs: int, kernel: int, stride: int, relu: bool) -> str:
        blob = net.conv(f"res{block}", bottom, outputs, kernel, stride, bias=False)
        net.bn(f"bn{block}", f"scale{block}", blob)
        return net.relu(f"res{block}_relu", blob) if relu else blob

    for stage, count in enumerate(blocks):
        outputs = width * 2**stage
        for number in range(count):
            letter = chr(ord("a") + number) if count < 20 else ("a" if not number else f"b{number}")
            name, stride = f"{stage + 2}{letter}", 2 if stage and not number else 1
            shortcut = top
            if not number:
                shortcut = branch(f"{name}_branch1", top, outputs * 4, 1, stride, False)
            blob = branch(f"{name}_branch2a", top, outputs, 1, stride, True)
            blob = branch(f"{name}_branch2b", blob, outputs, 3, 1, True)
            blob = branch(f"{name}_branch2c", blob, outputs * 4, 1, 1, False)
            top = net.total(f"res{name}", [shortcut, blob])
            net.relu(f"res{name}_relu", top)
    net.pool("pool5", top, "pool: AVE global_pooling: true")
    net.classifier("fc1000", "pool5", 10)
    return net.text


def squeezenet() -> str:
    net = Builder("SqueezeNet")
    net.relu("relu_conv1", net.conv("conv1", "data", 8, 3, 2, 0))
    top = net.pool("pool1", "conv1", "pool: MAX kernel_size: 3 stride: 2")
    for number, (squeeze, expand) in {2: (2, 4), 3: (2, 4), 4: (3, 6), 5: (3, 6)}.items():
        name = f"fire{number}"
        blob = net.relu(f"{name}/relu_squeeze1x1", net.conv(f"{name}/squeeze1x1", top, squeeze))
        left = net.relu(f"{name}/relu_expand1x1", net.conv(f"{name}/expand1x1", blob, expand))
        right = net.relu(f"{name}/relu_expand3x3", net.conv(f"{name}/expand3x3", blob, expand, 3))
        top = net.concat(f"{name}/concat", [left, right])
        if number == 3:
            top = net.pool("pool3", top, "pool: MAX kernel_size: 3 stride: 2")
    top = net.add("drop9", "Dropout", [top], tops=[top])
    net.relu("relu_conv10", net.conv("conv10", top, 10))
    net.add("prob", "Softmax", [net.pool("pool10", "conv10", "pool: AVE global_pooling: true")])
    return net.text


def mobilenet() -> str:
    """shicai's names: conv2_1/dw, conv2_1/sep."""
    net = Builder("MOBILENET")

    def part(
        name: str, bottom: str, outputs: int, kernel: int, stride: int = 1, group: int = 1
    ) -> str:
        blob = net.conv(name, bottom, outputs, kernel, stride, group=group, bias=False)
        net.bn(f"{name}/bn", f"{name}/scale", blob)
        return net.relu(f"relu{name.removeprefix('conv')}", blob)

    top, channels = part("conv1", "data", 8, 3, 2), 8
    for name, outputs, stride in (
        ("2_1", 8, 1),
        ("2_2", 12, 2),
        ("3_1", 12, 1),
        ("3_2", 16, 2),
        ("4_1", 16, 1),
    ):
        top = part(f"conv{name}/dw", top, channels, 3, stride, channels)
        top, channels = part(f"conv{name}/sep", top, outputs, 1), outputs
    top = net.pool("pool6", top, "pool: AVE global_pooling: true")
    net.add("prob", "Softmax", [net.conv("fc7", top, 10)])
    return net.text


def mobilenet_v2() -> str:
    """Inverted residuals, linear at their ends."""
    net = Builder("MOBILENET_V2")

    def part(
        name: str,
        bottom: str,
        outputs: int,
        kernel: int,
        stride: int = 1,
        group: int = 1,
        relu: bool = True,
    ) -> str:
        blob = net.conv(name, bottom, outputs, kernel, stride, group=group, bias=False)
        net.bn(f"{name}/bn", f"{name}/scale", blob)
        return net.relu(f"relu{name.removeprefix('conv')}", blob) if relu else blob

    top, channels = part("conv1", "data", 6, 3, 2), 6
    for name, outputs, stride in (
        ("2_1", 4, 1),
        ("2_2", 4, 1),
        ("3_1", 4, 2),
        ("3_2", 4, 1),
        ("3_3", 4, 1),
        ("4_1", 8, 2),
        ("4_2", 8, 1),
    ):
        blob = part(f"conv{name}/expand", top, channels * 3, 1)
        blob = part(f"conv{name}/dwise", blob, channels * 3, 3, stride, channels * 3)
        blob = part(f"conv{name}/linear", blob, outputs, 1, relu=False)
        top = (
            net.total(f"block_{name}", [top, blob]) if (outputs, stride) == (channels, 1) else blob
        )
        channels = outputs
    net.add(
        "prob",
        "Softmax",
        [net.conv("fc7", net.pool("pool6", top, "pool: AVE global_pooling: true"), 10)],
    )
    return net.text


def densenet() -> str:
    """shicai's names; BatchNorm comes first, and what it reads is concatenated later."""
    net = Builder("DENSENET")

    def normalised(name: str, bottom: str) -> str:
        blob = net.add(f"{name}/bn", "BatchNorm", [bottom], "batch_norm_param { eps: 1e-5 }")
        net.add(f"{name}/scale", "Scale", [blob], "scale_param { bias_term: true }", [blob])
        return net.relu(f"relu{name.removeprefix('conv')}", blob)

    top = net.pool(
        "pool1",
        net.conv("conv1", "data", 8, 7, 2, bias=False),
        "pool: MAX kernel_size: 3 stride: 2 pad: 1",
    )
    for block, count in ((2, 3), (3, 4)):
        for number in range(1, count + 1):
            name = f"conv{block}_{number}"
            blob = net.conv(f"{name}/x1", normalised(f"{name}/x1", top), 8, bias=False)
            blob = net.conv(f"{name}/x2", normalised(f"{name}/x2", blob), 4, 3, bias=False)
            top = net.concat(f"concat_{block}_{number}", [top, blob])
        if block == 2:
            top = net.conv("conv2_blk", normalised("conv2_blk", top), 10, bias=False)
            top = net.pool("pool2", top, "pool: AVE kernel_size: 2 stride: 2")
    top = net.pool("pool5", normalised("conv5_blk", top), "pool: AVE global_pooling: true")
    net.conv("fc6", top, 10)
    return net.text


def inception_v3() -> str:
    """Factorised kernels, grids reduced in parallel."""
    net = Builder("InceptionV3")

    def part(name: str, bottom: str, outputs: int, kernel: str, extra: str = "") -> str:
        high, wide = kernel.split("x")
        param = f"num_output: {outputs} kernel_h: {high} kernel_w: {wide} bias_term: false {extra or f'pad_h: {int(high) // 2} pad_w: {int(wide) // 2}'}"
        blob = net.add(name, "Convolution", [bottom], f"convolution_param {{ {param} }}")
        net.bn(f"{name}_bn", f"{name}_scale", blob)
        return net.relu(f"{name}_relu", blob)

    top = part("conv1_3x3_s2", "data", 6, "3x3", "stride: 2")
    for number in (1, 2):
        name = f"inception_a{number}"
        one = part(f"{name}_1x1", top, 4, "1x1")
        five = part(f"{name}_5x5", part(f"{name}_5x5_reduce", top, 3, "1x1"), 4, "5x5")
        three = part(
            f"{name}_3x3_2",
            part(f"{name}_3x3_1", part(f"{name}_3x3_reduce", top, 4, "1x1"), 6, "3x3"),
            6,
            "3x3",
        )
        pooled = part(
            f"{name}_pool_proj",
            net.pool(f"{name}_pool", top, "pool: AVE kernel_size: 3 stride: 1 pad: 1"),
            2,
            "1x1",
        )
        top = net.concat(f"{name}_output", [one, five, three, pooled])
    left = part("reduction_a_3x3", top, 6, "3x3", "stride: 2")
    top = net.concat(
        "reduction_a_concat",
        [left, net.pool("reduction_a_pool", top, "pool: MAX kernel_size: 3 stride: 2 pad: 0")],
    )
    for number in (1, 2, 3):
        name = f"inception_b{number}"
        one = part(f"{name}_1x1", top, 4, "1x1")
        seven = part(
            f"{name}_7x1",
            part(f"{name}_1x7", part(f"{name}_1x7_reduce", top, 3, "1x1"), 3, "1x7"),
            4,
            "7x1",
        )
        top = net.concat(f"{name}_concat", [one, seven])
    net.classifier("classifier", net.pool("pool_8x8", top, "pool: AVE global_pooling: true"), 10)
    return net.text


def inception_v4() -> str:
    """A stem that forks twice, then blocks with a split at their end."""
    net = Builder("InceptionV4")

    def part(name: str, bottom: str, outputs: int, kernel: int, extra: str = "") -> str:
        blob = net.conv(name, bottom, outputs, kernel, bias=False, extra=extra)
        net.bn(f"{name}_bn", f"{name}_scale", blob)
        return net.relu(f"{name}_relu", blob)

    top = part("conv1", "data", 6, 3)
    stem = net.pool("stem_pool1", top, "pool: MAX kernel_size: 3 stride: 2")
    top = net.concat(
        "stem_concat1", [stem, net.relu("stem1_relu", net.conv("stem1_3x3_s2", top, 6, 2, 2, 0))]
    )
    left = part("stem2_3x3", part("stem2_3x3_reduce", top, 4, 1), 4, 3)
    right = part("stem3_7x7", part("stem3_7x7_reduce", top, 4, 1), 4, 7)
    top = net.concat("stem_concat2", [left, right])
    for number in (1, 2, 3):
        name = f"inception_c{number}"
        one = part(f"{name}_1x1", top, 4, 1)
        middle = part(f"{name}_1x1_2", top, 4, 1)
        left, right = part(f"{name}_1x3", middle, 3, 3), part(f"{name}_3x1", middle, 3, 1)
        pooled = part(
            f"{name}_pool_1x1",
            net.pool(f"{name}_pool_ave", top, "pool: AVE kernel_size: 3 stride: 1 pad: 1"),
            3,
            1,
        )
        top = net.concat(f"{name}_concat", [one, left, right, pooled])
    net.classifier("classifier", net.pool("pool_8x8_s1", top, "pool: AVE global_pooling: true"), 10)
    return net.text


def nin() -> str:
    net = Builder("NIN", (1, 3, 59, 59))
    top = "data"
    for block, (outputs, kernel, stride) in enumerate(((6, 11, 4), (8, 5, 1), (10, 3, 1)), 1):
        for number, (out, k, s) in enumerate(
            ((outputs, kernel, stride), (outputs, 1, 1), (outputs, 1, 1))
        ):
            name = f"cccp{2 * block - 2 + number}" if number else f"conv{block}"
            top = net.relu(
                f"relu_{name}", net.conv(name, top, out, k, s, 0 if block == 1 else None)
            )
        top = net.pool(
            f"pool{block}",
            top,
            "pool: MAX kernel_size: 3 stride: 2" if block < 3 else "pool: AVE global_pooling: true",
        )
    net.add("prob", "Softmax", [top])
    return net.text


def fcn8s() -> str:
    """Skips, bilinear deconvolutions, crops; the first convolution pads by 100, here by 30."""
    net = Builder("FCN8s", (1, 3, 64, 64))
    net.relu("relu1_1", net.conv("conv1_1", "data", 4, 3, 1, 30))
    pool = "pool: MAX kernel_size: 2 stride: 2"
    top = net.pool("pool1", "conv1_1", pool)
    for block in (2, 3, 4, 5):
        net.relu(f"relu{block}_1", net.conv(f"conv{block}_1", top, 6, 3))
        top = net.pool(f"pool{block}", f"conv{block}_1", pool)
    net.relu("relu6", net.conv("fc6", top, 8, 3, 1, 0))
    score = net.conv("score_fr", net.add("drop6", "Dropout", ["fc6"], tops=["fc6"]), 5)

    def up(name: str, bottom: str, kernel: int, stride: int) -> str:
        return net.add(
            name,
            "Deconvolution",
            [bottom],
            f"convolution_param {{ num_output: 5 bias_term: false kernel_size: {kernel} stride: {stride} }}",
        )

    score = up("upscore2", score, 4, 2)
    skip = net.add(
        "score_pool4c",
        "Crop",
        [net.conv("score_pool4", "pool4", 5), score],
        "crop_param { axis: 2 offset: 1 }",
    )
    score = up("upscore_pool4", net.total("fuse_pool4", [score, skip]), 4, 2)
    skip = net.add(
        "score_pool3c",
        "Crop",
        [net.conv("score_pool3", "pool3", 5), score],
        "crop_param { axis: 2 offset: 2 }",
    )
    score = up("upscore8", net.total("fuse_pool3", [score, skip]), 16, 8)
    net.add("score", "Crop", [score, "data"], "crop_param { axis: 2 offset: 7 }")
    return net.text


def hed() -> str:
    """Five side outputs; five layers of one name, crop."""
    net = Builder("HED", (1, 3, 48, 56))
    top, sides = "data", []
    for block in (1, 2, 3):
        top = net.relu(
            f"relu{block}_1",
            net.conv(f"conv{block}_1", top, 4 + block, 3, 1, 10 if block == 1 else 1),
        )
        side = net.conv(f"score-dsn{block}", top, 1)
        if block > 1:
            kernel, stride = 2**block, 2 ** (block - 1)
            side = net.add(
                f"upsample_{2 ** (block - 1)}",
                "Deconvolution",
                [side],
                f"convolution_param {{ num_output: 1 kernel_size: {kernel} stride: {stride} }}",
                [f"score-dsn{block}-up"],
            )
        side = net.add(
            "crop",
            "Crop",
            [side, "data"],
            f"crop_param {{ axis: 2 offset: {block} }}",
            [f"upscore-dsn{block}"],
        )
        sides.append(net.add(f"sigmoid-dsn{block}", "Sigmoid", [side]))
        if block < 3:
            top = net.pool(f"pool{block}", top, "pool: MAX kernel_size: 2 stride: 2")
    fused = net.conv(
        "new-score-weighting",
        net.concat("concat", [f"upscore-dsn{block}" for block in (1, 2, 3)]),
        1,
    )
    net.add("sigmoid-fuse", "Sigmoid", [fused])
    return net.text


def light_cnn() -> str:
    """Max-feature-map: a Slice and an Eltwise MAX after each convolution."""
    net = Builder("LightCNN", (1, 1, 48, 48))

    def mfm(number: str, bottom: str) -> str:
        parts = [f"slice{number}_1", f"slice{number}_2"]
        net.add(f"slice{number}", "Slice", [bottom], "slice_param { axis: 1 }", parts)
        return net.add(f"etlwise{number}", "Eltwise", parts, "eltwise_param { operation: MAX }")

    top = mfm("1", net.conv("conv1", "data", 8, 5))
    top = net.pool("pool1", top, "pool: MAX kernel_size: 2 stride: 2")
    for number in (2, 3, 4):
        top = mfm(f"{number}a", net.conv(f"conv{number}a", top, 8))
        top = mfm(f"{number}", net.conv(f"conv{number}", top, 12, 3))
        top = net.pool(f"pool{number}", top, "pool: MAX kernel_size: 2 stride: 2")
    top = net.add("fc1", "InnerProduct", [top], "inner_product_param { num_output: 16 }")
    mfm("_fc1", top)
    return net.text


def ssd_trunk() -> str:
    """Heads at several resolutions, flattened and concatenated; a dilated fc6."""
    net = Builder("SSD", (1, 3, 64, 64))
    top = net.pool(
        "pool1",
        net.relu("relu1_1", net.conv("conv1_1", "data", 4, 3)),
        "pool: MAX kernel_size: 2 stride: 2",
    )
    net.relu("relu4_3", net.conv("conv4_3", top, 6, 3))
    top = net.pool("pool5", "conv4_3", "pool: MAX kernel_size: 3 stride: 1 pad: 1")
    net.relu("relu6", net.conv("fc6", top, 8, 3, 1, 6, extra="dilation: 6"))
    net.relu("relu7", net.conv("fc7", "fc6", 8))
    net.relu("conv6_2_relu", net.conv("conv6_2", "fc7", 8, 3, 2))
    flat: dict[str, list[str]] = {"loc": [], "conf": []}
    for source in ("conv4_3", "fc7", "conv6_2"):
        for kind, outputs in (("loc", 8), ("conf", 6)):
            blob = net.conv(f"{source}_mbox_{kind}", source, outputs, 3)
            flat[kind].append(
                net.add(f"{blob}_flat", "Flatten", [blob], "flatten_param { axis: 1 }")
            )
    net.concat("mbox_loc", flat["loc"])
    top = net.add(
        "mbox_conf_reshape",
        "Reshape",
        [net.concat("mbox_conf", flat["conf"])],
        "reshape_param { shape { dim: 0 dim: -1 dim: 3 } }",
    )
    net.add(
        "mbox_conf_flatten",
        "Flatten",
        [net.add("mbox_conf_softmax", "Softmax", [top], "softmax_param { axis: 2 }")],
    )
    return net.text


def openpose() -> str:
    """Two branches a stage, each stage fed with both and with the trunk."""
    net = Builder("OpenPose", (1, 3, 48, 48))
    trunk = net.relu(
        "relu4_4_CPM",
        net.conv(
            "conv4_4_CPM",
            net.pool(
                "pool3", net.conv("conv1_1", "data", 4, 3, 2), "pool: MAX kernel_size: 2 stride: 2"
            ),
            6,
            3,
        ),
    )
    top = trunk
    for stage in (1, 2, 3, 4):
        ends = []
        for branch, outputs in (("L1", 6), ("L2", 4)):
            blob = top
            for number in (1, 2):
                name = (
                    f"conv5_{number}_CPM_{branch}"
                    if stage == 1
                    else f"Mconv{number}_stage{stage}_{branch}"
                )
                relu = name.replace("conv", "relu", 1)
                blob = net.relu(relu, net.conv(name, blob, 8, 3 if stage == 1 else 7))
            name = f"conv5_5_CPM_{branch}" if stage == 1 else f"Mconv7_stage{stage}_{branch}"
            ends.append(net.conv(name, blob, outputs))
        top = net.concat(
            f"concat_stage{stage + 1}", [*ends, trunk] if stage < 4 else [ends[1], ends[0]]
        )
    return net.text


def vgg() -> str:
    net = Builder("VGG")
    top = "data"
    for block, count in ((1, 2), (2, 2), (3, 3), (4, 3)):
        for number in range(1, count + 1):
            top = net.relu(
                f"relu{block}_{number}", net.conv(f"conv{block}_{number}", top, 4 * block, 3)
            )
        top = net.pool(f"pool{block}", top, "pool: MAX kernel_size: 2 stride: 2")
    net.classifier("fc8", top, 10)
    return net.text


STRUCTURES = {
    "resnet": resnet, "squeezenet": squeezenet, "mobilenet": mobilenet, "mobilenet_v2": mobilenet_v2,
    "densenet": densenet, "inception_v3": inception_v3, "inception_v4": inception_v4, "nin": nin,
    "fcn8s": fcn8s, "hed": hed, "light_cnn": light_cnn, "ssd_trunk": ssd_trunk, "openpose": openpose,
    "vgg": vgg,
}  # fmt: skip
