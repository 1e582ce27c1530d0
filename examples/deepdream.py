"""DeepDream: change a picture so that inception_4c of a GoogLeNet sees more of what it sees.

A converted net and its transform are differentiable to the picture, so this is gradient ascent on
the pixels: from coarse to fine (octaves), the picture shifted a little before each step (jitter),
and steps of a fixed length whatever the size of the gradient.

    make convert MODEL=googlenet_places365
    python examples/deepdream.py --picture beach.jpg --out dream.png

Without --picture it dreams on noise.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import interpolate

from decant.commands.run import run
from decant.loader import load


class Reached(Exception):
    """The layer has been computed; what comes behind it is not needed."""

    def __init__(self, output: torch.Tensor) -> None:
        self.output = output


class Objective:
    """How strongly a layer answers to a picture: the mean square of its output."""

    def __init__(self, model: nn.Module, transform: nn.Module, layer: str) -> None:
        self.model, self.transform = model.requires_grad_(False), transform
        model.get_submodule(layer).register_forward_hook(self._stop)

    @staticmethod
    def _stop(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        # the classifier behind it would want 224 x 224; up to here any size goes
        raise Reached(output)

    def __call__(self, picture: torch.Tensor) -> torch.Tensor:
        try:
            self.model(self.transform(picture))
        except Reached as layer:
            return layer.output.square().mean()
        raise SystemExit("error: the net does not reach this layer")


def climb(
    objective: Objective, picture: torch.Tensor, steps: int, step: float, jitter: int
) -> torch.Tensor:
    """Gradient ascent on one scale."""
    for _ in range(steps):
        down, right = (int(torch.randint(-jitter, jitter + 1, ())) for _ in range(2))
        shifted = picture.roll((down, right), (2, 3)).requires_grad_()
        (gradient,) = torch.autograd.grad(objective(shifted), shifted)
        shifted = shifted.detach() + step * gradient / gradient.abs().mean().clamp(min=1e-12)
        picture = shifted.clamp(0, 1).roll((-down, -right), (2, 3))
    return picture


def dream(
    objective: Objective,
    picture: torch.Tensor,
    octaves: int,
    scale: float,
    steps: int,
    step: float,
    jitter: int,
) -> torch.Tensor:
    """From the smallest octave to the picture's own size; what was dreamt is carried along."""
    height, width = picture.shape[2:]
    dreamt = torch.zeros_like(picture)
    for octave in reversed(range(octaves)):
        size = (round(height / scale**octave), round(width / scale**octave))
        base = interpolate(picture, size, mode="bilinear", antialias=True)
        start = base + interpolate(dreamt, size, mode="bilinear", antialias=True)
        found = climb(objective, start.clamp(0, 1), steps, step, jitter)
        dreamt = found - base
        print(f"octave {size[0]} x {size[1]}: objective {objective(found):.6g}")
    return found


def read(path: Path) -> torch.Tensor:
    """1 x 3 x H x W, RGB, 0..1: what a transform takes."""
    with Image.open(path) as file:
        return torch.from_numpy(np.array(file.convert("RGB"))).permute(2, 0, 1)[None] / 255


def write(path: Path, picture: torch.Tensor) -> None:
    """The other way round."""
    pixels = (picture[0].permute(1, 2, 0) * 255).round().to(torch.uint8)
    Image.fromarray(pixels.numpy()).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", default="googlenet_places365", help="an artifact's name or folder"
    )
    parser.add_argument("--layer", default="inception_4c", help="a submodule of the net")
    parser.add_argument("--picture", type=Path, help="where to begin; noise, if not given")
    parser.add_argument("--out", type=Path, default=Path("dream.png"), help="the dream")
    parser.add_argument("--octaves", type=int, default=4)
    parser.add_argument("--scale", type=float, default=1.4, help="of one octave to the next")
    parser.add_argument("--steps", type=int, default=10, help="in each octave")
    parser.add_argument("--step", type=float, default=0.01, help="length of a step; white is 1")
    parser.add_argument("--jitter", type=int, default=16, help="pixels")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    torch.manual_seed(arguments.seed)
    objective = Objective(*load(arguments.model), arguments.layer)
    picture = read(arguments.picture) if arguments.picture else torch.rand(1, 3, 224, 224)

    before = objective(picture)
    dreamt = dream(
        objective,
        picture,
        arguments.octaves,
        arguments.scale,
        arguments.steps,
        arguments.step,
        arguments.jitter,
    )
    print(f"objective before {before:.6g}, after {objective(dreamt):.6g}")
    write(arguments.out, dreamt)
    print(f"written: {arguments.out}")


if __name__ == "__main__":
    # what Decant refuses, an absent artifact say, ends in one line and an exit code
    sys.exit(run(main, as_json=False))
