"""What a net of classes answers: the artifact's module, and real Caffe on the same files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from commands.origins import caffe_files
from loader.errors import UsageError
from loader.progress import Progress

if TYPE_CHECKING:
    from loader.catalog import Catalog

BATCH = 32
# give their input another shape, or nothing
SHAPING = {"Dropout", "Flatten", "Reshape", "Split"}
# a run of the container starts Caffe and reads the weights: it takes many pictures at once
CAFFE_BYTES = 256 << 20


def fixed_batch(manifest: dict[str, Any]) -> int | None:
    """How many pictures the net takes, no more and no fewer; None: any number.

    A batch above one is in the manifest where a layer counts on it, and a Reshape may count on one.
    """
    batch = int(manifest["inputs"][0]["shape"][0])
    fixed = batch > 1 or any(layer["type"] == "Reshape" for layer in manifest["net"])
    return batch if fixed else None


def ends_in(manifest: dict[str, Any]) -> str:
    """The type of the module's last function; it may end before Caffe's Softmax."""
    return last_function(
        (layer["type"], layer["bottoms"], layer["tops"])
        for layer in manifest["net"]
        if layer["name"] not in manifest["left_out"]
    )


def last_function(layers: Iterable[tuple[str, Sequence[str], Sequence[str]]]) -> str:
    """The type of the last layer that does more than give its input another shape."""
    kinds: dict[str, str] = {}
    found = ""
    for kind, bottoms, tops in layers:
        if not tops:
            continue
        found = kinds.get(bottoms[0], "") if kind in SHAPING and bottoms else kind
        kinds.update(dict.fromkeys(tops, found))
    return found


def from_torch(net: Any, manifest: dict[str, Any], batch: np.ndarray, device: str) -> np.ndarray:
    """Probabilities of all pictures of `batch` (N x C x H x W float32), N x classes."""
    import torch

    from loader.evaluate import filled

    fixed = fixed_batch(manifest)
    size = fixed or BATCH
    answers = []
    with torch.no_grad():
        for start in range(0, len(batch), size):
            part = batch[start : start + size]
            scores = net(torch.from_numpy(filled(part, fixed)).to(device))[: len(part)]
            answers.append(scores.cpu().numpy())
    return probabilities(np.concatenate(answers), ends_in(manifest), manifest["name"])


def from_caffe(
    folder: Path,
    manifest: dict[str, Any],
    batches: Iterable[np.ndarray],
    models: Catalog,
    progress: Progress,
) -> np.ndarray:
    """The same from real Caffe, on the files that the artifact in `folder` was made of."""
    from engines.caffe import forward
    from loader.deploy import deploy
    from loader.evaluate import filled
    from loader.graph import outputs, read_net

    prototxt, caffemodel = caffe_files(folder, manifest, models, progress)
    blob, shape = manifest["inputs"][0]["blob"], tuple(manifest["inputs"][0]["shape"])
    net = deploy(read_net(prototxt), {blob: shape}, {})
    kind = last_function((layer.type, layer.bottoms, layer.tops) for layer in net.layers)
    fixed = fixed_batch(manifest)
    answers = []
    for part in _joined(batches):
        inputs = iter([{blob: filled(part, fixed)}])
        (answer,) = forward(
            prototxt, caffemodel, inputs, outputs(net)[-1], progress, fixed or BATCH, net
        )
        answers.append(answer[: len(part)])
    return probabilities(np.concatenate(answers), kind, folder.name)


def _joined(batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """As many batches at once as a run of the container should get."""
    waiting: list[np.ndarray] = []
    for batch in batches:
        waiting.append(batch)
        if sum(part.nbytes for part in waiting) >= CAFFE_BYTES:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)


def probabilities(answers: np.ndarray, kind: str, name: str) -> np.ndarray:
    """A softmax, where the net does not end in one (or in sigmoids); N x classes.

    Raises UsageError where the answer is no list of classes, or holds NaN.
    """
    if answers.ndim < 2 or math.prod(answers.shape[1:]) != max(answers.shape[1:]):
        raise UsageError(f"{name}: no classifier of pictures: it answers with {answers.shape}")
    answers = answers.reshape(len(answers), -1)
    if not np.isfinite(answers).all():
        raise UsageError(f"{name}: its answer to this picture holds values that are no numbers")
    if kind in ("Softmax", "Sigmoid"):
        return answers
    powers = np.exp(answers - answers.max(1, keepdims=True))
    found: np.ndarray = powers / powers.sum(1, keepdims=True)
    return found


def average(answers: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """One row a picture, over its crops."""
    ends = np.cumsum(counts)
    parts = zip(ends, counts, strict=True)
    return np.stack([answers[end - count : end].mean(0) for end, count in parts])
