"""Stage 2 in the torch image: the same commands, run where the GPU is."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from decant.engines.docker.connection import connect
from decant.engines.docker.container import FOLDER, Outcome, Run, judge, run
from decant.engines.docker.image import ensure
from decant.loader.artifact import bundle
from decant.loader.artifact.records import Build
from decant.loader.errors import DecantError, EngineError
from decant.loader.progress import Progress

GIBIBYTE = 1 << 30
FILES = (*bundle.REPRODUCIBLE, *bundle.VOLATILE, bundle.SUMS)
PIPELINE = ("python3", "-B", "-m", "decant")
# the log holds both streams; what is said on stdout alone comes back as a file
STDOUT = "stdout"
TO_FILE = ("sh", "-c", f'exec "$@" >{FOLDER}/out/{STDOUT}', "sh")


def load_in_container(
    dump: Path,
    model: str | None,
    name: str,
    out: Path,
    parity: bool,
    catalog: Path | None,
    progress: Progress,
    build: Mapping[str, Any] | None = None,
    gpu: bool = True,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    mean_file: Path | None = None,
) -> float:
    """`decant load` in the container; the artifact is fetched, verified, and swapped in here.

    `mean_file`: of a training definition; it lies beside the dump there. Returns the seconds that the
    artifact took to be checked and written here.
    """
    files: dict[str, Path | bytes] = {"dump.h5": dump}
    if mean_file is not None:
        files[mean_file.name] = mean_file
    words = ["load", f"{FOLDER}/in/dump.h5", "--name", name]
    words += ["--model", model] if model else []
    for blob, shape in (shapes or {}).items():
        words += ["--input", f"{blob}={','.join(map(str, shape))}"]
    words += ["--out", f"{FOLDER}/out", "--device", "cuda" if gpu else "cpu", "--json"]
    words += _with_catalog(catalog, files)
    if not parity:
        words.append("--no-parity")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".decant-") as folder:
        part = Path(folder) / name
        part.mkdir()
        fetch = {f"{name}/{file}": part / file for file in (*FILES, *bundle.OPTIONAL)}
        with progress.task("stage 2 runs in the torch container"):
            ended, job = _run(words, files, fetch, gpu, progress)
        if not all((part / file).exists() for file in FILES):
            raise _failure(ended, job)
        begun = time.perf_counter()
        bundle.verify(part)
        _rename_dump(part / "build.json", dump, build)
        bundle.swap(part, out / name)
        return round(time.perf_counter() - begun, 3)


def _rename_dump(record: Path, dump: Path, build: Mapping[str, Any] | None) -> None:
    """The container's names for the dump mean nothing here; stage 1 is added as `convert` does."""
    values = json.loads(record.read_text())
    for key in ("dump", "parity_dump"):
        values[key] = str(dump.resolve()) if values.get(key) else None
    record.write_text(json.dumps({**values, **(build or {})}, indent=1, sort_keys=True) + "\n")


def validate_in_container(
    folder: Path,
    data: Path | None,
    limit: int | None,
    catalog: Path | None,
    progress: Progress,
    gpu: bool = True,
) -> dict[str, Any]:
    """`decant validate --json` in the container on copies of the artifact, its dump and pictures.

    Returns what it says of the artifact. Raises the container's own error.
    """
    bundle.read_manifest(folder)
    files: dict[str, Path | bytes] = {
        f"{folder.name}/{path.name}": path for path in folder.iterdir() if path.is_file()
    }
    build = bundle.read_build(folder) or Build()
    dump = Path(build.parity_dump or "")
    if dump.is_file():
        files["dump.h5"] = dump
        build = build.model_copy(update={"parity_dump": f"{FOLDER}/in/dump.h5"})
    files[f"{folder.name}/build.json"] = json.dumps(build.to_json()).encode()
    words = ["validate", f"{FOLDER}/in/{folder.name}", "--device", "cuda" if gpu else "cpu"]
    words += ["--json", *_with_catalog(catalog, files)]
    if data is not None:
        files |= {f"data/{x.relative_to(data)}": x for x in data.rglob("*") if x.is_file()}
        words += ["--data", f"{FOLDER}/in/data"]
    if limit is not None:
        words += ["--limit", str(limit)]
    with (
        progress.task(f"validating {folder.name} in the torch container"),
        tempfile.TemporaryDirectory() as work,
    ):
        answer = Path(work) / STDOUT
        ended, job = _run(words, files, {STDOUT: answer}, gpu, progress)
        if ended.status != 0 or not answer.exists():
            raise _failure(ended, job)
        return _only_artifact(answer.read_text("utf-8"))


def _with_catalog(catalog: Path | None, files: dict[str, Path | bytes]) -> list[str]:
    """The words that name the catalog there; it is added to `files`."""
    if catalog is None:
        return []
    files["catalog.yaml"] = catalog
    return ["--catalog", f"{FOLDER}/in/catalog.yaml"]


def _only_artifact(text: str) -> dict[str, Any]:
    try:
        (found,) = json.loads(text)["artifacts"]
    except (ValueError, KeyError, TypeError):
        raise EngineError(
            "the torch container's answer is not ours; build the image again"
        ) from None
    return dict(found)


def _run(
    words: Sequence[str],
    files: dict[str, Path | bytes],
    fetch: dict[str, Path],
    gpu: bool,
    progress: Progress,
) -> tuple[Outcome, Run]:
    client = connect()
    try:
        total = int(client.info()["MemTotal"])
        job = Run(
            image_id=ensure(client, "torch", progress),
            command=(*TO_FILE, *PIPELINE, *words),
            files=files,
            fetch=fetch,
            memory=max(total * 3 // 4, GIBIBYTE),
            environment={"DECANT_CACHE": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"},
            gpu=gpu,
        )
        return run(client, job), job
    finally:
        client.close()


def _failure(ended: Outcome, job: Run) -> DecantError:
    """The container's own error with its own exit code, where it said one."""
    lines = [line for line in ended.log.splitlines() if line.startswith("error: ")]
    kinds: list[Any] = DecantError.__subclasses__()
    kind = next((kind for kind in kinds if kind.code == ended.status), EngineError)
    if lines and ended.status > 1:
        error: DecantError = kind(lines[-1].removeprefix("error: "))
        return error
    return EngineError(judge(ended, job, "stage 2"))
