"""Stage 1: files in, dump in the cache out, by the engine that was asked for or found."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from commands.inputs import Inputs
from loader.errors import UsageError
from loader.progress import Progress

if TYPE_CHECKING:
    import numpy as np

    from engines.job import Job, StageOne
    from loader.graph import Net
    from loader.plugins import Plugins

Shape = tuple[int, ...]


def parse_shapes(words: list[str]) -> dict[str, Shape]:
    """`data=1,3,224,224` -> {"data": (1, 3, 224, 224)}."""
    shapes = {}
    for word in words:
        blob, _, numbers = word.partition("=")
        try:
            shape = tuple(int(number) for number in numbers.split(","))
        except ValueError:
            shape = ()
        if not blob or not shape or min(shape) < 1:
            raise UsageError(f"--input {word!r}: expected BLOB=1,3,224,224")
        shapes[blob] = shape
    return shapes


def make_job(inputs: Inputs, net: Net, probe: Mapping[str, np.ndarray], ignore: list[str]) -> Job:
    """The job for an engine: files, probe, and which layers of the file may stay unused."""
    from engines.job import Job

    ignored = inputs.model.ignored_layers if inputs.model else ()
    return Job(
        prototxt=inputs.prototxt,
        caffemodel=inputs.caffemodel,
        probe=probe,
        ignored_layers=(*ignored, *ignore),
        digest=inputs.caffemodel_digest,
        net=net,
    )


def run(
    inputs: Inputs,
    engine: str,
    progress: Progress,
    *,
    parity: bool,
    probe: Path | None = None,
    shapes: Mapping[str, Shape] | None = None,
    ignore: list[str] | None = None,
    out: Path | None = None,
    plugins: Plugins | None = None,
    check: Callable[[Job, Net, Mapping[str, Shape]], None] | None = None,
) -> StageOne:
    """Dump `inputs` to `out`, or into the cache under the hash of what went in.

    `check` sees the job before an engine runs, and may refuse it. Layers of `plugins` cannot run in
    Caffe: the reader takes such a net.
    """
    from engines.choose import choose
    from loader.graph import refuse_side_effects
    from loader.probe import completed, make_probe

    net = read_deploy(inputs, shapes or {})
    foreign = [layer for layer in net.layers if plugins and plugins.handles(layer)]
    for note in net.notes:
        progress.note(f"{inputs.prototxt.name}: {note}")
    choice = choose(engine, net, foreign)
    progress.note(f"engine {choice.name}: {choice.reason}")
    # the reader runs nothing: it needs no probe, but one that was given says the shapes
    known = make_probe(net, shapes, probe) if probe else {}
    given = {**(shapes or {}), **{blob: array.shape for blob, array in known.items()}}
    if check or net.run_text:
        # once, for all that follows: a batch may have to be tried out
        given = {blob: shape for blob, shape in completed(net, given).items() if shape}
    arrays = known or make_probe(net, given) if parity and choice.name == "caffe" else {}
    job = make_job(inputs, net, arrays, ignore or [])
    if check:
        check(job, net, given)
    if not foreign:
        refuse_side_effects(net)
    dump = _engine(choice.name)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
    result = (
        dump(job, out, progress) if out else _into_cache(dump, job, inputs, choice.name, progress)
    )
    result.inputs = given
    for note in result.notes:
        if note not in net.notes:
            progress.note(f"note: {note}")
    return result


def read_deploy(inputs: Inputs, shapes: Mapping[str, Shape]) -> Net:
    """The definition in its deploy form."""
    from loader.deploy import deploy, is_training
    from loader.graph import read_net

    net = read_net(inputs.prototxt)
    if not is_training(net):
        return net
    return deploy(net, shapes, _weight_shapes(inputs.caffemodel))


def _weight_shapes(path: Path | None) -> dict[str, Shape]:
    """The first blob's shape by layer: a convolution's says how many channels its input has."""
    from dumper import caffemodel
    from loader.errors import BadInput

    if path is None:
        return {}
    try:
        layers = caffemodel.read(path).layers
    except caffemodel.CaffemodelError as error:
        raise BadInput(str(error)) from None
    return {layer.name: layer.blobs[0].shape for layer in layers if layer.blobs and layer.blobs[0]}


def _into_cache(
    dump: Callable[[Job, Path, Progress], StageOne],
    job: Job,
    inputs: Inputs,
    engine: str,
    progress: Progress,
) -> StageOne:
    """The dump's place follows from the caffemodel's hash, which is ready when the dump is."""
    from loader.cache import cache_folder

    folder = cache_folder() / "dumps"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="new-") as work:
        result = dump(job, Path(work) / "dump.h5", progress)
        target = _cached(inputs, engine, job.probe)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(result.dump, target)
    result.dump = target
    return result


def _engine(name: str) -> Callable[[Job, Path, Progress], StageOne]:
    if name == "caffe":
        from engines.caffe import dump

        return dump
    from engines.reader import dump as read

    return read


def _cached(inputs: Inputs, engine: str, probe: Mapping[str, np.ndarray]) -> Path:
    """Where the dump of these inputs stays: one folder for each hash of all that decides it."""
    from dumper.dumpfile import VERSION
    from loader.cache import cache_folder

    decides = [
        VERSION,
        engine,
        inputs.prototxt_sha256,
        inputs.caffemodel_digest(),
        {name: _array_hash(array) for name, array in sorted(probe.items())},
    ]
    key = hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:32]
    return cache_folder() / "dumps" / key / "dump.h5"


def _array_hash(array: np.ndarray) -> list[object]:
    return [list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()]
