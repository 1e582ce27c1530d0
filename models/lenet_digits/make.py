"""Make everything in this folder that is not written by hand: `python models/lenet_digits/make.py`.

Needs a Docker engine with the Caffe image, and scikit-learn (a development dependency) for its
bundled digits: the test set of "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak;
UCI Machine Learning Repository, CC BY 4.0), 1797 pictures of 8 x 8 pixels, values 0..16.
Real Caffe trains the net and then makes the reference dump. Pictures that are kept for validation
are chosen first and are never trained on.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

SEED, HELD_OUT = 20150, 360
# the same numbers as in models.yaml: 8 x 8 pictures warped to 16 x 16, grey levels 0..255 x scale
SIDE, SCALE = 16, 0.00390625


def pictures() -> tuple[np.ndarray, np.ndarray]:
    """All digits as N x 8 x 8 uint8 (0..255) and their labels."""
    digits = load_digits()
    return np.round(digits.images * (255 / 16)).astype(np.uint8), digits.target


def net_input(picture: np.ndarray) -> np.ndarray:
    """1 x 16 x 16 float32, what the net gets: warped by Pillow, grey levels times the scale."""
    warped = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(warped, np.float32)[None] * SCALE


def write_validation(images: np.ndarray, labels: np.ndarray, chosen: np.ndarray) -> None:
    """validation/<label>/<number>.png"""
    shutil.rmtree(HERE / "validation", ignore_errors=True)
    for number in sorted(chosen):
        folder = HERE / "validation" / str(labels[number])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[number]).save(folder / f"{number:04}.png", optimize=True)


def train(folder: Path) -> None:
    """Run train.py in the Caffe image; leaves lenet_digits.caffemodel in `folder`."""
    from decant.engines.caffe import run_script

    run_script(HERE / "train.py", folder, produces="lenet_digits.caffemodel")


def main() -> None:
    images, labels = pictures()
    order = np.random.RandomState(SEED).permutation(len(labels))
    held_out, training = order[:HELD_OUT], order[HELD_OUT:]
    write_validation(images, labels, held_out)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs = np.stack([net_input(images[number]) for number in training])
        np.savez(folder / "train.npz", pictures=inputs, labels=labels[training])
        shutil.copy(HERE / "deploy.prototxt", folder)
        train(folder)
        shutil.copyfile(folder / "lenet_digits.caffemodel", HERE / "lenet_digits.caffemodel")
    print("trained; make the reference dump with:")
    print("  decant dump lenet_digits --engine caffe --out models/lenet_digits/reference.h5")


if __name__ == "__main__":
    main()
