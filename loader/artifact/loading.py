"""An artifact as a PyTorch model: the module in eval mode, and its transform."""

from __future__ import annotations

import linecache
import os
import sys
from hashlib import sha256
from pathlib import Path
from types import ModuleType

from safetensors.torch import load_file
from torch import nn

from decant.loader.artifact import bundle
from decant.loader.artifact.bundle import folder_of
from decant.loader.artifact.manifest import Manifest
from decant.loader.artifact.pictures import recorded_recipe
from decant.loader.errors import ArtifactMissing, IntegrityError
from decant.loader.machine import convert_command
from decant.loader.pictures.transforms import build_transform
from decant.loader.source.tracing import CaffeMap


def load(name: str | os.PathLike[str]) -> tuple[nn.Module, nn.Module]:
    """(model, transform) of an artifact. Never converts: raises ArtifactMissing with the command.

    The model takes what the transform makes of RGB 0..1, N x C x H x W. It is built by the artifact's
    own model.py.
    """
    folder = folder_of(name)
    if not folder.is_dir():
        raise ArtifactMissing(f"no artifact in {folder}: {convert_command(folder.name)}")
    manifest = bundle.read_manifest(folder)
    for file in bundle.REPRODUCIBLE:
        if not (folder / file).is_file():
            raise IntegrityError(f"{folder}: {file} is missing; {convert_command(folder.name)}")
    model = _module(folder)
    model.load_state_dict(load_file(folder / "model.safetensors"), strict=True)
    model.__dict__["caffe_map"] = caffe_map(manifest)
    return model.eval(), build_transform(recorded_recipe(manifest, folder))


def caffe_map(manifest: Manifest) -> CaffeMap:
    """Which part of the artifact's module is which Caffe layer."""
    return CaffeMap(
        modules=manifest.layers,
        statements=manifest.statements,
        inputs=manifest.input_layers,
        blobs=[item.blob for item in manifest.inputs],
        fused=manifest.fused,
    )


def _module(folder: Path) -> nn.Module:
    path = folder / "model.py"
    return module_from_source(path.read_text("utf-8"), path)


def module_from_source(source: str, path: Path | None = None) -> nn.Module:
    """`Model()` of a model.py's text. `path` is where it stands, for tracebacks and for pickling."""
    place = (
        str(path.resolve()) if path else f"<model.py {sha256(source.encode()).hexdigest()[:16]}>"
    )
    name = f"decant_artifact_{sha256((place + source).encode()).hexdigest()[:16]}"
    module = ModuleType(name)
    module.__file__ = place
    # registered, so that pickling, torch.jit and torch.export find the classes and their source
    sys.modules[name] = module
    linecache.cache[place] = (len(source), None, source.splitlines(True), place)
    exec(compile(source, place, "exec"), module.__dict__)
    built: nn.Module = module.Model()
    return built
