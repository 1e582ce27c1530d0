"""The images: found by their label, built when they are missing."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decant.engines.docker.connection import engine_errors
from decant.loader.errors import EngineError
from decant.loader.machine import next_step
from decant.loader.progress import Progress

if TYPE_CHECKING:
    import docker

# the package, in which a checkout has links to the folders beside it
ROOT = Path(__file__).parents[2]
# of a checkout: where no package index is reachable
WHEELS = ROOT.parent / "build" / "wheels"
LABEL = "decant.inputs"
# What goes into each image: a change of any of these files is another image. Of dumper/, that is
# what runs beside Caffe; reading a dump is the host's.
CONTEXTS = {
    "caffe": (
        "docker/caffe.Dockerfile",
        "docker/closure.sh",
        "docker/sources.sh",
        "dumper/__init__.py",
        "dumper/__main__.py",
        "dumper/content.py",
        "dumper/hdf5_writer.py",
        "dumper/net.py",
        "dumper/npz_writer.py",
        "dumper/writing.py",
    ),
    "torch": (
        "docker/torch.Dockerfile",
        "requirements.txt",
        "__init__.py",
        "__main__.py",
        "alias.py",
        "models.yaml",
        "pipeline.py",
        "commands",
        "dumper",
        "engines",
        "loader",
        "stages",
    ),
}


def find(client: docker.DockerClient, which: str = "caffe") -> str | None:
    """The id of the image made from the files as they are now, or None."""
    with engine_errors("looking for the image"):
        images = client.images.list(filters={"label": f"{LABEL}={_inputs_hash(which)}"})
    return str(images[0].id) if images else None


def ensure(client: docker.DockerClient, which: str, progress: Progress) -> str:
    """The image's id; builds it when it is missing. Raises EngineError if that fails."""
    return find(client, which) or build(client, which, None, progress)


def build(client: docker.DockerClient, which: str, base: str | None, progress: Progress) -> str:
    """Build and return the id. `base` replaces the Dockerfile's pinned base ($BASE as well)."""
    variable = {"caffe": "DECANT_BASE", "torch": "DECANT_TORCH_BASE"}[which]
    base = base or os.environ.get(variable) or None
    arguments = {"BASE": base} if base else {}
    steps: list[str] = []
    with (
        progress.task(f"building the {which} image") as task,
        engine_errors(f"building the {which} image"),
        _context(which) as context,
    ):
        stream = client.api.build(
            fileobj=context,
            custom_context=True,
            dockerfile=CONTEXTS[which][0],
            buildargs=arguments,
            labels={LABEL: _inputs_hash(which)},
            tag=f"decant-{which}:{_inputs_hash(which)[:12]}",
            rm=True,
            forcerm=True,
            decode=True,
        )
        for event in stream:
            _follow(event, which, base, steps)
            if event.get("stream", "").startswith("Step "):
                task.advance()
                progress.note(event["stream"].strip())
    found = find(client, which)
    if found is None:
        raise EngineError(f"the {which} image was built but is not on the engine; try again")
    return found


def _follow(event: dict[str, Any], which: str, base: str | None, steps: list[str]) -> None:
    """Keep the last lines; an error event ends the build with them."""
    text = event.get("stream", "").strip()
    if text:
        steps.append(text)
    if "error" in event:
        hint = (
            f"the base image cannot be pulled: give one with `{_command('...')}` "
            f"(`{next_step('make base', str(ROOT / 'docker/base.sh'))}` makes one without a registry)"
            if not any(step.startswith("Step 3") for step in steps)
            else f"`{_command(base)}` builds it alone"
        )
        raise EngineError(
            f"the {which} image cannot be built: {event['error'].strip().splitlines()[-1][:200]}; "
            f"{hint}, or use --engine reader",
            steps[-5:],
        )


def _command(base: str | None) -> str:
    """That builds the image, on `base`."""
    if base is None:
        return next_step("make image", "decant image")
    return next_step(f"make image BASE={base}", f"decant image --base {base}")


def _place(name: str) -> Path:
    """The package's own files lie beside its folders, but where a checkout has lost its links."""
    path = ROOT / name
    return path if path.exists() else ROOT / "decant" / name


def _files(which: str) -> Iterator[tuple[str, Path]]:
    places = {name: _place(name) for name in CONTEXTS[which]}
    if which == "torch":
        places["build/wheels"] = WHEELS
    for name, path in places.items():
        if path.is_dir():
            found = [
                f for f in sorted(path.rglob("*")) if f.is_file() and "__pycache__" not in f.parts
            ]
            yield from ((f"{name}/{file.relative_to(path)}", file) for file in found)
        elif path.is_file():
            yield name, path


def _inputs_hash(which: str) -> str:
    digest = hashlib.sha256()
    for name, path in _files(which):
        digest.update(f"{name}\0{path.stat().st_size}\0".encode())
        # wheels are hundreds of megabytes; their names hold their versions
        digest.update(b"" if path.suffix == ".whl" else path.read_bytes())
    return digest.hexdigest()


def _context(which: str) -> Any:
    """The build context: only the files named above, times zeroed so that the cache holds."""
    import tempfile

    buffer = tempfile.TemporaryFile()  # noqa: SIM115  (returned, closed by the caller's `with`)
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, path in _files(which):
            member = tarfile.TarInfo(name)
            member.size, member.mode = path.stat().st_size, 0o755 if path.suffix == ".sh" else 0o644
            with path.open("rb") as file:
                archive.addfile(member, file)
        if which == "torch" and not WHEELS.is_dir():
            empty = tarfile.TarInfo("build/wheels/none")
            archive.addfile(empty, io.BytesIO())
    buffer.seek(0)
    return buffer
