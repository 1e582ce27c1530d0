"""What a net of classes answers: the artifact's module, and real Caffe on the same files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from decant.engines.table import Wanted, named
from decant.loader.errors import NoClassifier, UsageError
from decant.loader.layers import layer_type
from decant.loader.plan.batch import refuse_no_classes
from decant.loader.progress import Progress
from decant.stages.origins import CaffeFiles

if TYPE_CHECKING:
    from decant.engines.engine import Engine
    from decant.loader.artifact.manifest import Manifest

# pictures at a time: all of their activations are in memory together
BATCH = 32
# a run of the container starts Caffe and reads the weights: it takes many pictures at once
CAFFE_BYTES = 256 << 20


def beside(wanted: Wanted) -> Engine | None:
    """The engine that is to answer beside PyTorch: one that was asked for by name and runs nets."""
    found = named(wanted)
    return found if found is not None and found.runs else None


def number_of_classes(manifest: Manifest) -> int:
    """Of a net that `refuse_no_classifier` lets pass."""
    return math.prod(_answer(manifest)[1:])


def _answer(manifest: Manifest) -> tuple[int, ...]:
    """The shape of the only output."""
    shapes = {
        top: shape
        for layer in manifest.net
        for top, shape in zip(layer.tops, layer.shapes, strict=True)
    }
    return shapes.get(manifest.outputs[0].blob) or ()


def ends_in(manifest: Manifest) -> str:
    """The type of the module's last function; it may end before Caffe's Softmax."""
    kinds = (
        (layer.type, layer.bottoms, layer.tops)
        for layer in manifest.net
        if layer_type(layer.type).keeps_values or layer.name not in manifest.left_out
    )
    return last_function(kinds, manifest.outputs[0].blob)


def refuse_several(what: Literal["inputs", "outputs"], manifest: Manifest) -> None:
    """Raise NoClassifier unless `what`, "inputs" or "outputs", is a single blob."""
    manifest.require(what)
    found = manifest.inputs if what == "inputs" else manifest.outputs
    if len(found) != 1:
        blobs = ", ".join(item.blob for item in found)
        raise NoClassifier(f"{manifest.name}: no classifier of pictures: its {what} are {blobs}")


def refuse_no_classifier(manifest: Manifest) -> None:
    """Raise NoClassifier unless one blob of pictures goes in and a row of scores comes out for each."""
    name = manifest.name
    refuse_several("inputs", manifest)
    refuse_several("outputs", manifest)
    manifest.require("net")
    blob, kind, answer = manifest.outputs[0].blob, ends_in(manifest), _answer(manifest)
    try:
        refuse_no_classes(answer, manifest.inputs[0].shape[0])
    except NoClassifier as error:
        raise NoClassifier(f"{name}: {error.message}; loader.activations has its numbers") from None
    # of one class a softmax is always 1; a sigmoid says something
    if kind == "ArgMax" or (math.prod(answer[1:]) == 1 and kind != "Sigmoid"):
        raise NoClassifier(
            f"{name}: no classifier of pictures: {blob!r} ({kind}) is one number for each, no scores "
            "of classes; loader.activations has it"
        )


def last_function(layers: Iterable[tuple[str, Sequence[str], Sequence[str]]], blob: str) -> str:
    """The type of the last layer that gives `blob` more than another shape; KeyError for none."""
    kinds: dict[str, str] = {}
    for kind, bottoms, tops in layers:
        found = kinds.get(bottoms[0], "") if layer_type(kind).keeps_values and bottoms else kind
        kinds.update(dict.fromkeys(tops, found))
    return kinds[blob]


def from_torch(net: Any, manifest: Manifest, batch: np.ndarray, device: str) -> np.ndarray:
    """Probabilities of all pictures of `batch` (N x C x H x W float32), N x classes."""
    import torch

    from decant.loader.pictures.evaluate import scores

    fixed = manifest.batch
    size = fixed or BATCH
    parts = (batch[start : start + size] for start in range(0, len(batch), size))
    with torch.no_grad():
        found = torch.cat([scores(net, part, device, fixed).cpu() for part in parts])
    return probabilities(found.numpy(), ends_in(manifest), manifest.name)


def from_caffe(
    engine: Engine,
    files: CaffeFiles,
    manifest: Manifest,
    batches: Iterable[np.ndarray],
    progress: Progress,
) -> np.ndarray:
    """The same from `engine`, on the files that the artifact was made of (`caffe_files`)."""
    from decant.loader.definition.graph import outputs, read_net
    from decant.loader.plan.batch import filled
    from decant.loader.plan.deploy import deploy

    blob, shape = manifest.inputs[0].blob, manifest.inputs[0].shape
    net = deploy(read_net(files.prototxt, manifest.reading), {blob: shape}, {})
    output, fixed = outputs(net)[-1], manifest.batch
    answers = []
    for part in _joined(batches):
        whole = filled(part, fixed)
        answer = engine.forward(
            files.prototxt, files.caffemodel, {blob: whole}, output, progress, fixed or BATCH, net
        )
        refuse_no_classes(answer.shape, len(whole))
        answers.append(answer[: len(part)])
    kind = last_function(((x.type, x.bottoms, x.tops) for x in net.layers), output)
    return probabilities(np.concatenate(answers), kind, manifest.name)


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

    Raises UsageError where an answer holds NaN.
    """
    answers = answers.reshape(len(answers), -1)
    if not np.isfinite(answers).all():
        raise UsageError(f"{name}: its answer to this picture holds NaN or infinity")
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
