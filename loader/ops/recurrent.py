"""Caffe's recurrent layers. The state stays for the next forward: `cont` = 0 resets it, or `reset()`."""

from __future__ import annotations

import torch
from torch import nn


class LSTMUnit(nn.Module):
    """One step. c_prev 1 x N x H, gates 1 x N x 4H (i, f, o, g), cont 1 x N -> c, h."""

    def forward(
        self, c_prev: torch.Tensor, gates: torch.Tensor, cont: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        i, f, o, g = gates.chunk(4, 2)
        kept = cont[:, :, None] * f.sigmoid() * c_prev
        # a c_prev that is not finite must not survive cont = 0
        kept = torch.where(cont[:, :, None] == 0, torch.zeros_like(kept), kept)
        c = kept + i.sigmoid() * g.tanh()
        return c, o.sigmoid() * c.tanh()


class LSTM(nn.Module):
    """x T x N x ..., cont T x N, [static N x ...], [h and c 1 x N x H] -> h T x N x H, [h, c]."""

    def __init__(self, inputs: int, hidden: int, static: int = 0, expose: bool = False) -> None:
        super().__init__()
        self.weight_x = nn.Parameter(torch.zeros(4 * hidden, inputs))
        self.bias = nn.Parameter(torch.zeros(4 * hidden))
        self.weight_static = nn.Parameter(torch.zeros(4 * hidden, static)) if static else None
        self.weight_h = nn.Parameter(torch.zeros(4 * hidden, hidden))
        self.unit = LSTMUnit()
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
        steps = []
        for t in range(x.size(0)):
            now = cont[t : t + 1]
            recurrent = nn.functional.linear(now[:, :, None] * h, self.weight_h)
            c, h = self.unit(c, gates[t : t + 1] + recurrent, now)
            steps.append(h)
        out = torch.cat(steps)
        if self.expose:
            return out, h, c
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
        h = x.new_zeros(1, x.size(1), self.weight_h.size(1)) if self.state is None else self.state
        h = more[-1] if self.expose else h
        steps = []
        for t in range(x.size(0)):
            kept = nn.functional.linear(cont[t : t + 1, :, None] * h, self.weight_h)
            h = (kept + inputs[t : t + 1]).tanh()
            steps.append(nn.functional.linear(h, self.weight_o, self.bias_o).tanh())
        out = torch.cat(steps)
        if self.expose:
            return out, h
        self.state = h.detach()
        return out
