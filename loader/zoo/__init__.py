"""The hand-written modules that models.yaml names, and their source as an artifact carries it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decant.loader import ops
from decant.loader.errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

HERE = Path(__file__).parent

# `module:` of models.yaml -> (file, class)
MODULES = {
    "alexnet": ("alexnet", "AlexNet"),
    "caffenet": ("alexnet", "CaffeNet"),
    "googlenet": ("googlenet", "GoogLeNet"),
    "lenet": ("lenet", "LeNet"),
    "vgg16": ("vgg", "VGG16"),
    "vgg19": ("vgg", "VGG19"),
}
_IMPORT_LRN = "from decant.loader.ops.lrn import LRN\n"


def build(module: str, arguments: Mapping[str, Any]) -> nn.Module:
    """The module, untrained, in eval mode. Raises CatalogError for a name that is not there."""
    file, name = _entry(module)
    built: nn.Module = getattr(import_module(f"decant.loader.zoo.{file}"), name)(**arguments)
    return built.eval()


def source(module: str, arguments: Mapping[str, Any]) -> str:
    """One self-contained file that imports torch only; `Model()` is the net of this entry."""
    file, name = _entry(module)
    text = (HERE / f"{file}.py").read_text()
    if _IMPORT_LRN in text:
        (lrn,) = ops.sources({"LRN"})
        text = text.replace("\n" + _IMPORT_LRN, "\n\n" + lrn + "\n")
    literal = ", ".join(f"{key}={value!r}" for key, value in sorted(arguments.items()))
    return (
        f"{text}\n\nclass Model({name}):\n"
        '    """The converted net: its weights are model.safetensors."""\n\n'
        f"    def __init__(self) -> None:\n        super().__init__({literal})\n"
    )


def _entry(module: str) -> tuple[str, str]:
    if module not in MODULES:
        raise CatalogError(f"module {module!r} is not one of {', '.join(MODULES)}")
    return MODULES[module]
