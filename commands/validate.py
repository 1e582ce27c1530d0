"""`validate`: artifacts once more, from the files: hashes, parity, accuracy."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from commands.run import emit
from loader.errors import ArtifactMissing, DecantError, ParityError, UsageError
from loader.progress import Progress, for_terminal

if TYPE_CHECKING:
    from torch import nn

    from loader.catalog import Catalog
    from loader.evaluate import Accuracy

BATCH = 32


@dataclass
class Validation:
    """What was found for one artifact."""

    folder: Path
    parity: str
    accuracy: Accuracy | None = None
    lines: list[str] = field(default_factory=list)
    caffe_agrees: int | None = None

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
    catalog: Path | None,
    as_json: bool,
) -> None:
    """Every artifact named, or all; each is looked at before the first failure is raised."""
    from loader.catalog import load_catalog

    progress = for_terminal()
    models = load_catalog(catalog)
    folders = _folders(names, out)
    if gpu:
        from engines.gpu import require
        from engines.torch_container import validate_in_container

        require()
        validate_in_container(folders, data, limit, progress)
        return
    found, errors = [], []
    for folder in folders:
        try:
            result = _validate(folder, data, limit, engine, device, models, progress)
        except DecantError as error:
            errors.append(error)
            continue
        found.append(result)
        if not as_json:
            _print(result)
    if errors:
        rest = [line for error in errors for line in (error.message, *error.details)]
        raise type(errors[0])(errors[0].message, rest[1:])
    if as_json:
        emit({"ok": True, "artifacts": [result.to_json() for result in found]})


def _folders(names: list[str], out: Path | None) -> list[Path]:
    from loader.loading import folder_of

    root = out or Path(os.environ.get("DECANT_ARTIFACTS", "artifacts"))
    if names:
        return [root / name if out else folder_of(name) for name in names]
    found = sorted(
        path.parent for path in root.glob("*/manifest.json") if path.parent.name[0] != "."
    )
    if not found:
        raise ArtifactMissing(f"no artifacts in {root}: make convert")
    return found


def _validate(
    folder: Path,
    data: Path | None,
    limit: int | None,
    engine: str,
    device: str,
    models: Catalog,
    progress: Progress,
) -> Validation:
    from commands.stage_two import check_device
    from loader import artifact
    from loader.loading import load

    check_device(device)
    manifest = artifact.verify(folder)
    model, _ = load(folder.resolve())
    result = Validation(folder, _parity_again(folder, manifest, model, device, models))
    pictures = data or _bundled_pictures(manifest, models)
    if pictures is not None:
        _measure(result, manifest, model, pictures, limit, engine, device, models, progress)
    return result


def _bundled_pictures(manifest: dict[str, Any], models: Catalog) -> Path | None:
    entry = models.models.get(manifest["model"])
    return models.local(entry.validation) if entry and entry.validation else None


def _parity_again(
    folder: Path, manifest: dict[str, Any], model: nn.Module, device: str, models: Catalog
) -> str:
    """From the dump that build.json names, or from the catalog's reference dump."""
    from commands.stage_two import read_dump
    from loader import parity
    from loader.loading import caffe_map

    build = json.loads((folder / "build.json").read_text())
    entry = models.models.get(manifest["model"])
    places = [Path(build["parity_dump"])] if build.get("parity_dump") else []
    if entry and entry.reference_dump:
        places.append(models.local(entry.reference_dump))
    for place in places:
        if not place.exists():
            continue
        dump = read_dump(place)
        if (
            dump.has_activations
            and dump.caffemodel_sha256 == manifest["caffe"]["caffemodel_sha256"]
        ):
            bounds = {k: (t.bound, t.reason) for k, t in entry.tolerance.items()} if entry else {}
            found = parity.measure(dump, model, caffe_map(manifest), device, bounds)
            first = found.first_failure
            if first is not None:
                raise ParityError(
                    f"{folder.name}: layer {first.layer!r} differs from Caffe: {first.reason}; "
                    "convert it again"
                )
            return "passed"
    return "not measured: no dump with activations is at hand (make convert ENGINE=caffe)"


def _measure(
    result: Validation,
    manifest: dict[str, Any],
    model: nn.Module,
    folder: Path,
    limit: int | None,
    engine: str,
    device: str,
    models: Catalog,
    progress: Progress,
) -> None:
    from loader import dataset
    from loader.evaluate import against_published, evaluate
    from loader.recipe import from_manifest

    if manifest["preprocessing"] is None:
        raise UsageError(
            f"{result.folder.name}: how its pictures are prepared is not known (no catalog entry says "
            "it): add one with `preprocessing`, or validate without --data"
        )
    if len(manifest["outputs"]) != 1:
        blobs = ", ".join(output["blob"] for output in manifest["outputs"])
        raise UsageError(f"{result.folder.name}: no classifier: it has outputs {blobs}")
    probabilities = manifest["outputs"][0]["type"] == "Softmax"
    names = tuple((manifest["labels"] or {}).get("names", ()))
    pictures = dataset.find(folder, names)[:limit]
    recipe = from_manifest(manifest, result.folder)
    assert recipe is not None
    found = evaluate(
        model,
        dataset.batches(pictures, BATCH, recipe),
        len(pictures),
        device,
        progress,
        probabilities,
    )
    result.accuracy = found
    result.lines = against_published(found, manifest["accuracy"])
    if engine == "caffe":
        asked = _ask_caffe(manifest, models, dataset.batches(pictures, BATCH, recipe), progress)
        result.caffe_agrees = int((asked == found.predictions).sum())


def _ask_caffe(
    manifest: dict[str, Any],
    models: Catalog,
    batches: Any,
    progress: Progress,
) -> np.ndarray:
    """Real Caffe's best class for each picture, from the files the artifact was made of."""

    from engines.caffe import forward
    from loader.fetch import resolve
    from loader.graph import outputs, read_net

    entry = models.model(manifest["model"])
    assert entry.input is not None
    files = resolve(entry, models, progress)
    output = outputs(read_net(files.prototxt))[-1]
    inputs = ({entry.input.blob: pictures} for pictures, _ in batches)
    answers = forward(files.prototxt, files.caffemodel, inputs, output, progress, batch=BATCH)
    return np.concatenate([answer.reshape(len(answer), -1).argmax(1) for answer in answers])


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
    for line in result.lines:
        print(f"  {line}")
