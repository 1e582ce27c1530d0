"""Deploy definitions of the zoo's nets, written from the papers and Caffe's layer names."""

from __future__ import annotations


def _layer(name: str, kind: str, bottoms: list[str], top: str, param: str = "") -> str:
    reads = " ".join(f'bottom: "{bottom}"' for bottom in bottoms)
    return f'layer {{ name: "{name}" type: "{kind}" {reads} top: "{top}" {param} }}\n'


def _input(side: int, batch: int = 10) -> str:
    shape = f"shape {{ dim: {batch} dim: 3 dim: {side} dim: {side} }}"
    return f'layer {{ name: "data" type: "Input" top: "data" input_param {{ {shape} }} }}\n'


def _conv(name: str, bottom: str, count: int, kernel: int, extra: str = "", relu: str = "") -> str:
    param = f"convolution_param {{ num_output: {count} kernel_size: {kernel} {extra} }}"
    return _layer(name, "Convolution", [bottom], name, param) + _relu(relu or f"relu_{name}", name)


def _relu(name: str, blob: str) -> str:
    return _layer(name, "ReLU", [blob], blob)


def _pool(name: str, bottom: str, geometry: str, kind: str = "MAX") -> str:
    return _layer(name, "Pooling", [bottom], name, f"pooling_param {{ pool: {kind} {geometry} }}")


def _lrn(name: str, bottom: str) -> str:
    param = "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }"
    return _layer(name, "LRN", [bottom], name, param)


def _fc(name: str, bottom: str, count: int) -> str:
    return _layer(
        name, "InnerProduct", [bottom], name, f"inner_product_param {{ num_output: {count} }}"
    )


def _drop(name: str, blob: str) -> str:
    return _layer(name, "Dropout", [blob], blob)


INCEPTION = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def _inception(block: str, bottom: str) -> str:
    p = f"inception_{block}/"
    n1, r3, n3, r5, n5, proj = INCEPTION[block]
    tops = [p + part for part in ("1x1", "3x3", "5x5", "pool_proj")]
    return (
        _conv(p + "1x1", bottom, n1, 1, relu=p + "relu_1x1")
        + _conv(p + "3x3_reduce", bottom, r3, 1, relu=p + "relu_3x3_reduce")
        + _conv(p + "3x3", p + "3x3_reduce", n3, 3, "pad: 1", p + "relu_3x3")
        + _conv(p + "5x5_reduce", bottom, r5, 1, relu=p + "relu_5x5_reduce")
        + _conv(p + "5x5", p + "5x5_reduce", n5, 5, "pad: 2", p + "relu_5x5")
        + _pool(p + "pool", bottom, "kernel_size: 3 stride: 1 pad: 1")
        + _conv(p + "pool_proj", p + "pool", proj, 1, relu=p + "relu_pool_proj")
        + _layer(p + "output", "Concat", tops, p + "output")
    )


def _head(number: int, bottom: str, classes: int) -> str:
    """An auxiliary classifier of the training net, whose weights the published files hold."""
    p = f"loss{number}/"
    return (
        _pool(p + "ave_pool", bottom, "kernel_size: 5 stride: 3", "AVE")
        + _conv(p + "conv", p + "ave_pool", 128, 1)
        + _fc(p + "fc", p + "conv", 1024)
        + _fc(p + "classifier", p + "fc", classes)
    )


def googlenet(classes: int = 1000, heads: bool = False) -> str:
    """`heads`: with the auxiliary classifiers, as it was trained."""
    text = 'name: "GoogleNet"\n' + _input(224)
    text += _conv("conv1/7x7_s2", "data", 64, 7, "stride: 2 pad: 3", "conv1/relu_7x7")
    text += _pool("pool1/3x3_s2", "conv1/7x7_s2", "kernel_size: 3 stride: 2")
    text += _lrn("pool1/norm1", "pool1/3x3_s2")
    text += _conv("conv2/3x3_reduce", "pool1/norm1", 64, 1, relu="conv2/relu_3x3_reduce")
    text += _conv("conv2/3x3", "conv2/3x3_reduce", 192, 3, "pad: 1", "conv2/relu_3x3")
    text += _lrn("conv2/norm2", "conv2/3x3")
    text += _pool("pool2/3x3_s2", "conv2/norm2", "kernel_size: 3 stride: 2")
    bottom = "pool2/3x3_s2"
    for block in INCEPTION:
        text += _inception(block, bottom)
        bottom = f"inception_{block}/output"
        if heads and block in ("4a", "4d"):
            text += _head(1 if block == "4a" else 2, bottom, classes)
        if block in ("3b", "4e"):
            name = "pool3/3x3_s2" if block == "3b" else "pool4/3x3_s2"
            text += _pool(name, bottom, "kernel_size: 3 stride: 2")
            bottom = name
    text += _pool("pool5/7x7_s1", bottom, "kernel_size: 7 stride: 1", "AVE")
    text += _drop("pool5/drop_7x7_s1", "pool5/7x7_s1")
    text += _fc("loss3/classifier", "pool5/7x7_s1", classes)
    return text + _layer("prob", "Softmax", ["loss3/classifier"], "prob")


def _two_groups(pool_first: bool) -> str:
    text = _input(227)
    bottom = "data"
    for number, extra in ((1, "stride: 4"), (2, "pad: 2 group: 2")):
        name = f"conv{number}"
        count, kernel = (96, 11) if number == 1 else (256, 5)
        text += _conv(name, bottom, count, kernel, extra, f"relu{number}")
        order = ["pool", "norm"] if pool_first else ["norm", "pool"]
        bottom = name
        for what in order:
            top = f"{what}{number}"
            text += (
                _lrn(top, bottom)
                if what == "norm"
                else _pool(top, bottom, "kernel_size: 3 stride: 2")
            )
            bottom = top
    text += _conv("conv3", bottom, 384, 3, "pad: 1", "relu3")
    text += _conv("conv4", "conv3", 384, 3, "pad: 1 group: 2", "relu4")
    text += _conv("conv5", "conv4", 256, 3, "pad: 1 group: 2", "relu5")
    text += _pool("pool5", "conv5", "kernel_size: 3 stride: 2")
    return text + _classifier("pool5", 1000)


def _classifier(bottom: str, classes: int) -> str:
    text = _fc("fc6", bottom, 4096) + _relu("relu6", "fc6") + _drop("drop6", "fc6")
    text += _fc("fc7", "fc6", 4096) + _relu("relu7", "fc7") + _drop("drop7", "fc7")
    return text + _fc("fc8", "fc7", classes) + _layer("prob", "Softmax", ["fc8"], "prob")


def caffenet() -> str:
    """Pooling before normalisation."""
    return 'name: "CaffeNet"\n' + _two_groups(pool_first=True)


def alexnet() -> str:
    """Normalisation before pooling."""
    return 'name: "AlexNet"\n' + _two_groups(pool_first=False)


V1 = {
    "Convolution": "CONVOLUTION",
    "Dropout": "DROPOUT",
    "InnerProduct": "INNER_PRODUCT",
    "Pooling": "POOLING",
    "ReLU": "RELU",
    "Softmax": "SOFTMAX",
}


def as_v1(text: str, side: int) -> str:
    """The same net in the V1 dialect: `layers`, enum types, `input_dim`."""
    lines = [
        line.replace("layer {", "layers {", 1).replace(f'type: "{kind}"', f"type: {word}")
        for line in text.splitlines()
        for kind, word in V1.items()
        if f'type: "{kind}"' in line
    ]
    name = next(line for line in text.splitlines() if line.startswith("name:"))
    dims = "".join(f"input_dim: {dim}\n" for dim in (10, 3, side, side))
    return f'{name}\ninput: "data"\n{dims}' + "\n".join(lines) + "\n"


def vgg(convolutions: tuple[int, ...], classes: int = 1000) -> str:
    """(2, 2, 3, 3, 3) is VGG-16; in V1, as published."""
    text, bottom = 'name: "VGG_ILSVRC"\n' + _input(224), "data"
    for stage, (count, channels) in enumerate(
        zip(convolutions, (64, 128, 256, 512, 512), strict=True), 1
    ):
        for number in range(1, count + 1):
            name = f"conv{stage}_{number}"
            text += _conv(name, bottom, channels, 3, "pad: 1", f"relu{stage}_{number}")
            bottom = name
        text += _pool(f"pool{stage}", bottom, "kernel_size: 2 stride: 2")
        bottom = f"pool{stage}"
    return as_v1(text + _classifier(bottom, classes), 224)
