"""Stage 2: `load("googlenet_bvlc")`, `activations(model, x)`, and one function per catalog model.

Importing this package imports no torch: names are filled in when they are first asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from decant.loader.artifact.loading import load as load
    from decant.loader.artifact.recording import activations as activations

if __name__ == "loader":
    # imported by its short name, as one can in a checkout
    from decant.alias import same

    same("loader")


def __getattr__(name: str) -> Any:
    # the files are called otherwise: importing loader.load would put a module in this place
    if name == "load":
        from decant.loader.artifact.loading import load

        return load
    if name == "activations":
        from decant.loader.artifact.recording import activations

        return activations
    # `from decant.loader import artifact` asks here first: the catalog is not read for a file's sake
    if not name.startswith("_") and not _is_submodule(name):
        from decant.loader.catalog.models import load_catalog

        if name in load_catalog().models:
            return _entry_point(name)
    raise AttributeError(f"module 'loader' has no attribute {name!r}")


def _is_submodule(name: str) -> bool:
    here = Path(__file__).parent
    return (here / f"{name}.py").exists() or (here / name).is_dir()


def _entry_point(name: str) -> Callable[[], Any]:
    def model() -> Any:
        from decant.loader.artifact.loading import load

        return load(name)

    model.__name__, model.__doc__ = name, f"load({name!r}): the module and its transform."
    return model


def __dir__() -> list[str]:
    from decant.loader.catalog.models import load_catalog

    return ["activations", "load", *load_catalog().models]
