"""Accuracy on labelled pictures: loss, top-1, top-5; by one process or by many of torchrun."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import nn

from decant.loader.errors import BadInput, DecantError, EngineError
from decant.loader.plan.batch import filled, refuse_no_classes
from decant.loader.progress import SILENT, Progress

T = TypeVar("T")
LOSS, BEST, IN_TOP5, LABEL = range(4)


@dataclass(frozen=True)
class ClassAccuracy:
    """Top-1 and top-5, in per cent, of the pictures of one class."""

    label: int
    count: int
    top1: float
    top5: float


@dataclass(frozen=True)
class Accuracy:
    """`loss` is the mean cross entropy; top1 and top5 in per cent; `predictions` the best classes."""

    count: int
    loss: float
    top1: float
    top5: float
    predictions: np.ndarray
    per_class: tuple[ClassAccuracy, ...] = ()


class Processes:
    """The processes that share the pictures: this one alone, or all that torchrun started."""

    def __init__(self, rank: int = 0, world: int = 1) -> None:
        self.rank, self.world = rank, world

    def together(self, work: Callable[[], T]) -> T:
        """What `work` gives here; where it raises a DecantError in one process, all raise it."""
        mine: DecantError | None = None
        try:
            value = work()
        except DecantError as error:
            mine = error
        failed = next((error for error in self._exchange(mine) if error is not None), None)
        if failed is not None:
            raise failed
        return value

    def first(self, work: Callable[[], T]) -> T | None:
        """`work` done in the first process only; the others get None, or its error."""
        return self.together(lambda: work() if self.rank == 0 else None)

    def agree(self, what: str, value: str) -> None:
        """Raise BadInput in every process where `value` is not the same in all."""
        if len(set(self._exchange(value))) > 1:
            raise BadInput(f"{what} are not the same in every process of this torchrun")

    def _exchange(self, mine: Any) -> list[Any]:
        if self.world == 1:
            return [mine]
        answers: list[Any] = [None] * self.world
        with _peers():
            torch.distributed.all_gather_object(answers, mine)
        return answers

    def add(self, table: torch.Tensor) -> torch.Tensor:
        """The sum of every process's table."""
        if self.world > 1:
            with _peers():
                torch.distributed.all_reduce(table)
        return table


@contextmanager
def _peers() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        first = str(error).splitlines()[0]
        raise EngineError(f"another process of this torchrun cannot be reached: {first}") from None


@contextmanager
def processes() -> Iterator[Processes]:
    """Those of torchrun, joined for as long as the context lasts.

    One small table is all that they exchange, so that gloo serves GPUs as well.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1 or "MASTER_ADDR" not in os.environ:
        yield Processes()
        return
    with _peers():
        # a process that dies is noticed at once; one that is slow may take its time
        torch.distributed.init_process_group("gloo", timeout=timedelta(days=1))
    try:
        yield Processes(torch.distributed.get_rank(), world)
    finally:
        torch.distributed.destroy_process_group()


@torch.no_grad()
def measure(
    model: nn.Module,
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    parts: Sequence[range],
    total: int,
    device: str = "cpu",
    progress: Progress = SILENT,
    probabilities: bool = False,
    fixed: int | None = None,
) -> torch.Tensor:
    """A row for each of `total` pictures; zeros for those that are not in `parts`.

    `batches` gives, for each part, what the net wants (N x C x H x W float32) and the labels.
    The model gives logits, or, where it ends in a softmax, `probabilities`; it takes any number of
    pictures, or `fixed` ones.
    """
    model = model.to(device).eval()
    table = torch.zeros(total, 4, dtype=torch.float64)
    with progress.task("pictures", sum(map(len, parts)), "pictures") as task:
        for part, (pictures, labels) in zip(parts, batches, strict=True):
            truth = torch.from_numpy(labels).to(device)
            found = scores(model, pictures, device, fixed)
            table[part.start : part.stop] = _judge(found, truth, probabilities).cpu()
            task.advance(len(part))
    return table


def scores(
    model: nn.Module, pictures: np.ndarray, device: str, fixed: int | None = None
) -> torch.Tensor:
    """N x classes for N pictures; `fixed`: as loader.batch says.

    Raises NoClassifier where the model answers with anything but classes.
    """
    whole = filled(pictures, fixed)
    found = model(torch.from_numpy(whole).to(device))
    refuse_no_classes(tuple(found.shape), len(whole))
    answers: torch.Tensor = found[: len(pictures)].flatten(1)
    return answers


def _judge(answers: torch.Tensor, truth: torch.Tensor, probabilities: bool) -> torch.Tensor:
    """N rows: loss, best class, whether the truth is among the best five, the truth.

    In Caffe's loss probabilities are at least FLT_MIN (softmax_loss_layer.cpp).
    """
    classes = answers.size(1)
    if int(truth.max()) >= classes:
        raise BadInput(f"label {int(truth.max())}: the net has {classes} classes (from 0)")
    logs = answers.double()
    if probabilities:
        logs = logs.clamp(min=float(np.finfo(np.float32).tiny)).log()
    else:
        logs = logs.log_softmax(1)
    loss = nn.functional.nll_loss(logs, truth, reduction="none")
    top = answers.topk(min(5, classes), 1).indices
    in_top5 = (top == truth[:, None]).any(1)
    return torch.stack([loss, top[:, 0].double(), in_top5.double(), truth.double()], 1)


def accuracy(table: torch.Tensor) -> Accuracy:
    """Of all rows that `measure` gave; their order decides nothing but the loss's last bits."""
    rows = table.numpy()
    loss = float(rows[:, LOSS].mean())
    if not np.isfinite(loss):
        raise BadInput("the loss is not a number: the pictures or the weights hold NaN")
    right = rows[:, BEST] == rows[:, LABEL]
    in_top5 = rows[:, IN_TOP5] == 1
    by_class = [(int(label), rows[:, LABEL] == label) for label in np.unique(rows[:, LABEL])]
    return Accuracy(
        len(rows),
        loss,
        _per_cent(right),
        _per_cent(in_top5),
        rows[:, BEST].astype(np.int64),
        tuple(
            ClassAccuracy(label, int(own.sum()), _per_cent(right[own]), _per_cent(in_top5[own]))
            for label, own in by_class
        ),
    )


def _per_cent(hits: np.ndarray) -> float:
    return 100 * int(hits.sum()) / len(hits)


class Published(Protocol):
    """An accuracy that somebody published, in per cent, and how it was measured."""

    top1: float | None
    top5: float | None
    loss: float | None
    protocol: str
    source: str
    comparable: bool


def against_published(found: Accuracy, published: Sequence[Published]) -> list[str]:
    """A line for each published number: what it was, how it was measured, how far we are."""
    lines = []
    for item in published:
        numbers = (
            ("top1", item.top1, found.top1),
            ("top5", item.top5, found.top5),
            ("loss", item.loss, found.loss),
        )
        parts = [
            f"{name} {theirs:g} ({ours - theirs:+.2f})"
            for name, theirs, ours in numbers
            if theirs is not None
        ]
        kind = "same protocol" if item.comparable else "another protocol"
        lines.append(f"published {', '.join(parts)}: {item.protocol} [{item.source}; {kind}]")
    return lines
