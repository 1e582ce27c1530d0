"""Caffe's recurrent layers. The state stays for the next forward: `cont` = 0 resets it, or `reset()`.

A graph that was traced or exported has no state: it begins with zeros each time.
"""

from __future__ import annotations

import torch
from torch import nn


@torch.fx.wrap
def lstm_step(
    c: torch.Tensor, gates: torch.Tensor, cont: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """c 1 x N x H, gates 1 x N x 4H (i, f, o, g), cont 1 x N -> c, h."""
    i, f, o, g = gates.chunk(4, 2)
    going_on = cont[:, :, None]
    kept = going_on * f.sigmoid() * c
    # a state that is not finite must not survive cont = 0
    kept = torch.where(going_on == 0, torch.zeros_like(kept), kept)
    c = kept + i.sigmoid() * g.tanh()
    return c, o.sigmoid() * c.tanh()


@torch.fx.wrap
def lstm(
    gates: torch.Tensor, cont: torch.Tensor, weight: torch.Tensor, h: torch.Tensor, c: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """gates T x N x 4H without what comes of h -> h of every step, the last h and c."""
    steps = []
    for now, inputs in zip(cont.split(1), gates.split(1), strict=True):
        c, h = lstm_step(c, inputs + nn.functional.linear(now[:, :, None] * h, weight), now)
        steps.append(h)
    return torch.cat(steps), h, c


@torch.fx.wrap
def rnn(
    inputs: torch.Tensor,
    cont: torch.Tensor,
    weight: torch.Tensor,
    weight_o: torch.Tensor,
    bias_o: torch.Tensor,
    h: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """inputs T x N x H without what comes of h -> o of every step, the last h."""
    steps = []
    for now, x in zip(cont.split(1), inputs.split(1), strict=True):
        h = (nn.functional.linear(now[:, :, None] * h, weight) + x).tanh()
        steps.append(nn.functional.linear(h, weight_o, bias_o).tanh())
    return torch.cat(steps), h


@torch.fx.wrap
def is_real(x: torch.Tensor) -> bool:
    """Whether this is a forward pass, and not the making of a graph."""
    return not (torch.jit.is_tracing() or torch.compiler.is_exporting())


class LSTMUnit(nn.Module):
    """One step. c_prev 1 x N x H, gates 1 x N x 4H (i, f, o, g), cont 1 x N -> c, h."""

    def forward(
        self, c_prev: torch.Tensor, gates: torch.Tensor, cont: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return lstm_step(c_prev, gates, cont)


class LSTM(nn.Module):
    """x T x N x ..., cont T x N, [static N x ...], [h and c 1 x N x H] -> h T x N x H, [h, c]."""

    def __init__(self, inputs: int, hidden: int, static: int = 0, expose: bool = False) -> None:
        super().__init__()
        self.weight_x = nn.Parameter(torch.zeros(4 * hidden, inputs))
        self.bias = nn.Parameter(torch.zeros(4 * hidden))
        self.weight_static = nn.Parameter(torch.zeros(4 * hidden, static)) if static else None
        self.weight_h = nn.Parameter(torch.zeros(4 * hidden, hidden))
        self.expose = expose
        self.reset()

    def reset(self) -> None:
        """Forget what was before."""
        self.state: tuple[torch.Tensor, torch.Tensor] | None = None

    def forward(
        self, x: torch.Tensor, cont: torch.Tensor, *more: torch.Tensor
    ) -> torch.Tensor | tuple[torch.Tensor, ...]:
        gates = nn.functional.linear(x.flatten(2), self.weight_x, self.bias)
        if self.weight_static is not None:
            gates = gates + nn.functional.linear(more[0].flatten(1), self.weight_static)
        zeros = x.new_zeros(1, x.size(1), self.weight_h.size(1))
        h, c = more[-2:] if self.expose else self.state or (zeros, zeros)
        out, h, c = lstm(gates, cont.to(gates), self.weight_h, h, c)
        if self.expose:
            return out, h, c
        if is_real(x) is True:
            self.state = (h.detach(), c.detach())
        return out


class RNN(nn.Module):
    """x T x N x ..., cont T x N, [static N x ...], [h 1 x N x H] -> o T x N x H, [h]."""

    def __init__(self, inputs: int, hidden: int, static: int = 0, expose: bool = False) -> None:
        super().__init__()
        self.weight_x = nn.Parameter(torch.zeros(hidden, inputs))
        self.bias_h = nn.Parameter(torch.zeros(hidden))
        self.weight_static = nn.Parameter(torch.zeros(hidden, static)) if static else None
        self.weight_h = nn.Parameter(torch.zeros(hidden, hidden))
        self.weight_o = nn.Parameter(torch.zeros(hidden, hidden))
        self.bias_o = nn.Parameter(torch.zeros(hidden))
        self.expose = expose
        self.reset()

    def reset(self) -> None:
        """Forget what was before."""
        self.state: torch.Tensor | None = None

    def forward(
        self, x: torch.Tensor, cont: torch.Tensor, *more: torch.Tensor
    ) -> torch.Tensor | tuple[torch.Tensor, ...]:
        inputs = nn.functional.linear(x.flatten(2), self.weight_x, self.bias_h)
        if self.weight_static is not None:
            inputs = inputs + nn.functional.linear(more[0].flatten(1), self.weight_static)
        zeros = x.new_zeros(1, x.size(1), self.weight_h.size(1))
        h = more[-1] if self.expose else zeros if self.state is None else self.state
        out, h = rnn(inputs, cont.to(inputs), self.weight_h, self.weight_o, self.bias_o, h)
        if self.expose:
            return out, h
        if is_real(x) is True:
            self.state = h.detach()
        return out


@torch.fx.wrap
def continuation(steps: int, batch: int) -> torch.Tensor:
    """steps x batch: 0 in the first step, 1 in all others."""
    marks = torch.ones(steps, batch)
    marks[0] = 0
    return marks


class FreshLSTM(nn.Module):
    """x T x N x ... -> h T x N x H; every forward begins with zeros, as in the forks' Lstm."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.weight_x = nn.Parameter(torch.zeros(4 * hidden, inputs))
        self.weight_h = nn.Parameter(torch.zeros(4 * hidden, hidden))
        self.bias = nn.Parameter(torch.zeros(4 * hidden))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gates = nn.functional.linear(x.flatten(2), self.weight_x, self.bias)
        zeros = x.new_zeros(1, x.size(1), self.weight_h.size(1))
        out, _, _ = lstm(gates, x.new_ones(x.shape[:2]), self.weight_h, zeros, zeros)
        return out
