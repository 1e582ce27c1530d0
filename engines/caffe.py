"""Engine `caffe`: real Caffe in the container, checked on the host before and after."""

from __future__ import annotations

import io
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from decant.dumper import dumpfile
from decant.engines.crosscheck import crosscheck
from decant.engines.docker import connection
from decant.engines.docker.connection import connect
from decant.engines.docker.container import Outcome, Run, judge, run
from decant.engines.docker.image import ensure
from decant.engines.engine import Engine
from decant.engines.job import Job, StageOne
from decant.engines.stand_in import StandIn, blobs_for, stand_in, told_back
from decant.engines.table import Name
from decant.engines.weights import Weights
from decant.loader.definition.schema import unknown_to_caffe
from decant.loader.definition.stock_bytes import stock_parses
from decant.loader.errors import BadInput, EngineError, IntegrityError, Unsupported
from decant.loader.plan.rules import known_python
from decant.loader.progress import Progress
from decant.loader.weights.write_caffemodel import write

if TYPE_CHECKING:
    import docker

    from decant.loader.definition.graph import Layer, Net
    from decant.loader.layers.rule import Shape

COMMAND = ("python3", "-I", "-B", "-m", "dumper", "/io")
# io.cpp: SetTotalBytesLimit(kProtoReadBytesLimit), INT_MAX: Caffe reads no larger caffemodel
CAFFE_LIMIT = 1 << 31
GIBIBYTE = 1 << 30
# pycaffe logs to stderr; level 2 keeps the line of a fatal error
QUIET = {"GLOG_minloglevel": "2", "GLOG_logtostderr": "1"}


def dump(job: Job, out: Path, progress: Progress) -> StageOne:
    """Dump through real Caffe to `out`, which appears whole or not at all.

    Raises BadInput, Unsupported, IntegrityError or EngineError, each with one clear line.
    """
    _refuse_size(job.caffemodel, job.caffemodel)
    # the host's own look at the weights comes before Caffe's: Caffe accepts nearly anything
    job = replace(job, weights=job.read_weights())
    notes = list(job.weights.notes) if job.weights else []
    client = connect()
    try:
        image_id = ensure(client, "caffe", progress)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".decant-") as name:
            folder = Path(name)
            given = _given(job, folder)
            description = {
                "task": "dump",
                "caffemodel_sha256": job.digest(),
                "reading": job.net.reading.to_text() if job.net is not None else "",
                "notes": notes,
            }
            with progress.task("Caffe runs the net"):
                result = _run(client, image_id, job, given, description, folder, "dump.h5")
            file = folder / "dump.h5"
            read = _read_dump(file, result)
            if job.weights is not None:
                read = _told_back(read, given, job.weights, file)
                left_out = job.net.left_out if job.net else ()
                crosscheck(read, job.weights.model, job.ignored_layers, left_out, job.weights.made)
            _convert(read, file, out)
    finally:
        client.close()
    return StageOne(
        dump=out,
        content=read,
        engine="caffe",
        layers=result["layers"],
        image_id=image_id,
        caffe_version=result["caffe_version"],
        seconds=result["seconds"],
        peak_memory=result["peak_memory"],
        notes=[*notes, *result["notes"]],
    )


def _convert(read: dumpfile.Dump, file: Path, out: Path) -> None:
    """The container writes HDF5; NPZ is made here, where its bytes are known to repeat."""
    if out.suffix == ".npz":
        npz = file.with_suffix(".npz")
        dumpfile.write(npz, read, read.layers, read.probe)
        file = npz
    os.replace(file, out)


def forward(
    prototxt: Path,
    weights: Path | None,
    inputs: Mapping[str, np.ndarray],
    output: str,
    progress: Progress,
    batch: int = 16,
    net: Net | None = None,
) -> np.ndarray:
    """Blob `output` of real Caffe for `inputs` (arrays by blob, of any length), `batch` at a time.

    `net`: the definition in its deploy form, where it is a training one.
    """
    job = Job(prototxt, weights, {}, net=net)
    description = {"task": "forward", "output": output, "batch": batch}
    return time_forward(job, inputs, description, progress)[0]


def time_forward(
    job: Job, arrays: Mapping[str, np.ndarray], description: dict[str, Any], progress: Progress
) -> tuple[np.ndarray, dict[str, Any]]:
    """One container run of the task "forward": (the output, result.json with CPU seconds)."""
    client = connect()
    try:
        image_id = ensure(client, "caffe", progress)
        with tempfile.TemporaryDirectory() as name:
            job = replace(job, probe=arrays, weights=job.read_weights())
            given = _given(job, Path(name))
            result = _run(client, image_id, job, given, description, Path(name), "output.npy")
            return np.load(Path(name) / "output.npy", allow_pickle=False), result
    finally:
        client.close()


@dataclass(frozen=True)
class _Caffe:
    """Stock Caffe 1.0 in its container, for the table of engines."""

    name: Name = "caffe"
    runs: bool = True
    lacks: str = ""
    refusal: str = "stock Caffe 1.0 cannot run this net"

    def available(self) -> str:
        connection.connect().close()
        return f"a Docker engine answers at {connection.endpoint()}"

    def takes(
        self,
        net: Net,
        blobs: Mapping[str, Sequence[Shape]] | None = None,
        plugged: Sequence[Layer] = (),
    ) -> list[str]:
        """Of the net that it would be given, which may have a stand-in for a fork's layer."""
        stood = stand_in(net, blobs or {})
        return [*foreign_to_caffe(stood.net, plugged), *stood.left]

    dump = staticmethod(dump)
    forward = staticmethod(forward)


ENGINE: Engine = _Caffe()


def foreign_to_caffe(net: Net, plugged: Sequence[Layer] = ()) -> list[str]:
    """What keeps stock Caffe from running the net, a line each."""
    programs = [
        f"line {layer.line}: layer {layer.name!r}: type Python, whose program the image lacks"
        for layer in net.layers
        if known_python(layer) and layer not in plugged
    ]
    given = [
        f"line {layer.line}: layer {layer.name!r}: type {layer.type} is given by a plugin"
        for layer in plugged
    ]
    return [*unknown_to_caffe(net), *programs, *given]


def run_script(script: Path, folder: Path, produces: str) -> None:
    """Run a Python script in the Caffe image on copies of `folder`'s files; fetch what it makes.

    The script gets /io/out as its argument, with the files copied there. For the maker of
    lenet_digits; models of users are never run like this.
    """
    from decant.loader.progress import SILENT

    client = connect()
    try:
        files = {file.name: file for file in folder.iterdir()}
        work = "import shutil, runpy, sys; shutil.copytree('/io/in', '/io/out/w'); "
        start = "sys.argv[1:] = ['/io/out/w']; runpy.run_path('/io/in/{}', run_name='__main__'); "
        back = "shutil.copy('/io/out/w/{}', '/io/out/{}')"
        code = work + start.format(script.name) + back.format(produces, produces)
        job = Run(
            image_id=ensure(client, "caffe", SILENT),
            command=("python3", "-I", "-B", "-c", code),
            files={**files, script.name: script},
            fetch={produces: folder / produces},
            memory=4 * GIBIBYTE,
            environment=QUIET,
        )
        ended = run(client, job)
    finally:
        client.close()
    print(ended.log)
    if produces not in ended.fetched:
        raise EngineError(judge(ended, job, script.name))


@dataclass(frozen=True)
class _Given:
    """What Caffe gets in place of the job's own files: `weights`, and the text of `stood`."""

    weights: Path | None
    stood: StandIn | None = None

    @property
    def text(self) -> str:
        return self.stood.net.run_text if self.stood else ""


def _given(job: Job, folder: Path) -> _Given:
    """A copy of the weights in `folder`, where stock Caffe does not read them as they are."""
    weights, stood, path = job.read_weights(), job.for_caffe(), job.caffemodel
    if weights is not None and path is not None and _needs_copy(weights, stood, path):
        path = folder / "float32.caffemodel"
        layers = blobs_for(stood, weights) if stood else weights.model.layers
        write(path, weights.model.name, layers)
        _refuse_size(path, job.caffemodel, " as float32")
    return _Given(path, stood)


def _needs_copy(weights: Weights, stood: StandIn | None, path: Path) -> bool:
    """Whether the layers get other blobs than Caffe would read in the file, if it reads it at all."""
    if weights.raw or weights.rewritten or (stood and stood.added):
        return True
    return weights.model.era != "hdf5" and path.stat().st_size > 0 and not stock_parses(path)


def _refuse_size(path: Path | None, told: Path | None, how: str = "") -> None:
    """Protobuf stops at 2 GiB; `told` is the user's own file."""
    if path is not None and path.stat().st_size >= CAFFE_LIMIT:
        raise BadInput(f"{told}: 2 GiB or more{how}, which Caffe cannot read; use --engine reader")


def _told_back(read: dumpfile.Dump, given: _Given, weights: Weights, file: Path) -> dumpfile.Dump:
    """The dump in the net's own layers, also in `file`."""
    if given.stood is None or not given.stood.added:
        return read
    found = told_back(read, given.stood, weights)
    beside = file.with_name("told.h5")
    dumpfile.write(beside, found, found.layers, found.probe)
    os.replace(beside, file)
    return found


def _run(
    client: docker.DockerClient,
    image_id: str,
    job: Job,
    given: _Given,
    description: dict[str, Any],
    folder: Path,
    wanted: str,
) -> dict[str, Any]:
    """One run of the dumper; `wanted` and the closing record land in `folder`."""
    files: dict[str, Path | bytes] = {"net.prototxt": job.prototxt}
    if given.text:
        files["deploy.prototxt"] = given.text.encode()
    if given.weights is not None:
        files["net.caffemodel"] = given.weights
    if job.probe:
        files["probe.npz"] = _npz(job.probe)
    description = {
        **description,
        "prototxt": "net.prototxt",
        "deploy": "deploy.prototxt" if given.text else None,
        "caffemodel": "net.caffemodel" if given.weights else None,
        "probe": "probe.npz" if job.probe else None,
        "shapes": {name: list(shape) for name, shape in job.shapes.items()},
        "filled": list(job.weights.made) if job.weights else [],
    }
    files["job.json"] = json.dumps(description).encode()
    todo = Run(
        image_id=image_id,
        command=COMMAND,
        files=files,
        fetch={"result.json": folder / "result.json", wanted: folder / wanted},
        memory=_memory(client, job, given.weights),
        environment=QUIET,
    )
    ended = run(client, todo)
    return _closing_record(ended, todo, folder / "result.json", job)


def _closing_record(ended: Outcome, todo: Run, file: Path, job: Job) -> dict[str, Any]:
    """result.json if it says ok; exit code 0 alone proves nothing."""
    if not file.exists():
        reason = judge(ended, todo, "Caffe")
        if ended.status in (134, 139) and not ended.out_of_memory:
            raise BadInput(_abort(job, reason))
        raise EngineError(reason)
    result = _record(file)
    if result["ok"]:
        return result
    if result["kind"] == "bug":
        raise EngineError(f"the dumper failed: {result['error']}", result["traceback"].splitlines())
    error = Unsupported if result["kind"] == "unsupported" else BadInput
    about = job.prototxt if result["kind"] == "unsupported" else job.caffemodel or job.prototxt
    first = f": {result['details'][0]}" if result["details"] else ""
    raise error(f"{about}: {result['error']}{first}", result["details"])


def _abort(job: Job, reason: str) -> str:
    """Caffe's own line is behind it; that the files are of two nets only some of them say.

    net.cpp, CopyTrainedLayersFrom: these two come while the weights are given to the layers.
    """
    copying = ("Cannot copy param", "Incompatible number of blobs")
    if job.caffemodel is not None and any(words in reason for words in copying):
        return f"{job.caffemodel}: {reason}; is {job.prototxt} its net?"
    other = "; --probe FILE.npz gives Caffe another input" if job.probe else ""
    return f"{job.prototxt}: {reason}{other}"


RECORD: dict[bool, dict[str, type]] = {
    True: {"file": str, "size": int, "sha256": str, "layers": int, "caffe_version": str, "notes": list,
           "seconds": dict, "peak_memory": int},
    False: {"kind": str, "error": str, "details": list, "traceback": str},
}  # fmt: skip


def _record(file: Path) -> dict[str, Any]:
    """result.json as the protocol says; the container ran somebody's net and may write anything."""
    try:
        result = json.loads(file.read_text())
        whole = isinstance(result, dict) and all(
            isinstance(result.get(name), kind) for name, kind in RECORD[result["ok"]].items()
        )
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise EngineError("the container's closing record is not ours; the net may be hostile")
    return dict(result)


def _read_dump(file: Path, result: dict[str, Any]) -> dumpfile.Dump:
    import hashlib

    if not file.exists():
        raise EngineError("Caffe ended without a dump; try again")
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != result["sha256"] or file.stat().st_size != result["size"]:
        raise IntegrityError("the dump changed on its way out of the container; try again")
    try:
        read = dumpfile.read(file)
    except dumpfile.DumpError as error:
        raise EngineError(f"the container's dump is refused: {error}") from None
    if len(read.layers) != result["layers"]:
        raise IntegrityError("the dump lacks layers of the net; try again")
    return read


def _npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """By hand: `np.savez` takes names as parameters, and one of its own is called `file`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array, np.float32), allow_pickle=False)
    return buffer.getvalue()


def _memory(client: docker.DockerClient, job: Job, weights: Path | None) -> int:
    """Three times the file for the weights; a column buffer for each convolution comes on top.

    That buffer is what a net of large pictures needs most of (20 convolutions on 256 x 256 pictures:
    4 GiB), and its size is not known before Caffe has built the net: so the bound is generous, and
    never more than three quarters of what the engine's machine has.
    """
    size = weights.stat().st_size if weights else 0
    arrays = sum(array.nbytes for array in job.probe.values())
    wanted = 16 * GIBIBYTE + 5 * size + 16 * arrays
    return int(min(wanted, max(client.info()["MemTotal"] * 3 // 4, GIBIBYTE)))
