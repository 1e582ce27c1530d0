"""Engine `caffe`: real Caffe in the container, checked on the host before and after."""

from __future__ import annotations

import io
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dumper import caffemodel, dumpfile
from engines.connection import connect
from engines.container import Ended, Run, judge, run
from engines.crosscheck import crosscheck
from engines.image import ensure
from engines.job import Job, StageOne
from loader.errors import BadInput, EngineError, IntegrityError, Unsupported
from loader.progress import Progress

if TYPE_CHECKING:
    import docker

    from loader.graph import Net

COMMAND = ("python3", "-I", "-B", "-m", "dumper", "/io")
CAFFE_LIMIT = 1 << 31
GIBIBYTE = 1 << 30
# pycaffe logs to stderr; level 2 keeps the line of a fatal error
QUIET = {"GLOG_minloglevel": "2", "GLOG_logtostderr": "1"}


def dump(job: Job, out: Path, progress: Progress) -> StageOne:
    """Dump through real Caffe to `out`, which appears whole or not at all.

    Raises BadInput, Unsupported, IntegrityError or EngineError, each with one clear line.
    """
    model = _read_first(job.caffemodel)
    client = connect()
    try:
        image_id = ensure(client, "caffe", progress)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".decant-") as name:
            folder = Path(name)
            reading = job.net.reading.to_text() if job.net is not None else ""
            description = {
                "task": "dump",
                "caffemodel_sha256": job.digest(),
                "reading": reading,
            }
            with progress.task("Caffe runs the net"):
                result = _run(client, image_id, job, description, folder, "dump.h5")
            read = _read_dump(folder / "dump.h5", result)
            if model is not None:
                crosscheck(read, model, job.ignored_layers, job.net.left_out if job.net else ())
            _convert(read, folder / "dump.h5", out)
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
        notes=result["notes"],
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
            job = replace(job, probe=arrays)
            result = _run(client, image_id, job, description, Path(name), "output.npy")
            return np.load(Path(name) / "output.npy", allow_pickle=False), result
    finally:
        client.close()


def run_script(script: Path, folder: Path, produces: str) -> None:
    """Run a Python script in the Caffe image on copies of `folder`'s files; fetch what it makes.

    The script gets /io/out as its argument, with the files copied there. For the maker of
    lenet_digits; models of users are never run like this.
    """
    from loader.progress import SILENT

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


def _read_first(path: Path | None) -> caffemodel.Caffemodel | None:
    """The host's own look at the weights comes before Caffe's: Caffe accepts nearly anything."""
    if path is None:
        return None
    if path.stat().st_size >= CAFFE_LIMIT:
        raise BadInput(f"{path}: 2 GiB or more, which Caffe cannot read; use --engine reader")
    try:
        model = caffemodel.read(path)
    except caffemodel.CaffemodelError as error:
        raise BadInput(str(error)) from None
    if any(blob and blob.kind == "half" for layer in model.layers for blob in layer.blobs):
        raise BadInput(
            f"{path}: half-precision blobs, which stock Caffe rejects; use --engine reader"
        )
    return model


def _run(
    client: docker.DockerClient,
    image_id: str,
    job: Job,
    description: dict[str, Any],
    folder: Path,
    wanted: str,
) -> dict[str, Any]:
    """One run of the dumper; `wanted` and the closing record land in `folder`."""
    files: dict[str, Path | bytes] = {"net.prototxt": job.prototxt}
    deploy = job.net.run_text if job.net is not None else ""
    if deploy:
        files["deploy.prototxt"] = deploy.encode()
    if job.caffemodel is not None:
        files["net.caffemodel"] = job.caffemodel
    if job.probe:
        files["probe.npz"] = _npz(job.probe)
    description = {
        **description,
        "prototxt": "net.prototxt",
        "deploy": "deploy.prototxt" if deploy else None,
        "caffemodel": "net.caffemodel" if job.caffemodel else None,
        "probe": "probe.npz" if job.probe else None,
    }
    files["job.json"] = json.dumps(description).encode()
    todo = Run(
        image_id=image_id,
        command=COMMAND,
        files=files,
        fetch={"result.json": folder / "result.json", wanted: folder / wanted},
        memory=_memory(client, job),
        environment=QUIET,
    )
    ended = run(client, todo)
    return _closing_record(ended, todo, folder / "result.json", job)


def _closing_record(ended: Ended, todo: Run, file: Path, job: Job) -> dict[str, Any]:
    """result.json if it says ok; exit code 0 alone proves nothing."""
    if not file.exists():
        reason = judge(ended, todo, "Caffe")
        if ended.status in (134, 139) and not ended.out_of_memory:
            other = " --probe FILE.npz gives Caffe another input" if job.probe else ""
            raise BadInput(
                f"{job.caffemodel or job.prototxt}: {reason}; is {job.prototxt} its net?{other}"
            )
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


def _memory(client: docker.DockerClient, job: Job) -> int:
    """Three times the file for the weights; a column buffer for each convolution comes on top.

    That buffer is what a net of large pictures needs most of (20 convolutions on 256 x 256 pictures:
    4 GiB), and its size is not known before Caffe has built the net: so the bound is generous, and
    never more than three quarters of what the engine's machine has.
    """
    size = job.caffemodel.stat().st_size if job.caffemodel else 0
    arrays = sum(array.nbytes for array in job.probe.values())
    wanted = 16 * GIBIBYTE + 5 * size + 16 * arrays
    return int(min(wanted, max(client.info()["MemTotal"] * 3 // 4, GIBIBYTE)))
