"""`doctor`: what this machine can do, what it lacks, and what to do about it."""

from __future__ import annotations

import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from decant.commands.run import emit
from decant.loader.catalog.cache import cache_folder
from decant.loader.catalog.models import load_catalog
from decant.loader.errors import DecantError, GpuError
from decant.loader.machine import next_step

# a VGG's files, its dump and its artifact
ENOUGH_DISK = 4 << 30


@dataclass
class Finding:
    """`fine` None: not needed for everything."""

    what: str
    fine: bool
    text: str


def command(*, gpu: bool, catalog: Path | None, as_json: bool) -> None:
    """Look and say; with `--gpu` a missing GPU is an error."""
    findings = [_python(), _torch(), _disk(), _catalog(catalog), *_engine()]
    lacks = next((item for item in findings if item.what == "gpu" and not item.fine), None)
    if not as_json:
        for item in findings:
            print(f"{'ok  ' if item.fine else 'lack'}  {item.what}: {item.text}")
    if gpu and lacks is not None:
        raise GpuError(lacks.text)
    if as_json:
        emit({"ok": True, "findings": [vars(item) for item in findings]})


def _python() -> Finding:
    return Finding("python", sys.version_info >= (3, 11), platform.python_version())


def _torch() -> Finding:
    try:
        import torch
    except ImportError as error:
        return Finding("torch", False, f"{error}: {next_step('make setup', 'pip install torch')}")
    cuda = "CUDA" if torch.cuda.is_available() else "CPU only"
    return Finding("torch", True, f"{torch.__version__}, {cuda}")


def _disk() -> Finding:
    place = next(path for path in (cache_folder(), *cache_folder().parents) if path.exists())
    free = shutil.disk_usage(place).free
    text = f"{free / 1e9:.0f} GB free for the cache at {cache_folder()}"
    if free < ENOUGH_DISK:
        text += "; a VGG needs about 3: free some, or set DECANT_CACHE"
    here = shutil.disk_usage(Path.cwd()).free
    return Finding("disk", min(free, here) >= ENOUGH_DISK, text)


def _catalog(path: Path | None) -> Finding:
    try:
        found = load_catalog(path)
    except DecantError as error:
        return Finding("catalog", False, error.message)
    return Finding("catalog", True, f"{len(found.models)} models in {found.path}")


def _engine() -> list[Finding]:
    from decant.engines.docker.connection import connect, endpoint
    from decant.engines.docker.image import find
    from decant.engines.gpu import SET_UP, why_not

    try:
        client = connect()
    except DecantError as error:
        return [Finding("engine", False, error.message)]
    try:
        version = client.version()
        found = [Finding("engine", True, f"Docker {version['Version']} at {endpoint()}")]
        steps = {
            "caffe": next_step("make image", "decant image"),
            "torch": next_step("make image ARGS='--which torch'", "decant image --which torch"),
        }
        for which, step in steps.items():
            image = find(client, which)
            text = image[:19] if image else f"not built; {step} builds it, or its first use"
            found.append(Finding(f"{which} image", image is not None, text))
        reason = why_not(client)
        found.append(Finding("gpu", not reason, f"{reason}: {SET_UP}" if reason else "reachable"))
    finally:
        client.close()
    return found
