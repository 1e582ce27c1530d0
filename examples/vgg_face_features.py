"""Are these two faces the same person's? Descriptors by VGG-Face, compared by their angle.

`activations` gives every Caffe layer's output by Caffe's name. VGG-Face's fc7, 4096 numbers, is the
face's descriptor; the nearer the cosine of two of them is to 1, the more alike are the faces.

    make convert MODEL=vgg_face
    python examples/vgg_face_features.py one.jpg other.jpg

The pictures should show little more than the face: the net was trained on cut-out ones.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import cosine_similarity

from decant.commands.run import run
from decant.loader import activations, load


def read(path: Path, size: int) -> torch.Tensor:
    """3 x size x size, RGB, 0..1: what a transform takes."""
    with Image.open(path) as file:
        picture = file.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", type=Path, nargs=2, help="two pictures of a face")
    parser.add_argument("--model", default="vgg_face", help="an artifact's name or folder")
    parser.add_argument(
        "--layer", default="fc7", help="a Caffe layer; relu7 is fc7 without negatives"
    )
    parser.add_argument("--size", type=int, default=224, help="side of the net's input")
    parser.add_argument("--out", type=Path, help="NPZ for the two descriptors")
    arguments = parser.parse_args()

    model, transform = load(arguments.model)
    faces = torch.stack([read(path, arguments.size) for path in arguments.pictures])
    descriptors = activations(model, transform(faces))[arguments.layer]
    assert isinstance(descriptors, torch.Tensor), f"{arguments.layer} has several outputs"
    descriptors = descriptors.flatten(1)

    for path, descriptor in zip(arguments.pictures, descriptors, strict=True):
        print(f"{path.name}: {len(descriptor)} numbers, length {descriptor.norm():.4g}")
    print(f"cosine similarity {cosine_similarity(descriptors[0], descriptors[1], dim=0):.6f}")
    if arguments.out:
        np.savez(arguments.out, descriptors=descriptors.numpy())
        print(f"written: {arguments.out}")


if __name__ == "__main__":
    # what Decant refuses, an absent artifact say, ends in one line and an exit code
    sys.exit(run(main, as_json=False))
