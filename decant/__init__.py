"""Decant: moves Caffe models into PyTorch, and proves that it did.

    from decant import convert
    artifact = convert("googlenet_bvlc")
    model, transform = artifact.load()

The names here are filled in when they are first asked for: importing `decant` imports no torch. In a
checkout the parts of the package are links to the folders beside this one; in a wheel they lie here.
A checkout that lost its links (unpacked by Python's zipfile, as torch.hub does) is read beside them.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from decant.loader import errors as errors
    from decant.loader.artifact.loading import load as load
    from decant.loader.artifact.recording import activations as activations
    from decant.stages.compare import compare as compare
    from decant.stages.convert import convert as convert
    from decant.stages.dump import dump as dump
    from decant.stages.inputs import Source as Source
    from decant.stages.inspect import inspect as inspect
    from decant.stages.options import Options as Options

if not Path(__file__).with_name("loader").is_dir():
    # the link is a small file that holds its target's name; the folder itself is one level up
    __path__.insert(0, str(Path(__file__).resolve().parents[1]))

__version__ = "0.2.0"
_PLACES = {
    "Options": "stages.options",
    "Source": "stages.inputs",
    "activations": "loader.artifact.recording",
    "compare": "stages.compare",
    "convert": "stages.convert",
    "dump": "stages.dump",
    "inspect": "stages.inspect",
    "load": "loader.artifact.loading",
}
__all__ = ["__version__", "errors", *_PLACES]


def __getattr__(name: str) -> Any:
    if name == "errors":
        return import_module("decant.loader.errors")
    if name in _PLACES:
        return getattr(import_module(f"decant.{_PLACES[name]}"), name)
    raise AttributeError(f"module 'decant' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
