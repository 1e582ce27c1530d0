"""Well-known nets with all of their layers and names, and few channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.helpers.structures import Builder

Part = Callable[..., str]


def _normalised(net: Builder, eps: str = "1e-5") -> Part:
    """A convolution with BatchNorm, Scale and ReLU behind it, all in place."""

    def part(
        name: str, bottom: str, outputs: int, kernel: int = 1, stride: int = 1, group: int = 1,
        relu: bool = True, extra: str = "", pad: int | None = None,
    ) -> str:  # fmt: skip
        blob = net.conv(name, bottom, outputs, kernel, stride, pad, group, False, extra)
        net.bn(f"{name}_bn", f"{name}_scale", blob)
        return net.relu(f"{name}_relu", blob) if relu else blob

    return part


def _before(net: Builder, name: str, bottom: str, eps: str = "0.001") -> str:
    """BatchNorm, Scale and ReLU in front of a convolution."""
    blob = net.add(f"{name}_bn", "BatchNorm", [bottom], f"batch_norm_param {{ eps: {eps} }}")
    net.add(f"{name}_scale", "Scale", [blob], "scale_param { bias_term: true }", [blob])
    return net.relu(f"{name}_relu", blob)


def _cut(net: Builder, blob: str, point: int) -> list[str]:
    tops = [f"{blob}_split1", f"{blob}_split2"]
    param = f"slice_param {{ axis: 1 slice_point: {point} }}"
    net.add(f"{blob}_Slice", "Slice", [blob], param, tops)
    return tops


def dpn92() -> str:
    """Two paths: one is added to, the other grows by concatenation; every block reads and makes both."""
    net = Builder("DPN-92", (1, 3, 64, 64))
    top = _normalised(net)("conv1", "data", 8, 7, 2)
    top = net.pool("pool1", top, "pool: MAX kernel_size: 3 stride: 2 pad: 1")
    number, added, grown = 0, "", ""
    for stage, (count, width, more) in enumerate(
        ((3, 32, 2), (4, 64, 4), (20, 128, 3), (3, 256, 16))
    ):
        for at in range(count):
            number += 1
            name, stride = f"dpn{number}", 2 if stage and not at else 1
            if number > 1:
                top = net.concat(f"{name}_concat_input", [added, grown])

            if not at:
                blob = _before(net, f"{name}_match", top)
                blob = net.conv(f"{name}_match_conv", blob, width + 2 * more, 1, stride, bias=False)
                added, grown = _cut(net, blob, width)
            part = _normalised(net)
            blob = part(f"{name}_conv1", _before(net, name, top), 12 * 2**stage)
            blob = part(f"{name}_conv2", blob, 12 * 2**stage, 3, stride, 4)
            blob = net.conv(f"{name}_conv3", blob, width + more, bias=False)
            one, other = _cut(net, blob, width)
            added = net.total(f"{name}_elewise", [added, one])
            grown = net.concat(f"{name}_concat", [grown, other])
    blob = net.concat("concat_end", [added, grown])
    net.classifier("fc", net.pool("pool_end", blob, "pool: AVE global_pooling: true"), 10)
    return net.text


def pspnet(heads: int = 1) -> str:
    """Pools of four sizes, each brought back to the map's, in `heads` one behind the other."""
    net = Builder("PSPNet", (1, 3, 96, 96))
    part = _normalised(net)
    top = part("conv1_1_3x3_s2", "data", 8, 3, 2)
    ends = []
    for head in range(heads):
        stage = f"conv{5 - head}_3"
        side = 48
        top = part(f"{stage}_1x1", top, 16)
        pools = [top]
        for number, bins in ((1, 1), (2, 2), (3, 3), (6, 6)):
            name = f"{stage}_pool{number}"
            size = side // bins
            blob = net.pool(name, top, f"pool: AVE kernel_size: {size} stride: {size}")
            blob = part(f"{name}_conv", blob, 4)
            pools.append(
                net.add(
                    f"{name}_interp",
                    "Interp",
                    [blob],
                    f"interp_param {{ height: {side} width: {side} }}",
                )
            )
        ends.append(part(f"conv{5 - head}_4", net.concat(f"{stage}_concat", pools), 8, 3))
    for number, blob in enumerate(ends):
        net.add(
            f"score{number}",
            "Interp",
            [net.conv(f"conv6_{number}", blob, 5)],
            "interp_param { height: 96 width: 96 }",
        )
    return net.text


def shufflenet_v1() -> str:
    """farmingyard's names: the first unit of a stage is concatenated, the others are added."""
    net = Builder("ShuffleNet", (1, 3, 64, 64))
    part = _normalised(net)
    top = part("conv1", "data", 12, 3, 2)
    top = net.pool("pool1", top, "pool: MAX kernel_size: 3 stride: 2")
    number, channels = 0, 12
    for stage, count in enumerate((4, 8, 4)):
        width = 24 * 2**stage
        for at in range(count):
            number += 1
            name, stride = f"resx{number}", 1 if at else 2
            shortcut = top
            if not at:
                shortcut = net.pool(f"{name}_match_conv", top, "pool: AVE kernel_size: 3 stride: 2")
            outputs = width if at else width - channels
            blob = part(f"{name}_conv1", top, 12, group=3)
            blob = net.add(
                f"shuffle{number}", "ShuffleChannel", [blob], "shuffle_channel_param { group: 3 }"
            )
            blob = part(f"{name}_conv2", blob, 12, 3, stride, 12, relu=False)
            blob = part(f"{name}_conv3", blob, outputs, group=3, relu=False)
            join = net.total if at else net.concat
            top = join(f"{name}_{'elewise' if at else 'concat'}", [shortcut, blob])
            net.relu(f"{name}_relu", top)
        channels = width
    net.classifier("fc1000", net.pool("pool_ave", top, "pool: AVE global_pooling: true"), 10)
    return net.text


def shufflenet_v2() -> str:
    """Half of the channels pass, the other half is worked on; both are shuffled."""
    net = Builder("ShuffleNetV2", (1, 3, 64, 64))
    part = _normalised(net)
    top = net.pool("pool1", part("conv1", "data", 12, 3, 2), "pool: MAX kernel_size: 3 stride: 2")
    for stage, count in ((2, 4), (3, 8), (4, 4)):
        width = 12 * 2 ** (stage - 2)
        for at in range(1, count + 1):
            name = f"stage{stage}_{at}"
            if at == 1:
                left = part(
                    f"{name}_branch1_dw",
                    top,
                    12 if stage == 2 else width,
                    3,
                    2,
                    12 if stage == 2 else width,
                    relu=False,
                )
                left, right, stride = part(f"{name}_branch1_pw", left, width), top, 2
            else:
                left, right, stride = f"{name}_left", f"{name}_right", 1
                net.add(f"{name}_split", "Slice", [top], tops=[left, right])
            blob = part(f"{name}_pw1", right, width)
            blob = part(f"{name}_dw", blob, width, 3, stride, width, relu=False)
            blob = net.concat(f"{name}_concat", [left, part(f"{name}_pw2", blob, width)])
            top = net.add(
                f"{name}_shuffle", "ShuffleChannel", [blob], "shuffle_channel_param { group: 2 }"
            )
    net.classifier(
        "fc", net.pool("pool", part("conv5", top, 32), "pool: AVE global_pooling: true"), 10
    )
    return net.text


def densenet121() -> str:
    """shicai's names."""
    net = Builder("DENSENET_121", (1, 3, 64, 64))

    def before(name: str, bottom: str) -> str:
        blob = net.add(f"{name}/bn", "BatchNorm", [bottom], "batch_norm_param { eps: 1e-5 }")
        net.add(f"{name}/scale", "Scale", [blob], "scale_param { bias_term: true }", [blob])
        return net.relu(f"relu{name.removeprefix('conv')}", blob)

    top = net.pool(
        "pool1",
        net.conv("conv1", "data", 8, 7, 2, bias=False),
        "pool: MAX kernel_size: 3 stride: 2 pad: 1",
    )
    for block, count in ((2, 6), (3, 12), (4, 24), (5, 16)):
        for number in range(1, count + 1):
            name = f"conv{block}_{number}"
            blob = net.conv(f"{name}/x1", before(f"{name}/x1", top), 16, bias=False)
            blob = net.conv(f"{name}/x2", before(f"{name}/x2", blob), 4, 3, bias=False)
            top = net.concat(f"concat_{block}_{number}", [top, blob])
        if block < 5:
            top = net.conv(
                f"conv{block}_blk", before(f"conv{block}_blk", top), 8 * block, bias=False
            )
            top = net.pool(f"pool{block}", top, "pool: AVE kernel_size: 2 stride: 2")
    net.conv(
        "fc6", net.pool("pool5", before("conv5_blk", top), "pool: AVE global_pooling: true"), 10
    )
    return net.text


def se_resnet50(scale: bool = False) -> str:
    """hujie's names; the excitation by Axpy, or by Scale and Eltwise."""
    net = Builder("SE-ResNet-50", (1, 3, 64, 64))

    def part(
        name: str, bottom: str, outputs: int, kernel: int = 1, stride: int = 1, relu: bool = True
    ) -> str:
        blob = net.conv(name, bottom, outputs, kernel, stride, bias=False)
        net.bn(f"{name}/bn", f"{name}/bn/scale", blob)
        return net.relu(f"{name}/relu", blob) if relu else blob

    top = part("conv1/7x7_s2", "data", 8, 7, 2)
    top = net.pool("pool1/3x3_s2", top, "pool: MAX kernel_size: 3 stride: 2")
    for stage, count in enumerate((3, 4, 6, 3), 2):
        width = 2**stage
        for number in range(1, count + 1):
            name, stride = f"conv{stage}_{number}", 2 if stage > 2 and number == 1 else 1
            blob = part(f"{name}_1x1_reduce", top, width, 1, stride)
            blob = part(f"{name}_3x3", blob, width, 3)
            blob = part(f"{name}_1x1_increase", blob, 4 * width, relu=False)
            gate = net.pool(f"{name}_global_pool", blob, "pool: AVE global_pooling: true")
            gate = net.relu(f"{name}_1x1_down/relu", net.conv(f"{name}_1x1_down", gate, 4))
            gate = net.add(
                f"{name}_prob",
                "Sigmoid",
                [net.conv(f"{name}_1x1_up", gate, 4 * width)],
                tops=[f"{name}_1x1_up"],
            )
            if number == 1:
                top = part(f"{name}_1x1_proj", top, 4 * width, 1, stride, relu=False)
            if scale:
                flat = net.add(f"{name}_flat", "Flatten", [gate])
                gated = net.add(f"{name}_scale", "Scale", [blob, flat], "scale_param { axis: 0 }")
                top = net.total(name, [gated, top])
            else:
                top = net.add(name, "Axpy", [gate, blob, top])
            net.relu(f"{name}/relu", top)
    net.classifier(
        "classifier", net.pool("pool5/7x7_s1", top, "pool: AVE global_pooling: true"), 10
    )
    return net.text


def inception_v4() -> str:
    """4 x A, 7 x B, 3 x C between two reductions."""
    net = Builder("Inception-v4", (1, 3, 81, 81))
    part = _normalised(net)

    def long(name: str, bottom: str, outputs: int, kernel: str) -> str:
        high, wide = map(int, kernel.split("x"))
        sizes = f"kernel_h: {high} kernel_w: {wide} pad_h: {high // 2} pad_w: {wide // 2}"
        param = f"num_output: {outputs} bias_term: false {sizes}"
        blob = net.add(name, "Convolution", [bottom], f"convolution_param {{ {param} }}")
        net.bn(f"{name}_bn", f"{name}_scale", blob)
        return net.relu(f"{name}_relu", blob)

    def average(name: str, bottom: str) -> str:
        return net.pool(name, bottom, "pool: AVE kernel_size: 3 stride: 1 pad: 1")

    top = part("conv3", part("conv2", part("conv1", "data", 4, 3, 2), 4, 3), 8, 3)
    left = net.pool("stem1_pool", top, "pool: MAX kernel_size: 3 stride: 2 pad: 1")
    top = net.concat("stem_concat1", [left, part("stem1_3x3_s2", top, 8, 3, 2)])
    for number in range(1, 5):
        name = f"inception_a{number}"
        ends = [
            part(f"{name}_1x1_2", average(f"{name}_pool_ave", top), 4),
            part(f"{name}_1x1", top, 4),
        ]
        ends.append(part(f"{name}_3x3", part(f"{name}_3x3_reduce", top, 4), 4, 3))
        blob = part(f"{name}_3x3_2", part(f"{name}_3x3_2_reduce", top, 4), 4, 3)
        ends.append(part(f"{name}_3x3_3", blob, 4, 3))
        top = net.concat(f"{name}_concat", ends)
    ends = [part("reduction_a_3x3", top, 8, 3, 2)]
    ends.append(net.pool("reduction_a_pool", top, "pool: MAX kernel_size: 3 stride: 2 pad: 1"))
    top = net.concat("reduction_a_concat", ends)
    for number in range(1, 8):
        name = f"inception_b{number}"
        ends = [
            part(f"{name}_1x1_2", average(f"{name}_pool_ave", top), 4),
            part(f"{name}_1x1", top, 8),
        ]
        blob = long(f"{name}_1x7", part(f"{name}_1x7_reduce", top, 4), 4, "1x7")
        ends.append(long(f"{name}_7x1", blob, 4, "7x1"))
        blob = part(f"{name}_7x1_2_reduce", top, 4)
        for at, kernel in ((2, "7x1"), (3, "1x7"), (4, "7x1"), (5, "1x7")):
            blob = long(f"{name}_{kernel}_{at}", blob, 4, kernel)
        top = net.concat(f"{name}_concat", [*ends, blob])
    for number in range(1, 4):
        name = f"inception_c{number}"
        ends = [
            part(f"{name}_1x1_2", average(f"{name}_pool_ave", top), 4),
            part(f"{name}_1x1", top, 4),
        ]
        blob = part(f"{name}_1x1_3", top, 4)
        ends += [long(f"{name}_1x3", blob, 4, "1x3"), long(f"{name}_3x1", blob, 4, "3x1")]
        blob = long(
            f"{name}_1x3_2",
            long(f"{name}_3x1_2", part(f"{name}_1x1_4", top, 4), 4, "3x1"),
            4,
            "1x3",
        )
        ends += [long(f"{name}_1x3_3", blob, 4, "1x3"), long(f"{name}_3x1_3", blob, 4, "3x1")]
        top = net.concat(f"{name}_concat", ends)
    net.classifier("classifier", net.pool("pool_8x8_s1", top, "pool: AVE global_pooling: true"), 10)
    return net.text


def mobilenet_v2() -> str:
    """shicai's names and all of its blocks."""
    net = Builder("MOBILENET_V2", (1, 3, 64, 64))
    part = _normalised(net)
    top, channels = part("conv1", "data", 8, 3, 2), 8
    for stage, (expand, outputs, count, stride) in enumerate(
        ((1, 4, 1, 1), (6, 6, 2, 2), (6, 8, 3, 2), (6, 16, 4, 2), (6, 24, 3, 1), (6, 40, 3, 2), (6, 80, 1, 1)), 2
    ):  # fmt: skip
        for number in range(1, count + 1):
            name, by = f"conv{stage}_{number}", stride if number == 1 else 1
            blob = part(f"{name}/expand", top, channels * expand)
            blob = part(f"{name}/dwise", blob, channels * expand, 3, by, channels * expand)
            blob = part(f"{name}/linear", blob, outputs, relu=False)
            top = net.total(f"block_{stage}_{number}", [top, blob]) if number > 1 else blob
            channels = outputs
    top = net.pool("pool6", part("conv6_4", top, 40), "pool: AVE global_pooling: true")
    net.add("prob", "Softmax", [net.conv("fc7", top, 10)])
    return net.text


def hourglass(stacks: int = 4, depth: int = 4) -> str:
    """Stacks of residual blocks, down and up again; names are types and numbers, as converters write them."""
    net = Builder("Hourglass", (1, 3, 64, 64))
    counts: dict[str, int] = {}

    def name(kind: str) -> str:
        counts[kind] = counts.get(kind, 0) + 1
        return f"{kind}{counts[kind]}"

    def conv(bottom: str, outputs: int, kernel: int = 1) -> str:
        own = name("BatchNorm")
        blob = net.add(own, "BatchNorm", [bottom])
        net.add(name("Scale"), "Scale", [blob], "scale_param { bias_term: true }", [blob])
        return net.conv(name("Convolution"), net.relu(name("ReLU"), blob), outputs, kernel)

    def residual(bottom: str) -> str:
        return net.total(name("Eltwise"), [conv(conv(conv(bottom, 4), 4, 3), 8), bottom])

    def glass(bottom: str, level: int) -> str:
        up = residual(bottom)
        low = residual(net.pool(name("Pooling"), bottom, "pool: MAX kernel_size: 2 stride: 2"))
        low = residual(glass(low, level - 1) if level > 1 else residual(low))
        param = (
            "convolution_param { num_output: 8 group: 8 kernel_size: 2 stride: 2 bias_term: false }"
        )
        return net.total(
            name("Eltwise"), [up, net.add(name("Deconvolution"), "Deconvolution", [low], param)]
        )

    top = residual(net.conv("Convolution0", "data", 8, 7, 2))
    for stack in range(stacks):
        blob = residual(glass(top, depth))
        blob = net.relu(name("ReLU"), net.conv(name("Convolution"), blob, 8))
        heat = net.conv(f"heatmap{stack}", blob, 5)
        if stack < stacks - 1:
            both = [net.conv(name("Convolution"), blob, 8), net.conv(name("Convolution"), heat, 8)]
            top = net.total(name("Eltwise"), [top, *both])
    return net.text


def openpose() -> str:
    """Six stages of two branches, each stage fed with both and with the trunk."""
    net = Builder("OpenPose", (1, 3, 48, 48))
    top = net.relu("relu1_1", net.conv("conv1_1", "data", 4, 3, 2))
    trunk = net.relu("relu4_4_CPM", net.conv("conv4_4_CPM", top, 6, 3, 2))
    top = trunk
    for stage in range(1, 7):
        ends = []
        for branch, outputs in (("L1", 6), ("L2", 4)):
            blob = top
            count = 5 if stage == 1 else 7
            for number in range(1, count + 1):
                own = (
                    f"conv5_{number}_CPM_{branch}"
                    if stage == 1
                    else f"Mconv{number}_stage{stage}_{branch}"
                )
                kernel = 1 if number > count - 2 else 3 if stage == 1 else 7
                blob = net.conv(own, blob, outputs if number == count else 8, kernel)
                if number < count:
                    net.relu(own.replace("conv", "relu", 1), blob)
            ends.append(blob)
        if stage < 6:
            top = net.concat(f"concat_stage{stage + 1}", [*ends, trunk])
    net.concat("net_output", ends[::-1])
    return net.text


def ssd300() -> str:
    """VGG's trunk, six sources with a head each, prior boxes, detections."""
    net = Builder("SSD_300x300", (1, 3, 300, 300))
    top = "data"
    for block, count in ((1, 2), (2, 2), (3, 3), (4, 3), (5, 3)):
        for number in range(1, count + 1):
            name = f"conv{block}_{number}"
            top = net.relu(f"relu{block}_{number}", net.conv(name, top, 4, 3))
        pool = "kernel_size: 2 stride: 2" if block < 5 else "kernel_size: 3 stride: 1 pad: 1"
        top = net.pool(f"pool{block}", top, f"pool: MAX {pool}")
    top = net.relu("relu6", net.conv("fc6", top, 8, 3, 1, 6, extra="dilation: 6"))
    top = net.relu("relu7", net.conv("fc7", top, 8))
    sources = [("conv4_3_norm", 30, 60, 8, 4), ("fc7", 60, 111, 16, 6)]
    for block, stride, pad in ((6, 2, 1), (7, 2, 1), (8, 1, 0), (9, 1, 0)):
        top = net.relu(f"conv{block}_1_relu", net.conv(f"conv{block}_1", top, 4))
        top = net.relu(f"conv{block}_2_relu", net.conv(f"conv{block}_2", top, 8, 3, stride, pad))
        low = 60 + 51 * (block - 5)
        sources.append(
            (
                f"conv{block}_2",
                low,
                low + 51,
                300 // (38 >> (block - 4) or 1),
                6 if block < 8 else 4,
            )
        )
    net.add(
        "conv4_3_norm",
        "Normalize",
        ["conv4_3"],
        "norm_param { across_spatial: false channel_shared: false }",
    )
    flat: dict[str, list[str]] = {"loc": [], "conf": [], "priorbox": []}
    for source, low, high, step, boxes in sources:
        for kind, outputs in (("loc", 4), ("conf", 3)):
            name = f"{source}_mbox_{kind}"
            blob = net.conv(name, source, outputs * boxes, 3)
            blob = net.add(
                f"{name}_perm",
                "Permute",
                [blob],
                "permute_param { order: 0 order: 2 order: 3 order: 1 }",
            )
            flat[kind].append(net.add(f"{name}_flat", "Flatten", [blob]))
        ratios = "aspect_ratio: 2" + (" aspect_ratio: 3" if boxes == 6 else "")
        variances = " ".join(f"variance: {size}" for size in (0.1, 0.1, 0.2, 0.2))
        param = f"min_size: {low} max_size: {high} {ratios} flip: true clip: false {variances} step: {step} offset: 0.5"
        flat["priorbox"].append(
            net.add(
                f"{source}_mbox_priorbox",
                "PriorBox",
                [source, "data"],
                f"prior_box_param {{ {param} }}",
            )
        )
    net.concat("mbox_loc", flat["loc"])
    net.concat("mbox_conf", flat["conf"])
    net.add("mbox_priorbox", "Concat", flat["priorbox"], "concat_param { axis: 2 }")
    blob = net.add(
        "mbox_conf_reshape",
        "Reshape",
        ["mbox_conf"],
        "reshape_param { shape { dim: 0 dim: -1 dim: 3 } }",
    )
    blob = net.add("mbox_conf_softmax", "Softmax", [blob], "softmax_param { axis: 2 }")
    blob = net.add("mbox_conf_flatten", "Flatten", [blob])
    param = "num_classes: 3 share_location: true background_label_id: 0 code_type: CENTER_SIZE keep_top_k: 200 confidence_threshold: 0.01 nms_param { nms_threshold: 0.45 top_k: 400 }"
    net.add(
        "detection_out",
        "DetectionOutput",
        ["mbox_loc", blob, "mbox_priorbox"],
        f"detection_output_param {{ {param} }}",
    )
    return net.text


def _tied(net: Builder, name: str, kind: str, bottom: str, shared: str, param: str) -> str:
    own = " ".join(f'param {{ name: "{shared}_{part}" }}' for part in ("w", "b"))
    return net.add(name, kind, [bottom], f"{own} {param}")


def fpn() -> str:
    """A pyramid from the top down, and one head on all of its levels."""
    net = Builder("FPN", (1, 3, 64, 64))
    top, levels = "data", []
    for level in (2, 3, 4, 5):
        top = net.relu(f"res{level}_relu", net.conv(f"res{level}", top, 2**level, 3, 2))
        levels.append(top)
    above = net.conv("p5", levels[-1], 8)
    pyramid = [net.conv("p5_3x3", above, 8, 3)]
    for level in (4, 3, 2):
        param = (
            "convolution_param { num_output: 8 group: 8 kernel_size: 2 stride: 2 bias_term: false }"
        )
        up = net.add(f"p{level + 1}_up", "Deconvolution", [above], param)
        above = net.total(f"p{level}", [net.conv(f"p{level}_lateral", levels[level - 2], 8), up])
        pyramid.append(net.conv(f"p{level}_3x3", above, 8, 3))
    for level, blob in zip((5, 4, 3, 2), pyramid, strict=True):
        name = f"p{level}"
        conv = "convolution_param {{ num_output: {} kernel_size: {} pad: {} }}"
        blob = _tied(net, f"rpn_conv_{name}", "Convolution", blob, "rpn", conv.format(8, 3, 1))
        net.relu(f"rpn_relu_{name}", blob)
        score = _tied(
            net, f"rpn_cls_score_{name}", "Convolution", blob, "cls", conv.format(6, 1, 0)
        )
        net.add(f"rpn_cls_prob_{name}", "Sigmoid", [score])
        _tied(net, f"rpn_bbox_pred_{name}", "Convolution", blob, "bbox", conv.format(12, 1, 0))
    return net.text


def siamese(branches: Sequence[str] = ("", "_p")) -> str:
    """Caffe's own example: LeNet twice, with the same weights, on two halves of a pair."""
    net = Builder("mnist_siamese", (1, len(branches), 28, 28))
    halves = [f"data{branch}" if branch else "left" for branch in branches]
    net.add("slice_pair", "Slice", ["data"], tops=halves)
    ends = []
    for half, branch in zip(halves, branches, strict=True):
        blob = half
        for number, outputs in ((1, 4), (2, 6)):
            param = f"convolution_param {{ num_output: {outputs} kernel_size: 5 }}"
            blob = _tied(net, f"conv{number}{branch}", "Convolution", blob, f"conv{number}", param)
            blob = net.pool(f"pool{number}{branch}", blob, "pool: MAX kernel_size: 2 stride: 2")
        for name, outputs in (("ip1", 10), ("ip2", 5), ("feat", 2)):
            param = f"inner_product_param {{ num_output: {outputs} }}"
            blob = _tied(net, f"{name}{branch}", "InnerProduct", blob, name, param)
            if name == "ip1":
                net.relu(f"relu1{branch}", blob)
        ends.append(blob)
    if len(ends) == 2:
        net.add("distance", "Eltwise", ends, "eltwise_param { coeff: 1 coeff: -1 }")
    return net.text


def triplet() -> str:
    """Three branches, each an output."""
    return siamese(("_a", "_p", "_n"))


def siamese_residual() -> str:
    """Two branches of residual blocks: blocks in a block."""
    net = Builder("Pair", (1, 6, 32, 32))
    net.add("pair", "Slice", ["data"], tops=["one", "two"])
    ends = []

    def conv(half: str, name: str, bottom: str, outputs: int) -> str:
        param = f"convolution_param {{ num_output: {outputs} kernel_size: 3 pad: 1 }}"
        return _tied(net, f"{half}/{name}", "Convolution", bottom, name, param)

    for half in ("one", "two"):
        top = conv(half, "conv1", half, 8)
        for number in range(2, 7):
            blob = net.relu(f"{half}/relu{number}a", conv(half, f"res{number}a", top, 4 * number))
            top = net.total(f"{half}/sum{number}", [top, conv(half, f"res{number}b", blob, 8)])
            net.relu(f"{half}/relu{number}", top)
        ends.append(net.pool(f"{half}/pool", top, "pool: AVE global_pooling: true"))
    net.concat("both", ends)
    return net.text


NETS = {
    "dpn92": dpn92, "pspnet": pspnet, "pspnet_of_two": lambda: pspnet(2),
    "shufflenet_v1": shufflenet_v1, "shufflenet_v2": shufflenet_v2, "densenet121": densenet121,
    "se_resnet50": se_resnet50, "se_resnet50_scale": lambda: se_resnet50(True),
    "inception_v4": inception_v4, "mobilenet_v2": mobilenet_v2, "hourglass": hourglass,
    "openpose": openpose, "ssd300": ssd300, "fpn": fpn, "siamese": siamese, "triplet": triplet,
    "siamese_residual": siamese_residual,
}  # fmt: skip
