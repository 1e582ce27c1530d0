"""Nets with a skip, as text: down by convolutions and pools, up again, and cropped to what was before."""

from __future__ import annotations

import random

from tests.helpers.converting import input_layer, layer

COUNT = 120


def _window(
    dice: random.Random, name: str, kind: str, bottom: str, strides: list[int]
) -> tuple[str, int]:
    """A layer with a window, its sizes drawn; and its stride."""
    kernel, stride, pad = dice.randint(1, 5), dice.choice(strides), dice.choice([0, 1, 2, 6, 12])
    if kind == "Deconvolution":
        kernel, pad = stride * dice.choice([1, 2]), dice.choice([0, 0, 0, 1])
    words = [f"kernel_size: {kernel} stride: {stride} pad: {pad}"]
    if dice.random() < 0.3:
        words = [
            f"kernel_size: {kernel} kernel_size: {kernel + 2} stride: {stride} pad: {pad} pad: {pad + 1}"
        ]
    if kind == "Pooling":
        more = f"pooling_param {{ pool: MAX kernel_size: {kernel} stride: {stride} pad: {min(pad, kernel - 1)} }}"
    else:
        dilation = dice.choice(["", "", "dilation: 2"])
        more = f"convolution_param {{ num_output: 1 {words[0]} {dilation} }}"
    return layer(name, kind, bottom, name, more), stride


def _same_place(dice: random.Random, name: str, bottom: str) -> str:
    kind = dice.choice(
        ["ReLU", "BatchNorm", "Scale", "Dropout", "Power", "LRN", "Sigmoid", "PReLU"]
    )
    return layer(name, kind, bottom, dice.choice([name, bottom]))


def net(seed: int) -> str:
    """The text; its last layer is the Crop."""
    dice = random.Random(seed)
    text, last, skips = input_layer("data", 1, 1, 200, 200), "data", ["data"]
    ups: list[int] = []
    for number in range(dice.randint(1, 5)):
        kind = dice.choice(["Convolution", "Convolution", "Pooling", "Im2col"])
        made, stride = _window(dice, f"d{number}", kind, last, [1, 1, 2])
        text, last = text + made, f"d{number}"
        ups += [stride] if stride > 1 else []
        if dice.random() < 0.4:
            text += _same_place(dice, f"s{number}", last)
            last = f"s{number}" if f'top: "s{number}"' in text else last
        if not ups:
            skips.append(last)
    if dice.random() < 0.3:
        text += layer("e", "Eltwise", f"{last} {last}", "e")
        last = "e"
    # now and then at another scale than before
    for number, stride in enumerate(reversed(ups if dice.random() < 0.9 else ups[1:])):
        made, _ = _window(dice, f"u{number}", "Deconvolution", last, [stride])
        text, last = text + made, f"u{number}"
        if dice.random() < 0.2:
            text += layer(
                f"k{number}",
                "Crop",
                f"{last} data",
                f"k{number}",
                f"crop_param {{ offset: {dice.randint(0, 3)} }}",
            )
            last = f"k{number}"
    return text + layer("crop", "Crop", f"{last} {dice.choice(skips)}", "out")


def nets() -> list[str]:
    """The same each time."""
    return [net(seed) for seed in range(COUNT)]


def ask() -> list[list[int] | str | None]:
    """What pycaffe's coord_map says of each, in one container."""
    import json
    import tempfile
    from pathlib import Path

    from decant.engines.caffe import run_script
    from tests.helpers.in_caffe import SCRIPTS

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "nets.json").write_text(json.dumps(nets()))
        run_script(SCRIPTS / "coord_map.py", folder, "answers.json")
        found: list[list[int] | str | None] = json.loads((folder / "answers.json").read_text())
    return found
