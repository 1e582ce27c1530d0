"""`classify`: pictures, with the net's best classes, and real Caffe's beside them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from commands.run import emit
from commands.tables import show
from loader.errors import FetchError, UsageError
from loader.progress import Progress, for_terminal

if TYPE_CHECKING:
    from loader.recipe import Recipe

BATCH = 32
TOP = 5
# give their input another shape, or nothing
SHAPING = {"Dropout", "Flatten", "Reshape", "Split"}


@dataclass
class Classifier:
    """An artifact that has one output of classes, and how its pictures are prepared."""

    folder: Path
    manifest: dict[str, Any]
    recipe: Recipe
    names: list[str]

    @property
    def ends_in(self) -> str:
        """The type of its last function; the module may end before Caffe's Softmax."""
        left_out = self.manifest["left_out"]
        return last_function(
            (layer["type"], layer["bottoms"], layer["tops"])
            for layer in self.manifest["net"]
            if layer["name"] not in left_out
        )

    @property
    def batch(self) -> int:
        """How many pictures go at once: a Reshape may hold the definition's own batch."""
        fixed = any(layer["type"] == "Reshape" for layer in self.manifest["net"])
        return int(self.manifest["inputs"][0]["shape"][0]) if fixed else BATCH

    def name(self, number: int) -> str:
        """The class's name, else its number."""
        return self.names[number] if number < len(self.names) else f"class {number}"


def classify(
    *,
    model: str,
    pictures: list[Path],
    oversample: bool,
    mean: str | None,
    labels: Path | None,
    engine: str,
    device: str,
    catalog: Path | None,
    as_json: bool,
) -> None:
    """Print the five best classes of each picture."""
    from commands.stage_two import check_device

    progress = for_terminal()
    check_device(device)
    if engine not in ("auto", "caffe"):
        raise UsageError(f"--engine {engine!r}: caffe, or leave it away")
    found = open_classifier(model, mean, labels, catalog, progress)
    batch, counts = prepared(found.recipe, pictures, oversample)
    ours = average(ask_torch(found, batch, device), counts)
    theirs = None
    if engine == "caffe":
        theirs = average(ask_caffe(found, batch, catalog, progress), counts)
    if as_json:
        emit({"ok": True, "pictures": _rows(found, pictures, ours, theirs)})
        return
    for row in _rows(found, pictures, ours, theirs):
        columns = ["", "class", "PyTorch"] + (["Caffe"] if theirs is not None else [])
        lines = [
            [str(at), best["label"], f"{best['probability']:.4f}"]
            + ([f"{best['caffe']:.4f}"] if theirs is not None else [])
            for at, best in enumerate(row["top"], 1)
        ]
        show(row["picture"], columns, lines)
        if theirs is not None:
            same = "the same" if row["caffe_top"] == row["top"][0]["label"] else "another"
            print(f"real Caffe's best is {same}: {row['caffe_top']}")


def open_classifier(
    model: str, mean: str | None, labels: Path | None, catalog: Path | None, progress: Progress
) -> Classifier:
    """The artifact called `model`; raises UsageError where it is no classifier of pictures."""
    from loader import artifact
    from loader import labels as label_files
    from loader.catalog import load_catalog
    from loader.loading import folder_of
    from loader.recipe import from_manifest, with_mean

    folder = folder_of(model)
    manifest = artifact.read_manifest(folder)
    recipe = from_manifest(manifest, folder)
    for what in ("inputs", "outputs"):
        if len(manifest[what]) != 1:
            blobs = ", ".join(item["blob"] for item in manifest[what])
            raise UsageError(f"{folder.name}: no classifier of pictures: its {what} are {blobs}")
    if recipe is None:
        recipe = _plain(manifest, folder.name, mean)
    if mean is not None:
        recipe = with_mean(recipe, mean)
    try:
        names = (
            label_files.read(labels)
            if labels
            else label_files.of_artifact(manifest, load_catalog(catalog), progress)
        )
    except FetchError as error:
        progress.note(f"{error.message}: classes are shown by their numbers")
        names = []
    return Classifier(folder, manifest, recipe, names)


def _plain(manifest: dict[str, Any], name: str, mean: str | None) -> Recipe:
    """Where nobody said how pictures are prepared, --mean has to; pictures are warped to the input."""
    from loader.recipe import Recipe

    shape = manifest["inputs"][0]["shape"]
    if mean is None or len(shape) != 4 or shape[1] not in (1, 3):
        raise UsageError(
            f"{name}: how its pictures are prepared is not known; say it with --mean 104,117,123 (or a "
            "mean file; 0 for none)"
        )
    order = "BGR" if shape[1] == 3 else "gray"
    return Recipe(order, (0.0,) * shape[1], 1.0, (shape[2], shape[3]))


def prepared(
    recipe: Recipe, pictures: Sequence[Path], oversample: bool
) -> tuple[np.ndarray, list[int]]:
    """All crops of all pictures, and how many each has."""
    from loader.recipe import crops, prepare, read_picture

    if oversample and recipe.crop is None:
        raise UsageError("--oversample: the net takes whole pictures, there is nothing to crop")
    parts = [
        crops(prepare(read_picture(path, recipe), recipe), recipe.crop, oversample)
        for path in pictures
    ]
    return np.concatenate(parts), [len(part) for part in parts]


def ask_torch(found: Classifier, batch: np.ndarray, device: str) -> np.ndarray:
    """Probabilities, N x classes."""
    import torch

    from loader.loading import load

    net, _ = load(found.folder.resolve())
    net = net.to(device)
    answers = []
    with torch.no_grad():
        for start in range(0, len(batch), found.batch):
            part = torch.from_numpy(batch[start : start + found.batch]).to(device)
            answers.append(net(part).cpu().numpy())
    return probabilities(np.concatenate(answers), found.ends_in, found.folder.name)


def ask_caffe(
    found: Classifier, batch: np.ndarray, catalog: Path | None, progress: Progress
) -> np.ndarray:
    """The same from real Caffe, on the files that the artifact was made of."""
    from engines.caffe import forward
    from loader.deploy import deploy
    from loader.graph import outputs, read_net

    prototxt, caffemodel = sources(found, catalog, progress)
    blob, shape = found.manifest["inputs"][0]["blob"], tuple(found.manifest["inputs"][0]["shape"])
    net = deploy(read_net(prototxt), {blob: shape}, {})
    output = outputs(net)[-1]
    kind = last_function((layer.type, layer.bottoms, layer.tops) for layer in net.layers)
    with progress.task("real Caffe looks at the same pictures"):
        (answer,) = forward(
            prototxt, caffemodel, iter([{blob: batch}]), output, progress, found.batch, net=net
        )
    return probabilities(answer, kind, found.folder.name)


def sources(found: Classifier, catalog: Path | None, progress: Progress) -> tuple[Path, Path]:
    """The two files: from the catalog, or where `convert` had them, if they are still the same."""
    from commands.inputs import sha256
    from loader.catalog import load_catalog
    from loader.fetch import resolve

    models = load_catalog(catalog)
    entry = models.models.get(found.manifest["model"] or "")
    if entry is not None:
        files = resolve(entry, models, progress)
        return files.prototxt, files.caffemodel
    build = json.loads((found.folder / "build.json").read_text())
    paths = [Path(build.get(name) or "") for name in ("prototxt", "caffemodel")]
    hashes = [found.manifest["caffe"][f"{path}_sha256"] for path in ("prototxt", "caffemodel")]
    for path, digest in zip(paths, hashes, strict=True):
        if not path.is_file() or sha256(path) != digest:
            raise UsageError(
                f"{found.folder.name}: {path} is not there any more, or another file: convert it again"
            )
    return paths[0], paths[1]


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


def _rows(
    found: Classifier, pictures: Sequence[Path], ours: np.ndarray, theirs: np.ndarray | None
) -> list[dict[str, Any]]:
    rows = []
    for at, path in enumerate(pictures):
        best = np.argsort(-ours[at], kind="stable")[:TOP]
        top: list[dict[str, Any]] = [
            {"class": int(n), "label": found.name(int(n)), "probability": float(ours[at, n])}
            for n in best
        ]
        row: dict[str, Any] = {"picture": str(path), "top": top}
        if theirs is not None:
            for item in top:
                item["caffe"] = float(theirs[at, item["class"]])
            row["caffe_top"] = found.name(int(theirs[at].argmax()))
        rows.append(row)
    return rows
