"""A converted module as a graph in which every Caffe layer is found again, by torch.fx.

A layer is a module's call, or the statement of model.py that `Generated.statements` names.
loader/parity/running.py computes the graph's values.
"""

from __future__ import annotations

import operator
import sys
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import fx, nn


@dataclass(frozen=True)
class CaffeMap:
    """Which part of a module is which Caffe layer.

    `modules`: layer -> module path, or None. `statements`: layer -> `LINE` or `path@LINE` of each of
    its statements in model.py ({} for a module of the zoo). `inputs`: Input layer -> its blobs;
    `blobs`: the inputs in the order in which the module takes them. `fused`: layer -> what with.
    """

    modules: Mapping[str, str | None]
    statements: Mapping[str, Sequence[str]] = field(default_factory=dict)
    inputs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    blobs: Sequence[str] = ()
    fused: Mapping[str, str] = field(default_factory=dict)


class Trace:
    """The graph of `module`, and for each Caffe layer the nodes that are its tops."""

    def __init__(self, module: nn.Module, caffe: CaffeMap) -> None:
        tracer = _Tracer(caffe)
        self.module, self.caffe = module, caffe
        self.graph = tracer.trace(module)
        self.placeholders = [node for node in self.graph.nodes if node.op == "placeholder"]
        self.tops: OrderedDict[str, list[fx.Node]] = OrderedDict()
        self._add_inputs(caffe)
        for layer, path in caffe.modules.items():
            places = caffe.statements.get(layer)
            if places is None and path is not None:
                nodes = tracer.calls.get(path, [])
            else:
                nodes = [
                    node for place in places or [] for node in _tops(tracer.made.get(place, []))
                ]
            if nodes:
                self.tops[layer] = nodes

    def _add_inputs(self, caffe: CaffeMap) -> None:
        by_blob = dict(zip(caffe.blobs, self.placeholders, strict=False))
        for layer, blobs in caffe.inputs.items():
            self.tops[layer] = [by_blob[blob] for blob in blobs if blob in by_blob]


def _tops(nodes: Sequence[fx.Node]) -> Sequence[fx.Node]:
    """What a statement makes: its last node, or what the last one was unpacked into."""
    for count in range(len(nodes), 1, -1):
        tail = nodes[-count:]
        if all(
            node.target is operator.getitem and node.args == (tail[0].args[0], at)
            for at, node in enumerate(tail)
        ):
            return tail
    return nodes[-1:]


class _Tracer(fx.Tracer):
    """Goes into the module and its blocks, no further; notes where each node was written."""

    def __init__(self, caffe: CaffeMap) -> None:
        super().__init__()
        # a statement's block counts like the module of a layer in it
        paths = [path for path in caffe.modules.values() if path]
        paths += [
            f"{place.rpartition('@')[0]}."
            for places in caffe.statements.values()
            for place in places
        ]
        self.inner = {
            path.rsplit(".", depth)[0] for path in paths for depth in range(1, path.count(".") + 1)
        } - {""}
        self.lines = {
            int(place.rpartition("@")[2])
            for places in caffe.statements.values()
            for place in places
        }
        # place or path -> nodes; of a statement that makes several tops, the last so many
        self.made: dict[str, list[fx.Node]] = {}
        self.calls: dict[str, list[fx.Node]] = {}
        self.file = ""
        self.path: list[str] = []
        # of a module that has several (tied branches): those that it was not called by yet
        self.names: dict[nn.Module, list[str]] = {}

    def trace(self, root: Any, concrete_args: Any = None) -> fx.Graph:
        self.file = type(root).forward.__code__.co_filename
        for name, module in root.named_modules(remove_duplicate=False):
            self.names.setdefault(module, []).append(name)
        return super().trace(root, concrete_args)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return module_qualified_name not in self.inner

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        names = self.names[m]
        path = names.pop(0) if len(names) > 1 else names[0]
        self.path.append(path)
        found = super().call_module(m, forward, args, kwargs)
        self.path.pop()
        if isinstance(found, fx.Proxy):
            self.calls.setdefault(path, []).append(found.node)
        return found

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        node = super().create_node(*args, **kwargs)
        scope = self.path[-1] if self.path else ""
        # a leaf's own call is written in its caller
        if node.op == "call_module":
            scope = self.path[-2] if len(self.path) > 1 else ""
        line = self._line()
        if line and node.op != "placeholder":
            place = f"{scope}@{line}" if scope else str(line)
            self.made.setdefault(place, []).append(node)
        return node

    def _line(self) -> int:
        """The statement of model.py that is being traced."""
        frame = sys._getframe(2)
        while frame is not None:
            code = frame.f_code
            if code.co_filename == self.file and code.co_name == "forward":
                return self._first(frame.f_lineno)
            frame = frame.f_back  # type: ignore[assignment]
        return 0

    def _first(self, line: int) -> int:
        """A statement of several lines is known by its first."""
        while line > 0 and line not in self.lines:
            line -= 1
        return line
