"""An artifact as a PyTorch model: the module in eval mode, and its transform."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from safetensors.torch import load_file
from torch import nn

from loader import artifact
from loader.errors import ArtifactMissing, IntegrityError
from loader.transforms import build_transform


def folder_of(name: str | os.PathLike[str]) -> Path:
    """A name is looked up in $DECANT_ARTIFACTS, else ./artifacts; a path is taken as it is."""
    path = Path(name)
    if len(path.parts) == 1 and not (path / "manifest.json").exists():
        return Path(os.environ.get("DECANT_ARTIFACTS", "artifacts")) / path
    return path


def load(name: str | os.PathLike[str]) -> tuple[nn.Module, nn.Module]:
    """(model, transform) of an artifact. Never converts: raises ArtifactMissing with the command.

    The model takes what the transform makes of RGB 0..1, N x C x H x W. It is built by the artifact's
    own model.py.
    """
    folder = folder_of(name)
    if not folder.is_dir():
        raise ArtifactMissing(f"no artifact in {folder}: make convert MODEL={folder.name}")
    manifest = artifact.read_manifest(folder)
    for file in artifact.REPRODUCIBLE:
        if not (folder / file).is_file():
            raise IntegrityError(f"{folder}: {file} is missing; make convert MODEL={folder.name}")
    model = _module(folder)
    model.load_state_dict(load_file(folder / "model.safetensors"), strict=True)
    return model.eval(), build_transform(manifest["preprocessing"])


def _module(folder: Path) -> nn.Module:
    path = folder / "model.py"
    name = f"decant_artifact_{abs(hash(str(path.resolve())))}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # registered, so that pickling and torch.export find the classes; no __pycache__ in the artifact
    sys.modules[name] = module
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = written
    built: nn.Module = module.Model()
    return built
