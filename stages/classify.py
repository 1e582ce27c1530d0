"""Pictures, with a net's best classes, and real Caffe's beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from decant.loader.errors import FetchError, NoClassifier, UsageError
from decant.loader.progress import Progress
from decant.stages.answers import (
    average,
    beside,
    from_caffe,
    from_torch,
    number_of_classes,
    refuse_no_classifier,
    refuse_several,
)
from decant.stages.load import check_device
from decant.stages.options import DEFAULTS, Options, refuse_one
from decant.stages.origins import caffe_files

if TYPE_CHECKING:
    from decant.engines.engine import Engine
    from decant.loader.artifact.manifest import Manifest
    from decant.loader.catalog.models import Catalog
    from decant.loader.pictures.recipe import Recipe

# as ImageNet counts, and as Caffe prints
TOP = 5


@dataclass
class Classifier:
    """An artifact that has one output of classes, and how its pictures are prepared."""

    folder: Path
    manifest: Manifest
    recipe: Recipe
    names: list[str]
    models: Catalog

    def name(self, number: int) -> str:
        """The class's name, else its number."""
        return self.names[number] if number < len(self.names) else f"class {number}"


@dataclass(frozen=True)
class Guess:
    """One of the best classes; `caffe`: real Caffe's probability of it, where Caffe was asked."""

    number: int
    label: str
    probability: float
    caffe: float | None = None


@dataclass(frozen=True)
class Answer:
    """The best classes of one picture, best first; `caffe_best`: the label of real Caffe's first."""

    picture: Path
    top: list[Guess]
    caffe_best: str | None = None


def classify(
    model: str,
    pictures: Sequence[Path],
    options: Options = DEFAULTS,
    *,
    oversample: bool = False,
    mean: str | None = None,
    labels: Path | None = None,
) -> list[Answer]:
    """The five best classes of each picture, by the artifact `model`.

    An engine in `options` that runs nets answers beside it. `oversample`: ten crops, averaged. `mean`
    and `labels`: in place of the artifact's own.
    """
    from decant.loader.artifact.loading import load
    from decant.loader.catalog.models import load_catalog

    refuse_one("pictures", pictures)
    if not pictures:
        raise UsageError("pictures: none is given")
    check_device(options.device)
    caffe = beside(options.engine)
    found = open_classifier(model, mean, labels, load_catalog(options.catalog), options.progress)
    batch, counts = prepared(found.recipe, pictures, oversample)
    net, _ = load(found.folder.resolve())
    net = net.to(options.device)
    ours = average(from_torch(net, found.manifest, batch, options.device), counts)
    theirs = None
    if caffe:
        theirs = average(caffe_beside(caffe, found, batch, options.progress), counts)
    return [
        _answer(found, path, ours[at], None if theirs is None else theirs[at])
        for at, path in enumerate(pictures)
    ]


def _answer(
    found: Classifier, picture: Path, ours: np.ndarray, theirs: np.ndarray | None
) -> Answer:
    top = [
        Guess(n, found.name(n), float(ours[n]), None if theirs is None else float(theirs[n]))
        for n in map(int, np.argsort(-ours, kind="stable")[:TOP])
    ]
    return Answer(picture, top, None if theirs is None else found.name(int(theirs.argmax())))


def open_classifier(
    model: str, mean: str | None, labels: Path | None, models: Catalog, progress: Progress
) -> Classifier:
    """The artifact called `model`; raises NoClassifier where it is not a classifier of pictures."""
    from decant.loader.artifact import bundle
    from decant.loader.artifact.bundle import folder_of
    from decant.loader.artifact.pictures import class_names
    from decant.loader.pictures import labels as label_files

    folder = folder_of(model)
    manifest = bundle.read_manifest(folder)
    refuse_no_classifier(manifest)
    recipe = recipe_of(folder, manifest, mean)
    try:
        names = label_files.read(labels) if labels else class_names(manifest, models, progress)
    except FetchError as error:
        progress.note(f"{error.message}: classes are shown by their numbers")
        names = []
    classes = number_of_classes(manifest)
    if labels and len(names) != classes:
        raise UsageError(f"--labels {labels}: {len(names)} names for {classes} classes")
    if not names and manifest.labels:
        progress.note("the labels are in another catalog (--catalog): classes are shown by numbers")
    return Classifier(folder, manifest, recipe, names, models)


def recipe_of(folder: Path, manifest: Manifest, mean: str | None) -> Recipe:
    """How the artifact's pictures are prepared; raises UsageError where neither it nor `mean` says."""
    from decant.loader.artifact.pictures import recorded_recipe
    from decant.loader.pictures.recipe import with_mean

    refuse_several("inputs", manifest)
    recipe = recorded_recipe(manifest, folder) or _plain(manifest, folder.name, mean)
    return recipe if mean is None else with_mean(recipe, mean)


def _plain(manifest: Manifest, name: str, mean: str | None) -> Recipe:
    """Where nobody said how pictures are prepared, --mean has to; pictures are warped to the input."""
    from decant.loader.pictures.recipe import Recipe

    shape = manifest.inputs[0].shape
    if len(shape) != 4 or shape[1] not in (1, 3):
        size = " x ".join(map(str, shape))
        raise NoClassifier(
            f"{name}: its input, {size}, takes no picture of grey or of three colours"
        )
    if mean is None:
        raise UsageError(
            f"{name}: how its pictures are prepared is not known; say it with --mean 104,117,123 (or a "
            "mean file; 0 for none)"
        )
    order = "BGR" if shape[1] == 3 else "gray"
    return Recipe(order, (0.0,) * shape[1], 1.0, (shape[2], shape[3]))


def caffe_beside(
    engine: Engine, found: Classifier, batch: np.ndarray, progress: Progress
) -> np.ndarray:
    """Real Caffe's probabilities, N x classes."""
    files = caffe_files(found.folder, found.manifest, found.models, progress)
    with progress.task("real Caffe looks at the same pictures"):
        return from_caffe(engine, files, found.manifest, [batch], progress)


def prepared(
    recipe: Recipe, pictures: Sequence[Path], oversample: bool
) -> tuple[np.ndarray, list[int]]:
    """All crops of all pictures, and how many each has."""
    from decant.loader.pictures.recipe import crops, prepare, read_picture

    if oversample and recipe.crop is None:
        raise UsageError("--oversample: the net takes whole pictures, there is nothing to crop")
    parts = [
        crops(prepare(read_picture(path, recipe), recipe), recipe.crop, oversample)
        for path in pictures
    ]
    return np.concatenate(parts), [len(part) for part in parts]
