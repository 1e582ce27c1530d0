"""Stage 1: files in, dump out, by the engine that was asked for or found."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from decant.loader.definition.reading import STOCK
from decant.loader.errors import UsageError
from decant.loader.progress import Progress
from decant.stages.definition import Definition
from decant.stages.inputs import Inputs, Source, resolve
from decant.stages.options import DEFAULTS, Options, Shape

if TYPE_CHECKING:
    import numpy as np

    from decant.engines.engine import Engine
    from decant.engines.job import Job, StageOne
    from decant.loader.artifact.conversion import Checked
    from decant.loader.definition.graph import Net
    from decant.loader.plan.plugins import Plugins


def dump(
    source: str | Source, out: str | os.PathLike[str], options: Options = DEFAULTS
) -> StageOne:
    """Stage 1 alone: the dump of the net in the file `out`; the name's end, .npz, chooses the form.

    Imports no torch. Raises UsageError for a place where no file can be.
    """
    place = Path(out)
    if place.is_dir() or not place.parent.is_dir():
        raise UsageError(f"--out {place}: name a file in a folder that exists")
    return run(Definition(resolve(source, options)), options, out=place)


def run(
    definition: Definition,
    options: Options,
    *,
    out: Path | None = None,
    check: Callable[[Job, Net, Mapping[str, Shape]], Checked] | None = None,
) -> StageOne:
    """Dump the net to `out`, or into the cache under the hash of what went in.

    `check` sees the job before an engine runs, and may refuse it. Layers of a user's own cannot run in
    Caffe: the reader takes such a net.
    """
    from decant.engines.choose import choose
    from decant.loader.definition.graph import refuse_side_effects
    from decant.loader.plan.rules import known_python

    inputs, plugins, progress = definition.inputs, definition.plugins, options.progress
    net = definition.deployed(options.shapes)
    foreign = [layer for layer in net.layers if plugins and plugins.handles(layer)]
    for note in net.notes:
        progress.note(f"{inputs.prototxt.name}: {note}")
    known, arrays = _input(definition, net, options)
    job = replace(definition.job(net, known, options.ignored_layers), probe=arrays)
    checked = check(job, net, known) if check else None
    choice = choose(options.engine, net, job.blob_shapes(), foreign)
    engine = choice.engine
    progress.note(f"engine {engine.name}: {choice.reason}")
    if not foreign:
        refuse_side_effects(net, {layer.name for layer in net.layers if known_python(layer)})
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)

    def once(job: Job) -> StageOne:
        if out:
            return engine.dump(job, out, progress)
        return _into_cache(engine, job, inputs, progress)

    if options.parity and engine.runs:
        from decant.stages.probing import probed

        result = probed(job, inputs.model, known, options.probe, once, progress)
    else:
        # where nothing runs, no probe is needed; one that was given says the shapes
        result = once(replace(job, probe={}))
        # the blobs that were checked are those of the dump
        result.checked = checked
    result.inputs = known
    for note in result.notes:
        if note not in net.notes:
            progress.note(f"note: {note}")
    return result


def refuse_unconvertible(
    job: Job,
    net: Net,
    shapes: Mapping[str, Shape],
    plugins: Plugins | None = None,
    finite: bool = False,
) -> Checked:
    """Raise BadInput or Unsupported with all that no engine could make right; `finite`: NaN, too.

    Layers that cannot be converted are named together with weights that are missing, and decide the
    exit code: no other file would help there.
    """
    from decant.engines.reader import parameters
    from decant.loader.artifact.conversion import check, unsupported_layers
    from decant.loader.errors import BadInput
    from decant.loader.plan.rules import unsupported

    try:
        found = parameters(net, job, finite)
    except BadInput as error:
        wrong = unsupported_layers(net, job.blob_shapes(), shapes, plugins)
        raise (unsupported(net.file, wrong, error.details) if wrong else error) from None
    return check(net, found, shapes, plugins)


def _input(
    definition: Definition, net: Net, options: Options
) -> tuple[dict[str, Shape], dict[str, np.ndarray]]:
    """(the shapes of the inputs, as far as they are known; the probe, if a file has it)."""
    from decant.loader.plan.probe_file import read

    if options.probe is None:
        return definition.input_shapes(net, options.shapes), {}
    blobs = definition.weight_shapes(net)
    given = read(net, options.probe, options.shapes, definition.rules, blobs)
    return {blob: array.shape for blob, array in given.items()}, given


def _into_cache(engine: Engine, job: Job, inputs: Inputs, progress: Progress) -> StageOne:
    """The dump's place follows from the caffemodel's hash, which is ready when the dump is."""
    from decant.loader.catalog.cache import cache_folder

    folder = cache_folder() / "dumps"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="new-") as work:
        result = engine.dump(job, Path(work) / "dump.h5", progress)
        target = _cached(inputs, engine.name, job.probe, job.shapes)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(result.dump, target)
    result.dump = target
    return result


def _cached(
    inputs: Inputs,
    engine: str,
    probe: Mapping[str, np.ndarray],
    shapes: Mapping[str, Shape] | None = None,
) -> Path:
    """Where the dump of these inputs stays: one folder for each hash of all that decides it."""
    from decant.dumper.dumpfile import VERSION
    from decant.loader.catalog.cache import cache_folder

    decides = [
        VERSION,
        engine,
        inputs.prototxt_sha256,
        inputs.caffemodel_digest(),
        {name: _array_hash(array) for name, array in sorted(probe.items())},
        # what fillers make may depend on them
        sorted((name, list(shape)) for name, shape in (shapes or {}).items()),
        *([inputs.reading.to_json()] if inputs.reading != STOCK else []),
    ]
    key = hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:32]
    return cache_folder() / "dumps" / key / "dump.h5"


def _array_hash(array: np.ndarray) -> list[object]:
    return [list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()]
