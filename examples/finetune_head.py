"""Finetuning: a new last layer for a converted net, trained on your own labelled pictures.

The net is frozen and stays in eval mode; only the new head learns. Pictures lie in one subfolder for
each class, or are listed in val.txt (`file number`). Every fourth one is held out to measure the
accuracy.

    make convert
    python examples/finetune_head.py
    python examples/finetune_head.py --model googlenet_bvlc --pictures flowers

The defaults let lenet_digits, its head taken off, learn the digits again from 270 of them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.functional import cross_entropy

from decant.commands.run import run
from decant.loader import load
from decant.loader.artifact.bundle import folder_of, read_manifest
from decant.loader.artifact.pictures import recorded_recipe
from decant.loader.pictures.dataset import Picture, find, prepared
from decant.loader.pictures.recipe import Recipe

DIGITS = Path(__file__).resolve().parents[1] / "models/lenet_digits/validation"


def replace_head(model: nn.Module, classes: int) -> nn.Linear:
    """Freeze the net and put a new layer in the last linear one's place."""
    model.requires_grad_(False)
    name, old = [item for item in model.named_modules() if isinstance(item[1], nn.Linear)][-1]
    assert isinstance(old, nn.Linear)
    head = nn.Linear(old.in_features, classes)
    model.set_submodule(name, head)
    print(f"new head: {name}, {old.in_features} -> {classes}")
    return head


def batches(
    pictures: Sequence[Picture], recipe: Recipe, size: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Pictures as the net wants them, and the numbers of their classes."""
    for start in range(0, len(pictures), size):
        part = pictures[start : start + size]
        x = torch.from_numpy(np.stack([prepared(picture, recipe) for picture in part]))
        yield x, torch.tensor([picture.label for picture in part])


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    pictures: Sequence[Picture],
    recipe: Recipe,
    size: int,
) -> float:
    """One epoch in random order; the mean loss."""
    shuffled = [pictures[at] for at in torch.randperm(len(pictures)).tolist()]
    total = 0.0
    for x, labels in batches(shuffled, recipe, size):
        loss = cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += loss.item() * len(labels)
    return total / len(pictures)


@torch.no_grad()
def accuracy(model: nn.Module, pictures: Sequence[Picture], recipe: Recipe, size: int) -> float:
    """The share of pictures whose best class is the right one."""
    right = 0
    for x, labels in batches(pictures, recipe, size):
        right += int((model(x).argmax(1) == labels).sum())
    return right / len(pictures)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="lenet_digits", help="an artifact's name or folder")
    parser.add_argument("--pictures", type=Path, default=DIGITS, help="folder of labelled pictures")
    parser.add_argument("--out", type=Path, default=Path("finetuned.safetensors"))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=0.01, help="of learning")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    torch.manual_seed(arguments.seed)
    model, _ = load(arguments.model)
    folder = folder_of(arguments.model)
    recipe = recorded_recipe(read_manifest(folder), folder)
    if recipe is None:
        raise SystemExit(f"error: {folder}: how its pictures are prepared is not known")
    classes = sorted(path.name for path in arguments.pictures.glob("*/"))
    pictures = find(arguments.pictures, classes)
    held_out, training = pictures[::4], [item for at, item in enumerate(pictures) if at % 4]

    head = replace_head(model, classes=1 + max(picture.label for picture in pictures))
    optimizer = torch.optim.Adam(head.parameters(), arguments.rate)
    print(f"{len(training)} pictures to learn from, {len(held_out)} held out")
    print(f"before: accuracy {accuracy(model, held_out, recipe, arguments.batch):.4f}")
    for epoch in range(1, arguments.epochs + 1):
        loss = train(model, optimizer, training, recipe, arguments.batch)
        right = accuracy(model, held_out, recipe, arguments.batch)
        print(f"epoch {epoch}: loss {loss:.4f}, accuracy {right:.4f}")
    save_file(model.state_dict(), arguments.out)
    print(f"written: {arguments.out}")


if __name__ == "__main__":
    # what Decant refuses, an absent artifact say, ends in one line and an exit code
    sys.exit(run(main, as_json=False))
