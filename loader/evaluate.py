"""Accuracy on labelled pictures: loss, top-1, top-5."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from loader.errors import BadInput
from loader.progress import SILENT, Progress


@dataclass(frozen=True)
class Accuracy:
    """`loss` is the mean cross entropy; top1 and top5 in per cent; `predictions` the best classes."""

    count: int
    loss: float
    top1: float
    top5: float
    predictions: np.ndarray


@torch.no_grad()
def evaluate(
    model: nn.Module,
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    total: int,
    device: str = "cpu",
    progress: Progress = SILENT,
    probabilities: bool = False,
) -> Accuracy:
    """Run every batch. `batches` gives (what the net wants, N x C x H x W float32; labels).

    The model gives logits, or, where it ends in a softmax, `probabilities`; in Caffe's loss these are
    at least FLT_MIN (softmax_loss_layer.cpp).
    """
    model = model.to(device).eval()
    loss, right, right5, best = 0.0, 0, 0, []
    with progress.task("pictures", total) as task:
        for pictures, labels in batches:
            truth = torch.from_numpy(labels).to(device)
            logits = model(torch.from_numpy(pictures).to(device)).flatten(1)
            classes = logits.size(1)
            if int(truth.max()) >= classes:
                raise BadInput(f"label {int(truth.max())}: the net has {classes} classes (from 0)")
            if probabilities:
                logs = logits.double().clamp(min=float(np.finfo(np.float32).tiny)).log()
                loss += float(nn.functional.nll_loss(logs, truth, reduction="sum"))
            else:
                loss += float(nn.functional.cross_entropy(logits.double(), truth, reduction="sum"))
            top = logits.topk(min(5, classes), 1).indices
            right += int((top[:, 0] == truth).sum())
            right5 += int((top == truth[:, None]).any(1).sum())
            best.append(top[:, 0].cpu().numpy())
            task.advance(len(labels))
    if not np.isfinite(loss):
        raise BadInput("the loss is not a number: the pictures or the weights hold NaN")
    return Accuracy(
        total, loss / total, 100 * right / total, 100 * right5 / total, np.concatenate(best)
    )


def against_published(found: Accuracy, published: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each published number: what it was, how it was measured, how far we are."""
    lines = []
    for item in published:
        parts = [
            f"{name} {item[name]:g} ({getattr(found, name) - item[name]:+.2f})"
            for name in ("top1", "top5", "loss")
            if item.get(name) is not None
        ]
        kind = "same protocol" if item.get("comparable") else "another protocol"
        lines.append(f"published {', '.join(parts)}: {item['protocol']} [{item['source']}; {kind}]")
    return lines
