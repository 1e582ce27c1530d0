"""`--layer-plugin module:Class`: a user's own torch module for a layer that Decant has no rule for.

docs/adding-a-layer.md shows one. The class's source is copied into model.py, so it may use nothing
but `torch`, `nn` and what is written inside it.
"""

from __future__ import annotations

import builtins
import dis
import importlib
import inspect
import os
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import CodeType
from typing import Any

from decant.loader.definition.graph import Layer, Net
from decant.loader.errors import UsageError
from decant.loader.layers.call import Call, arguments
from decant.loader.layers.rule import Refused, Rule, Shape, Site, Written
from decant.loader.plan.rules import python_type


@dataclass(frozen=True)
class Plugins:
    """Caffe type -> the user's class. A Python layer's type is `Python:Layer` or `Python`."""

    classes: Mapping[str, type[Any]] = field(default_factory=dict)

    @cached_property
    def rules(self) -> dict[str, Rule]:
        """One rule for each class."""
        return {name: _rule(of) for name, of in self.classes.items()}

    def handles(self, layer: Layer) -> bool:
        """Whether a plugin stands for this layer."""
        return layer.type in self.classes or python_type(layer) in self.classes

    def sources(self, net: Net) -> dict[str, str]:
        """Class name -> source, of those that `net` uses."""
        used = {self.classes[kind] for layer in net.layers for kind in self._kinds(layer)}
        return {of.__name__: _source(of) for of in sorted(used, key=lambda of: of.__name__)}

    def _kinds(self, layer: Layer) -> list[str]:
        kinds = [python_type(layer), layer.type]
        return [kind for kind in kinds if kind in self.classes][:1]


def load_plugins(words: Sequence[str]) -> Plugins:
    """`module:Class` each, found from the current folder. Raises UsageError for what is none."""
    classes: dict[str, type[Any]] = {}
    for word in words:
        of = _class(word)
        kind = getattr(of, "caffe_type", None)
        if not isinstance(kind, str) or not kind:
            raise UsageError(
                f'--layer-plugin {word}: the class has no caffe_type = "..." (a layer\'s type)'
            )
        if kind in classes:
            raise UsageError(f"--layer-plugin {word}: {kind} has a plugin already")
        _refuse_globals(word, of)
        classes[kind] = of
    return Plugins(classes)


def _class(word: str) -> type[Any]:
    module, _, name = word.partition(":")
    if not module or not name:
        raise UsageError(f"--layer-plugin {word!r}: expected module:Class, as in my_layers:Warp")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise UsageError(
            f"--layer-plugin {word}: {error}; run from the folder that holds {module}.py"
        ) from None
    except AttributeError:
        raise UsageError(f"--layer-plugin {word}: {module} has no class {name}") from None
    from torch import nn

    if not (inspect.isclass(found) and issubclass(found, nn.Module)):
        raise UsageError(f"--layer-plugin {word}: not a class derived from torch.nn.Module")
    return found


def _source(of: type[Any]) -> str:
    return textwrap.dedent(inspect.getsource(of)).rstrip("\n")


def _refuse_globals(word: str, of: type[Any]) -> None:
    """model.py holds the class alone: a helper beside it would be missing there."""
    allowed = {"torch", "nn", of.__name__, *dir(builtins), "__name__", "__qualname__", "__module__"}
    code = compile(_source(of), "plugin", "exec")
    used = sorted(set(_global_names(code)) - allowed)
    if used:
        raise UsageError(
            f"--layer-plugin {word}: the class uses {', '.join(used)}, which stands outside of it; "
            "only torch and nn are there in model.py: move it into the class"
        )


def _global_names(code: CodeType) -> Iterator[str]:
    bound = {str(x.argval) for x in dis.get_instructions(code) if x.opname == "STORE_NAME"}
    for instruction in dis.get_instructions(code):
        loads = instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME")
        if loads and instruction.argval not in bound:
            yield str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)


def _rule(of: type[Any]) -> Rule:
    def rule(site: Site) -> Written:
        params = site.everything()
        names = list(getattr(of, "blobs", []))
        if len(names) != len(site.blobs):
            raise Refused(
                f"has {len(site.blobs)} parameter blobs, and {of.__name__}.blobs names {len(names)}"
            )
        blob_shapes = [tuple(blob.shape) for blob in site.blobs]
        bottoms = ", ".join(f"{{{number}}}" for number in range(len(site.bottoms)))
        literals = arguments(params, blob_shapes)
        return Written(
            f"{{self}}({bottoms})",
            _output_shapes(of, params, blob_shapes, site.bottoms),
            Call(of.__name__, literals),
            dict(zip(names, site.blobs, strict=True)),
        )

    return rule


def _output_shapes(
    of: type[Any], params: dict[str, Any], blobs: Sequence[Shape], bottoms: Sequence[Shape]
) -> list[Shape]:
    """As the class says (`output_shapes(params, bottoms)`), or as one run on zeros shows."""
    try:
        if hasattr(of, "output_shapes"):
            return [tuple(shape) for shape in of.output_shapes(params, list(bottoms))]
        import torch

        with torch.no_grad():
            found = of(params, list(blobs)).eval()(*(torch.zeros(shape) for shape in bottoms))
    except Exception as error:
        raise Refused(
            f"the plugin {of.__name__} failed: {type(error).__name__}: {error}"
        ) from error
    return [tuple(top.shape) for top in (found if isinstance(found, tuple | list) else [found])]
