"""Recurrent layers: torch's own LSTM and RNN cells, step by step; the state, and what resets it."""

from __future__ import annotations

import torch
from torch import nn

from decant.loader.ops.recurrent import LSTM, RNN, FreshLSTM, continuation

T, N, D, H = 5, 2, 3, 4
# torch's gates are i, f, g, o; Caffe's i, f, o, g
ORDER = torch.cat([torch.arange(H) + H * part for part in (0, 1, 3, 2)])


def random(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module


@torch.no_grad()
def torchs(ours: LSTM | FreshLSTM) -> nn.LSTM:
    theirs = nn.LSTM(D, H)
    state = {
        "weight_ih_l0": ours.weight_x[ORDER],
        "weight_hh_l0": ours.weight_h[ORDER],
        "bias_ih_l0": ours.bias[ORDER],
        "bias_hh_l0": torch.zeros(4 * H),
    }
    theirs.load_state_dict(state)
    return theirs


@torch.no_grad()
def test_an_lstm_is_torchs_and_goes_on_where_it_stopped() -> None:
    ours, x = LSTM(D, H), torch.randn(T, N, D, generator=torch.Generator().manual_seed(1))
    random(ours)
    theirs, cont = torchs(ours), continuation(T, N)
    first, state = theirs(x)
    assert torch.allclose(ours(x, cont), first, atol=1e-6)
    # a second forward that marks nothing as a beginning goes on
    assert torch.allclose(ours(x, torch.ones(T, N)), theirs(x, state)[0], atol=1e-6)
    ours.reset()
    assert torch.allclose(ours(x, torch.ones(T, N)), first, atol=1e-6)


@torch.no_grad()
def test_a_mark_begins_one_sequence_anew_and_leaves_the_other() -> None:
    ours, x = LSTM(D, H), torch.randn(T, N, D, generator=torch.Generator().manual_seed(2))
    random(ours)
    cont = continuation(T, N)
    cont[3, 0] = 0
    found, theirs = ours(x, cont), torchs(ours)
    assert torch.allclose(found[3:, 0], theirs(x[3:, :1])[0][:, 0], atol=1e-6)
    assert torch.allclose(found[:, 1], theirs(x[:, 1:])[0][:, 0], atol=1e-6)


@torch.no_grad()
def test_a_fresh_lstm_forgets() -> None:
    ours, x = FreshLSTM(D, H), torch.randn(T, N, D, generator=torch.Generator().manual_seed(3))
    random(ours)
    wanted = torchs(ours)(x)[0]
    assert torch.allclose(ours(x), wanted, atol=1e-6) and torch.equal(ours(x), ours(x))


@torch.no_grad()
def test_an_rnn_is_torchs_with_an_output_layer() -> None:
    ours, x = RNN(D, H), torch.randn(T, N, D, generator=torch.Generator().manual_seed(4))
    random(ours)
    theirs = nn.RNN(D, H)
    theirs.load_state_dict(
        {
            "weight_ih_l0": ours.weight_x,
            "weight_hh_l0": ours.weight_h,
            "bias_ih_l0": ours.bias_h,
            "bias_hh_l0": torch.zeros(H),
        }
    )
    hidden, _ = theirs(x)
    wanted = nn.functional.linear(hidden, ours.weight_o, ours.bias_o).tanh()
    assert torch.allclose(ours(x, continuation(T, N)), wanted, atol=1e-6)
