"""Decant: moves Caffe models into PyTorch, and proves that it did.

    from decant import load, activations
    model, transform = load("googlenet_bvlc")

The names here are filled in when they are first asked for: importing `decant` imports no torch. In a
checkout the parts of the package are links to the folders beside this one; in a wheel they lie here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from decant.loader import errors as errors
    from decant.loader.artifact.loading import load as load
    from decant.loader.artifact.recording import activations as activations

__version__ = "0.2.0"
__all__ = ["__version__", "activations", "errors", "load"]


def __getattr__(name: str) -> Any:
    if name == "errors":
        from decant.loader import errors

        return errors
    if name in ("activations", "load"):
        from decant import loader

        return getattr(loader, name)
    raise AttributeError(f"module 'decant' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
