"""`validate`: artifacts once more, from the files: hashes, parity, accuracy."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decant.commands import tables
from decant.commands.answers import BATCH, asks_caffe, ends_in, from_caffe, refuse_no_classifier
from decant.commands.origins import CaffeFiles, bundled_pictures, caffe_files, entry_of, parity_dump
from decant.commands.run import emit
from decant.loader.errors import (
    ArtifactMissing,
    DecantError,
    GpuError,
    ParityError,
    UsageError,
)
from decant.loader.progress import SILENT, Progress, for_terminal

if TYPE_CHECKING:
    from torch import nn

    from decant.loader.artifact.manifest import Manifest
    from decant.loader.catalog.models import Catalog
    from decant.loader.pictures.dataset import Picture
    from decant.loader.pictures.evaluate import Accuracy, Processes
    from decant.loader.pictures.recipe import Recipe


@dataclass(frozen=True)
class Asked:
    """What the command line asks of every artifact, and who works on it."""

    data: Path | None
    limit: int | None
    caffe: bool
    device: str
    workers: int | None
    per_class: bool
    models: Catalog
    team: Processes
    progress: Progress


@dataclass(frozen=True)
class Work:
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
    *,
    names: list[str],
    data: Path | None,
    limit: int | None,
    out: Path | None,
    engine: str,
    device: str,
    gpu: bool,
    workers: int | None,
    per_class: bool,
    catalog: Path | None,
    as_json: bool,
) -> None:
    """Every artifact named, or all; each is looked at before the first failure is raised."""
    with_caffe = asks_caffe(engine)
    if gpu:
        more = workers is not None or per_class or with_caffe
        _in_container(_folders(names, out), data, limit, more)
        return

    # read when torch is loaded: its idle threads must not spin on the cores that read pictures
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from decant.loader.catalog.models import load_catalog
    from decant.loader.pictures.evaluate import processes

    with processes() as team:
        progress = for_terminal() if team.rank == 0 else SILENT
        try:
            folders = team.together(lambda: _folders(names, out))
            models = load_catalog(catalog)
            asked = Asked(
                data, limit, with_caffe, device, workers, per_class, models, team, progress
            )
            _all(folders, asked, as_json)
        except DecantError as error:
            _end(error, team)


def _in_container(folders: list[Path], data: Path | None, limit: int | None, more: bool) -> None:
    from decant.engines.gpu import require
    from decant.engines.torch_container import validate_in_container

    if more or int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError(
            "--gpu (the container) goes with neither --workers, --per-class, --engine caffe nor "
            "torchrun: use --device cuda"
        )
    require()
    validate_in_container(folders, data, limit, for_terminal())


def _end(error: DecantError, team: Processes) -> None:
    """Every process ends with the error's code; only the first says why.

    torchrun ends all as soon as one has failed: that must not change the others' codes.
    """
    if team.world > 1:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if team.rank > 0:
        raise SystemExit(error.code)
    raise error


def _all(folders: list[Path], asked: Asked, as_json: bool) -> None:
    found, errors = [], []
    for folder in folders:
        try:
            result = _validate(folder, asked)
        except DecantError as error:
            errors.append(error)
            continue
        found.append(result)
        if not as_json and asked.team.rank == 0:
            _print(result)
    if errors:
        rest = [line for error in errors for line in (error.message, *error.details)]
        raise type(errors[0])(errors[0].message, rest[1:])
    if as_json and asked.team.rank == 0:
        emit({"ok": True, "artifacts": [result.to_json() for result in found]})


def _folders(names: list[str], out: Path | None) -> list[Path]:
    from decant.loader.artifact.bundle import folder_of, place_of_artifacts

    root = out or place_of_artifacts()
    if names:
        return [root / name if out else folder_of(name) for name in names]
    found = sorted(
        path.parent for path in root.glob("*/manifest.json") if path.parent.name[0] != "."
    )
    if not found:
        raise ArtifactMissing(f"no artifacts in {root}: make convert")
    return found


def _validate(folder: Path, asked: Asked) -> Validation:
    from decant.loader.artifact import bundle
    from decant.loader.artifact.loading import load

    def check() -> tuple[Manifest, nn.Module, Validation, Work | None]:
        _check_device(asked)
        manifest = bundle.verify(folder)
        model, _ = load(folder.resolve())
        result = Validation(
            folder, _parity_again(folder, manifest, model, asked.device, asked.models)
        )
        return manifest, model, result, _work(folder, manifest, asked)

    manifest, model, result, work = asked.team.together(check)
    if work is not None:
        asked.team.agree(
            f"{folder.name}: the artifact or the pictures", _fingerprint(manifest, work)
        )
        _measure(result, manifest, model, work, asked)
    return result


def _check_device(asked: Asked) -> None:
    """Of torchrun's processes on one machine each has a GPU of its own."""
    from decant.commands.stage_two import check_device

    check_device(asked.device)
    if asked.device == "cuda" and asked.team.world > 1:
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


def _work(folder: Path, manifest: Manifest, asked: Asked) -> Work | None:
    """The pictures asked for, or those bundled with the model; None where there are none."""
    from decant.loader.artifact.pictures import recorded_recipe
    from decant.loader.pictures import dataset

    place = asked.data
    # an older manifest does not record what classes need: nobody asked for them here
    if place is None and manifest.net and manifest.outputs:
        place = bundled_pictures(manifest, asked.models)
    if place is None:
        if asked.caffe or asked.per_class or asked.limit is not None:
            asked.progress.note(
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
    pictures = dataset.find(place, _names(manifest))[: asked.limit]
    workers = (
        dataset.default_workers(len(pictures) // asked.team.world)
        if asked.workers is None
        else asked.workers
    )
    files = None
    if asked.caffe and asked.team.rank == 0:
        files = caffe_files(folder, manifest, asked.models, asked.progress)
    return Work(pictures, recipe, workers, files)


def _names(manifest: Manifest) -> tuple[str, ...]:
    return manifest.labels.names if manifest.labels else ()


def _fingerprint(manifest: Manifest, work: Work) -> str:
    """Of the weights and of which pictures there are: the same on every machine."""
    pictures = [(item.path.name, item.label) for item in work.pictures]
    return hashlib.sha256(json.dumps([manifest.files, pictures]).encode()).hexdigest()


def _measure(
    result: Validation, manifest: Manifest, model: nn.Module, work: Work, asked: Asked
) -> None:
    from decant.loader.pictures import dataset
    from decant.loader.pictures.evaluate import accuracy, against_published, measure

    team, total = asked.team, len(work.pictures)
    fixed = manifest.batch
    parts = dataset.plan(total, fixed or BATCH, team.rank, team.world)
    batches = dataset.batches(work.pictures, parts, work.recipe, work.workers)
    probabilities = ends_in(manifest) == "Softmax"
    begun = time.monotonic()
    table = team.together(
        lambda: measure(
            model, batches, parts, total, asked.device, asked.progress, probabilities, fixed
        )
    )
    result.accuracy = found = accuracy(team.add(table))
    speed = total / (time.monotonic() - begun)
    asked.progress.note(f"{total} pictures, {speed:.0f} pictures/s")
    result.lines = against_published(found, manifest.accuracy)
    if asked.per_class:
        result.classes = _by_class(found, _names(manifest))
    if asked.caffe:
        result.caffe_agrees = team.first(lambda: _caffe_agrees(found, manifest, work, asked))


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


def _caffe_agrees(found: Accuracy, manifest: Manifest, work: Work, asked: Asked) -> int:
    """On how many pictures real Caffe has the same best class."""
    from decant.loader.pictures import dataset

    assert work.files is not None
    parts = dataset.plan(len(work.pictures), BATCH)
    batches = dataset.batches(work.pictures, parts, work.recipe, work.workers)
    with asked.progress.task("real Caffe looks at the same pictures"):
        pictures = (pictures for pictures, _ in batches)
        answers = from_caffe(work.files, manifest, pictures, asked.progress)
    return int((answers.argmax(1) == found.predictions).sum())


def _print(result: Validation) -> None:
    print(f"{result.folder.name}: hashes match; parity {result.parity}")
    found = result.accuracy
    if found is not None:
        print(
            f"  {found.count} pictures: loss {found.loss:.4f}, "
            f"top-1 {found.top1:.2f} %, top-5 {found.top5:.2f} %"
        )
        if result.caffe_agrees is not None:
            print(f"  real Caffe has the same top-1 on {result.caffe_agrees} of {found.count}")
        if result.classes is not None:
            _print_classes(result.classes)
    for line in result.lines:
        print(f"  {line}")


def _print_classes(classes: list[dict[str, Any]]) -> None:
    rows = [
        [
            str(item["class"]),
            item["name"] or "",
            str(item["pictures"]),
            f"{item['top1']:.2f}",
            f"{item['top5']:.2f}",
        ]
        for item in classes
    ]
    tables.show("by class, in per cent", ("class", "name", "pictures", "top-1", "top-5"), rows)
