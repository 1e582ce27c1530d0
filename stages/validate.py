"""Artifacts once more, from the files: hashes, parity, accuracy."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from decant.loader.errors import (
    ArtifactMissing,
    DecantError,
    GpuError,
    ParityError,
    UsageError,
)
from decant.loader.machine import next_step
from decant.loader.progress import SILENT
from decant.stages.answers import BATCH, beside, ends_in, from_caffe, refuse_no_classifier
from decant.stages.load import check_device
from decant.stages.options import DEFAULTS, Options, refuse_one
from decant.stages.origins import CaffeFiles, bundled_pictures, caffe_files, entry_of, parity_dump

if TYPE_CHECKING:
    from torch import nn

    from decant.engines.engine import Engine
    from decant.loader.artifact.manifest import Manifest
    from decant.loader.catalog.models import Catalog
    from decant.loader.pictures.dataset import Picture
    from decant.loader.pictures.evaluate import Accuracy, Processes
    from decant.loader.pictures.recipe import Recipe


@dataclass(frozen=True)
class Pictures:
    """Which labelled pictures are looked at, and how.

    `data`: their folder; None: those that a model brings along. `limit`: at most so many. `workers`:
    processes that read them, 0: this one, None: as many as it takes. `per_class`: a table by class.
    """

    data: Path | None = None
    limit: int | None = None
    workers: int | None = None
    per_class: bool = False


@dataclass(frozen=True)
class _Round:
    """What is asked of every artifact, and who works on it."""

    pictures: Pictures
    options: Options
    models: Catalog
    team: Processes


@dataclass(frozen=True)
class _Task:
    """Labelled pictures for one artifact's net, in order; `files` for the process that asks Caffe."""

    pictures: Sequence[Picture]
    recipe: Recipe
    workers: int
    files: CaffeFiles | None


@dataclass
class Validation:
    """What was found for one artifact."""

    folder: Path
    parity: str
    accuracy: Accuracy | None = None
    lines: list[str] = field(default_factory=list)
    caffe_agrees: int | None = None
    classes: list[dict[str, Any]] | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        found = self.accuracy
        return {
            "artifact": str(self.folder),
            "hashes": "match",
            "parity": self.parity,
            "accuracy": found
            and {
                "pictures": found.count,
                "loss": found.loss,
                "top1": found.top1,
                "top5": found.top5,
            },
            "per_class": self.classes,
            "caffe_top1_agrees": self.caffe_agrees,
        }


def validate(
    names: Sequence[str] = (),
    options: Options = DEFAULTS,
    pictures: Pictures = Pictures(),
    *,
    place: Path | None = None,
    tell: Callable[[Validation], None] = lambda found: None,
) -> list[Validation]:
    """Every artifact named, or all of `place`; each is looked at before the first failure is raised.

    `tell` hears of each as soon as it is done. Of torchrun's processes the first tells and returns
    what was found, the others return nothing. Raises ArtifactMissing, IntegrityError, ParityError.
    """
    refuse_one("names", names)
    if options.gpu:
        return _in_container(_folders(names, place), options, pictures, tell)

    # read when torch is loaded: its idle threads must not spin on the cores that read pictures
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from decant.loader.catalog.models import load_catalog
    from decant.loader.pictures.evaluate import processes

    with processes() as team:
        if team.rank > 0:
            options = replace(options, progress=SILENT)
        try:
            folders = team.together(lambda: _folders(names, place))
            models = load_catalog(options.catalog)
            found = _all(folders, _Round(pictures, options, models, team), tell)
        except DecantError as error:
            _end(error, team)
    return found


def _in_container(
    folders: list[Path], options: Options, pictures: Pictures, tell: Callable[[Validation], None]
) -> list[Validation]:
    """The same where the GPU is: the container's account of each artifact."""
    from decant.engines.gpu import require
    from decant.engines.torch_container import validate_in_container
    from decant.loader.artifact import bundle
    from decant.loader.catalog.models import load_catalog

    more = pictures.workers is not None or pictures.per_class or beside(options.engine)
    if more or int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError(
            "--gpu (the container) goes with neither --workers, --per-class, --engine caffe nor "
            "torchrun: use --device cuda"
        )
    require()
    models = load_catalog(options.catalog)
    done = []
    for folder in folders:
        manifest = bundle.read_manifest(folder)
        # the container has the catalog, and nothing of what lies beside it
        data = _place(pictures, manifest, models)
        told = validate_in_container(
            folder, data, pictures.limit, options.catalog, options.progress
        )
        done.append(_told(folder, told, manifest))
        tell(done[-1])
    return done


def _told(folder: Path, told: Mapping[str, Any], manifest: Manifest) -> Validation:
    """What the container's JSON says."""
    import numpy as np

    from decant.loader.pictures.evaluate import Accuracy, against_published

    found = Validation(folder, told["parity"])
    if told["accuracy"] is not None:
        said = told["accuracy"]
        found.accuracy = Accuracy(
            said["pictures"], said["loss"], said["top1"], said["top5"], np.empty(0, np.int64)
        )
        found.lines = against_published(found.accuracy, manifest.accuracy)
    return found


def _end(error: DecantError, team: Processes) -> NoReturn:
    """Every process ends with the error's code; only the first says why.

    torchrun ends all as soon as one has failed: that must not change the others' codes.
    """
    if team.world > 1:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if team.rank > 0:
        raise SystemExit(error.code)
    raise error


def _all(
    folders: list[Path], asked: _Round, tell: Callable[[Validation], None]
) -> list[Validation]:
    found, errors = [], []
    for folder in folders:
        try:
            result = _validate(folder, asked)
        except DecantError as error:
            errors.append(error)
            continue
        if asked.team.rank == 0:
            found.append(result)
            tell(result)
    if errors:
        rest = [line for error in errors for line in (error.message, *error.details)]
        raise type(errors[0])(errors[0].message, rest[1:])
    return found


def _folders(names: Sequence[str], out: Path | None) -> list[Path]:
    from decant.loader.artifact.bundle import folder_of, place_of_artifacts

    root = out or place_of_artifacts()
    if names:
        return [root / name if out else folder_of(name) for name in names]
    found = sorted(
        path.parent for path in root.glob("*/manifest.json") if path.parent.name[0] != "."
    )
    if not found:
        raise ArtifactMissing(
            f"no artifacts in {root}: {next_step('make convert', 'decant convert')}"
        )
    return found


def _validate(folder: Path, asked: _Round) -> Validation:
    from decant.loader.artifact import bundle
    from decant.loader.artifact.loading import load

    def check() -> tuple[Manifest, nn.Module, Validation, _Task | None]:
        _check_device(asked)
        manifest = bundle.verify(folder)
        model, _ = load(folder.resolve())
        result = Validation(
            folder, _parity_again(folder, manifest, model, asked.options.device, asked.models)
        )
        return manifest, model, result, _work(folder, manifest, asked)

    manifest, model, result, work = asked.team.together(check)
    if work is not None:
        asked.team.agree(
            f"{folder.name}: the artifact or the pictures", _fingerprint(manifest, work)
        )
        _measure(result, manifest, model, work, asked)
    return result


def _check_device(asked: _Round) -> None:
    """Of torchrun's processes on one machine each has a GPU of its own."""
    check_device(asked.options.device)
    if asked.options.device == "cuda" and asked.team.world > 1:
        import torch

        number, there = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if number >= there:
            raise GpuError(f"process {number} on this machine has no GPU: there are {there}")
        torch.cuda.set_device(number)


def _parity_again(
    folder: Path, manifest: Manifest, model: nn.Module, device: str, models: Catalog
) -> str:
    """Measured on Caffe's activations of this net, where they are at hand."""
    from decant.loader.artifact.bundle import read_parity
    from decant.loader.artifact.loading import caffe_map
    from decant.loader.parity import measuring

    dump = parity_dump(folder, manifest, models)
    if dump is None:
        recorded = read_parity(folder)
        why = recorded.reason if recorded else ""
        return f"not measured: {why or 'the dump with its activations is not at hand any more'}"
    entry = entry_of(manifest, models)
    bounds = {k: (t.bound, t.reason) for k, t in entry.tolerance.items()} if entry else {}
    first = measuring.measure(dump, model, caffe_map(manifest), device, bounds).first_failure
    if first is not None:
        raise ParityError(
            f"{folder.name}: layer {first.layer!r} differs from Caffe: {first.reason}; "
            "convert it again"
        )
    return "passed"


def _work(folder: Path, manifest: Manifest, asked: _Round) -> _Task | None:
    """The pictures asked for, or those bundled with the model; None where there are none."""
    from decant.loader.artifact.pictures import recorded_recipe
    from decant.loader.pictures import dataset

    place = _place(asked.pictures, manifest, asked.models)
    if place is None:
        if (
            beside(asked.options.engine)
            or asked.pictures.per_class
            or asked.pictures.limit is not None
        ):
            asked.options.progress.note(
                f"{folder.name}: no pictures, for --engine caffe, --per-class and --limit: see --data"
            )
        return None
    recipe = recorded_recipe(manifest, folder)
    if recipe is None:
        raise UsageError(
            f"{folder.name}: how its pictures are prepared is not known (no catalog entry says "
            "it): add one with `preprocessing`, or validate without --data"
        )
    refuse_no_classifier(manifest)
    pictures = dataset.find(place, _names(manifest))[: asked.pictures.limit]
    workers = (
        dataset.default_workers(len(pictures) // asked.team.world)
        if asked.pictures.workers is None
        else asked.pictures.workers
    )
    files = None
    if beside(asked.options.engine) and asked.team.rank == 0:
        files = caffe_files(folder, manifest, asked.models, asked.options.progress)
    return _Task(pictures, recipe, workers, files)


def _place(pictures: Pictures, manifest: Manifest, models: Catalog) -> Path | None:
    """The folder asked for, else the one that the model brings along."""
    if pictures.data is not None:
        return pictures.data
    # an older manifest does not record what classes need: nobody asked for them here
    return bundled_pictures(manifest, models) if manifest.net and manifest.outputs else None


def _names(manifest: Manifest) -> tuple[str, ...]:
    return manifest.labels.names if manifest.labels else ()


def _fingerprint(manifest: Manifest, work: _Task) -> str:
    """Of the weights and of which pictures there are: the same on every machine."""
    pictures = [(item.path.name, item.label) for item in work.pictures]
    return hashlib.sha256(json.dumps([manifest.files, pictures]).encode()).hexdigest()


def _measure(
    result: Validation, manifest: Manifest, model: nn.Module, work: _Task, asked: _Round
) -> None:
    from decant.loader.pictures import dataset
    from decant.loader.pictures.evaluate import accuracy, against_published, measure

    team, options, total = asked.team, asked.options, len(work.pictures)
    fixed = manifest.batch
    parts = dataset.plan(total, fixed or BATCH, team.rank, team.world)
    batches = dataset.batches(work.pictures, parts, work.recipe, work.workers)
    probabilities = ends_in(manifest) == "Softmax"
    begun = time.monotonic()
    table = team.together(
        lambda: measure(
            model,
            batches,
            parts,
            total,
            asked.options.device,
            asked.options.progress,
            probabilities,
            fixed,
        )
    )
    result.accuracy = found = accuracy(team.add(table))
    speed = total / (time.monotonic() - begun)
    options.progress.note(f"{total} pictures, {speed:.0f} pictures/s")
    result.lines = against_published(found, manifest.accuracy)
    if asked.pictures.per_class:
        result.classes = _by_class(found, _names(manifest))
    engine = beside(asked.options.engine)
    if engine is not None:
        result.caffe_agrees = team.first(
            lambda: _caffe_agrees(engine, found, manifest, work, asked)
        )


def _by_class(found: Accuracy, names: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "class": item.label,
            "name": names[item.label] if item.label < len(names) else None,
            "pictures": item.count,
            "top1": item.top1,
            "top5": item.top5,
        }
        for item in found.per_class
    ]


def _caffe_agrees(
    engine: Engine, found: Accuracy, manifest: Manifest, work: _Task, asked: _Round
) -> int:
    """On how many pictures real Caffe has the same best class."""
    from decant.loader.pictures import dataset

    assert work.files is not None
    parts = dataset.plan(len(work.pictures), BATCH)
    batches = dataset.batches(work.pictures, parts, work.recipe, work.workers)
    with asked.options.progress.task("real Caffe looks at the same pictures"):
        pictures = (pictures for pictures, _ in batches)
        answers = from_caffe(engine, work.files, manifest, pictures, asked.options.progress)
    return int((answers.argmax(1) == found.predictions).sum())
