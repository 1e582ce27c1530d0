"""Both stages, from a net's two files to its artifact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from decant.loader.errors import IntegrityError, UsageError
from decant.stages.definition import Definition
from decant.stages.dump import refuse_unconvertible, run
from decant.stages.inputs import BUNDLED, Inputs, Source, resolve
from decant.stages.load import Artifact, Compared, assemble, check_device
from decant.stages.options import DEFAULTS, Options, Shape

if TYPE_CHECKING:
    from pathlib import Path

    from decant.engines.job import Job, StageOne
    from decant.loader.artifact.conversion import Checked
    from decant.loader.catalog.models import Catalog
    from decant.loader.definition.graph import Net
    from decant.loader.progress import Progress


def convert(source: str | Source = BUNDLED, options: Options = DEFAULTS) -> Artifact:
    """The artifact of a net: a model of the catalog by its name, or any net by its `Source`.

    Raises, before anything is written, BadInput, Unsupported, MappingError or ParityError with all
    that is wrong, or whatever else of `loader.errors` stands in the way; an artifact that was there
    stays as it was.
    """
    from decant.loader.artifact.bundle import refuse_place
    from decant.loader.catalog.models import load_catalog

    plugins = options.own_layers
    if options.gpu and plugins:
        raise UsageError("--gpu runs stage 2 in a container, which lacks your plugin; use --device")
    inputs = resolve(source, options)
    # what can be known to fail is not found out after Caffe has run
    refuse_place(options.folder(inputs.name))
    if not options.gpu:
        check_device(options.device)
    # a catalog that cannot be read is an error before anything is written, not after
    models = load_catalog(options.catalog) if options.report else None
    if options.gpu:
        from decant.engines.gpu import require

        require()
    definition = Definition(inputs, plugins)
    first = run(definition, options, check=None if _of_zoo(inputs) else _checker(options))
    build = {
        "stage_one": _record(first),
        "prototxt": str(inputs.prototxt.resolve()),
        "caffemodel": str(inputs.caffemodel.resolve()) if inputs.caffemodel else None,
    }
    settled = replace(options, shapes=first.inputs)
    if options.gpu:
        made, compared = _in_container(first, definition, settled, build), None
    else:
        made, compared = assemble(
            first.dump,
            first.content,
            inputs.model,
            inputs.name,
            settled,
            reference=inputs.reference,
            build=build,
            beside=inputs.prototxt.parent,
            written=definition.written,
            checked=first.checked,
        )
    _draw(made.folder, models, options.progress, compared)
    return made


def _of_zoo(inputs: Inputs) -> bool:
    return inputs.model is not None and inputs.model.module != "generated"


def _checker(options: Options) -> Callable[[Job, Net, Mapping[str, Shape]], Checked]:
    """Refuse what cannot be converted before an engine has run for it."""

    def check(job: Job, net: Net, shapes: Mapping[str, Shape]) -> Checked:
        return refuse_unconvertible(job, net, shapes, options.own_layers)

    return check


def _record(first: StageOne) -> dict[str, Any]:
    """For build.json."""
    return {
        "image_id": first.image_id,
        "seconds": first.seconds,
        "peak_memory": first.peak_memory,
        "notes": first.notes,
    }


def _in_container(
    first: StageOne, definition: Definition, options: Options, build: Mapping[str, Any]
) -> Artifact:
    """Stage 2 where the GPU is; the same account of it, from the files that come back."""
    from decant.engines.torch_container import load_in_container
    from decant.loader.artifact import bundle
    from decant.loader.pictures.recipe import mean_file_of

    inputs = definition.inputs
    written = load_in_container(
        first.dump,
        inputs.model.name if inputs.model else None,
        inputs.name,
        options.folder(inputs.name).parent,
        options.parity,
        options.catalog,
        options.progress,
        build,
        shapes=options.shapes,
        mean_file=mean_file_of(definition.written, inputs.prototxt.parent),
    )
    folder = options.folder(inputs.name)
    manifest = bundle.read_manifest(folder)
    record, parity = bundle.read_build(folder), bundle.read_parity(folder)
    if record is None or parity is None:
        raise IntegrityError(
            f"{folder}: {' or '.join(bundle.VOLATILE)} is missing; convert it again"
        )
    seconds = {**record.seconds, "write": written}
    return Artifact(folder, parity.parity(), first.engine, len(manifest.tensors), seconds)


def _draw(
    folder: Path, models: Catalog | None, progress: Progress, compared: Compared | None
) -> None:
    """report.html; `models` None: it is not wanted."""
    if models is not None:
        from decant.stages.report import write

        write(str(folder.resolve()), None, None, models, progress, compared=compared)
