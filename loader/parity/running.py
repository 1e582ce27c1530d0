"""The values of a trace's graph, computed when they are asked for and kept no longer than needed.

`Run` is a forward from the inputs on; `Alone` computes each layer from what Caffe fed it. A run of a
large batch so holds what a forward pass holds, not every activation of the net.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from decant.loader.source.tracing import Trace

# of a value: half of what lies between two neighbours in float32
ROUNDING = 2.0**-24

# what rounds nothing
EXACT_MODULES = (
    nn.ReLU, nn.ReLU6, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AdaptiveMaxPool2d, nn.Dropout,
    nn.Identity, nn.ChannelShuffle, nn.Embedding, nn.Unfold,
)  # fmt: skip
EXACT_FUNCTIONS = {
    "abs", "cat", "chunk", "clamp", "clone", "flatten", "flip", "getitem", "maximum", "minimum", "neg",
    "pad", "permute", "repeat", "reshape", "size", "squeeze", "tensor_split", "to", "unflatten",
    "unsqueeze",
}  # fmt: skip


class _Lazy(fx.Interpreter):
    """Computes a node from its inputs, those from theirs, and so on to the values that are known.

    `module` is the traced one, or a copy of it in another precision. `noise`: every value that is
    given or computed is moved by up to one rounding: of what a sum reads, that does what another order
    of summation would do.
    """

    def __init__(
        self, trace: Trace, module: nn.Module, noise: torch.Generator | None = None
    ) -> None:
        super().__init__(module, graph=trace.graph)
        self.trace, self.noise = trace, noise
        self.env: dict[fx.Node, Any] = {}

    def value(self, node: fx.Node) -> Any:
        """The node's value; without recursion, as nets are deep."""
        stack = [node]
        while stack:
            at = stack[-1]
            if at in self.env or self._given(at):
                stack.pop()
                continue
            missing = [need for need in at.all_input_nodes if need not in self.env]
            if missing and not all(map(self._given, missing)):
                stack += [need for need in missing if need not in self.env]
            else:
                self.env[at] = self.run_node(at)
                self._computed(at)
                stack.pop()
        return self.env[node]

    def _given(self, node: fx.Node) -> bool:
        """Put a value that is known into `env`, if there is one."""
        return node in self.env

    def _computed(self, node: fx.Node) -> None:
        """`node` has its value now."""

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Each call is the first forward of its module."""
        module = self.fetch_attr(target)
        forget(module)
        return module(*args, **kwargs)

    def run_node(self, n: fx.Node) -> Any:
        """The node's value, moved by `noise` unless the node only picks or moves values."""
        found = super().run_node(n)
        if n.op in ("placeholder", "get_attr") or self.exact(n):
            return found
        return fx.node.map_aggregate(found, self._moved)

    def exact(self, node: fx.Node) -> bool:
        """Whether the node only picks or moves values, and rounds none."""
        target = node.target
        if node.op == "call_module":
            return isinstance(self.fetch_attr(str(target)), EXACT_MODULES)
        return (target if isinstance(target, str) else target.__name__) in EXACT_FUNCTIONS

    def _from(self, array: np.ndarray, like: torch.Tensor) -> Any:
        """A value that is given."""
        return self._moved(torch.from_numpy(np.array(array)).to(like))

    def _moved(self, value: Any) -> Any:
        if self.noise is None:
            return value
        if not isinstance(value, torch.Tensor) or not value.is_floating_point():
            return value
        by = torch.rand(value.shape, generator=self.noise).mul_(2).sub_(1).to(value)
        # whole numbers may be indices
        return torch.where(value == value.round(), value, value + value * by * (2 * ROUNDING))


def forget(module: nn.Module) -> None:
    """Drop what recurrent layers keep between forwards."""
    for part in module.modules():
        reset = getattr(part, "reset", None)
        if callable(reset) and not isinstance(reset, nn.Module):
            reset()


class Run(_Lazy):
    """One forward of `module` on `inputs`, in the order in which its layers are asked for.

    A value is let go when all that read it are computed and its layer is `done`.
    """

    def __init__(
        self,
        trace: Trace,
        module: nn.Module,
        inputs: Sequence[torch.Tensor],
        noise: torch.Generator | None = None,
    ) -> None:
        super().__init__(trace, module, noise)
        self.env.update(zip(trace.placeholders, map(self._moved, inputs), strict=True))
        self.like = inputs[0]
        self.readers = {node: len(node.users) for node in trace.graph.nodes}
        for nodes in trace.tops.values():
            for node in nodes:
                self.readers[node] += 1

    def tops(self, layer: str) -> list[torch.Tensor]:
        """The layer's outputs."""
        return [self.value(node) for node in self.trace.tops[layer]]

    def go_on_from(self, layer: str, values: Sequence[np.ndarray]) -> None:
        """Let those after `layer` read these values in place of its own."""
        for node, array in zip(self.trace.tops[layer], values, strict=True):
            self.env[node] = self._from(array, self.like)

    def done(self, layer: str) -> None:
        """Nobody will ask for the layer's outputs again."""
        for node in self.trace.tops[layer]:
            self._read(node)

    def _computed(self, node: fx.Node) -> None:
        for used in node.all_input_nodes:
            self._read(used)

    def _read(self, node: fx.Node) -> None:
        self.readers[node] -= 1
        if self.readers[node] == 0:
            self.env.pop(node, None)


class Alone(_Lazy):
    """Every layer computed from what Caffe fed it.

    `known`: Caffe's value of each node that stands for a top; they must reach all inputs of a layer.
    """

    def __init__(
        self,
        trace: Trace,
        module: nn.Module,
        known: Mapping[fx.Node, np.ndarray],
        like: torch.Tensor,
        noise: torch.Generator | None = None,
    ) -> None:
        super().__init__(trace, module, noise)
        self.known, self.like = known, like
        self.own: set[fx.Node] = set()

    def tops(self, layer: str) -> list[torch.Tensor]:
        """The layer's outputs."""
        nodes = self.trace.tops[layer]
        self.own = {node for node in nodes if node.op != "placeholder"}
        found = [self.value(node) for node in nodes]
        self.env.clear()
        return found

    def rounds(self, layer: str) -> bool:
        """Whether the layer computes anything: it does not if it only picks or moves what it is fed."""
        stack = list(self.trace.tops[layer])
        own = set(stack)
        while stack:
            node = stack.pop()
            if node.op == "placeholder" or (node in self.known and node not in own):
                continue
            if node.op == "get_attr" or not self.exact(node):
                return True
            stack += node.all_input_nodes
        return False

    def _given(self, node: fx.Node) -> bool:
        if node not in self.env and node in self.known and node not in self.own:
            self.env[node] = self._from(self.known[node], self.like)
        return node in self.env


def names(trace: Trace) -> list[str]:
    """The layers, in the order in which they are computed."""
    order = {node: at for at, node in enumerate(trace.graph.nodes)}
    return sorted(trace.tops, key=lambda name: order[trace.tops[name][0]])


def run(trace: Trace, inputs: Sequence[torch.Tensor]) -> OrderedDict[str, list[torch.Tensor]]:
    """Every layer's tops, in the order in which they are computed."""
    forward = Run(trace, trace.module, inputs)
    return OrderedDict((name, forward.tops(name)) for name in names(trace))
