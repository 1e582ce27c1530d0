"""A folder of the checkout imported by its short name gives the package's modules, no second copy.

`import loader` works in a checkout because the folder lies in the working directory. Without this,
its classes would be others than those of `decant.loader`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType


def same(short: str) -> None:
    """Make `short` and all that is imported from it the modules of `decant.short`."""
    sys.meta_path.insert(0, _Finder(short + "."))
    sys.modules[short] = import_module(f"decant.{short}")


class _Finder(MetaPathFinder):
    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return spec_from_loader(name, _Same()) if name.startswith(self.prefix) else None


class _Same(Loader):
    def exec_module(self, module: ModuleType) -> None:
        """What stands in sys.modules afterwards is what the import gives."""
        sys.modules[module.__name__] = import_module(f"decant.{module.__name__}")
