"""A graph's values: those of a plain forward, let go on the way, and each layer alone on Caffe's."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from decant.loader.parity.running import Alone, Run, forget, names, run
from decant.loader.source.tracing import CaffeMap, Trace

X = torch.linspace(-1, 1, 6).reshape(2, 3)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.relu, self.end = nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.end(self.relu(self.fc(x)))


def trace() -> Trace:
    torch.manual_seed(0)
    modules = {"fc": "fc", "relu": "relu", "end": "end"}
    return Trace(
        Net().requires_grad_(False), CaffeMap(modules, inputs={"data": ["x"]}, blobs=["x"])
    )


def test_every_layer_has_the_value_of_a_plain_forward() -> None:
    found = trace()
    net = found.module
    assert names(found) == ["data", "fc", "relu", "end"]
    values = run(found, [X])
    assert torch.equal(values["end"][0], net(X))
    assert torch.equal(values["relu"][0], net.fc(X).relu())


def test_a_value_is_let_go_when_all_have_read_it() -> None:
    found = trace()
    forward = Run(found, found.module, [X])
    for name in names(found):
        forward.tops(name)
        forward.done(name)
    # what the net returns stays
    assert list(forward.env) == found.tops["end"]


def test_what_comes_after_may_go_on_from_caffes_values() -> None:
    found = trace()
    forward = Run(found, found.module, [X])
    forward.tops("relu")
    caffes = np.ones((2, 4), np.float32)
    forward.go_on_from("relu", [caffes])
    assert torch.equal(forward.tops("end")[0], found.module.end(torch.ones(2, 4)))


def test_alone_reads_caffes_bottoms_and_says_what_rounds() -> None:
    found = trace()
    caffes = np.array([[-1.0, 2, -3, 4], [5, -6, 7, -8]], np.float32)
    known = {found.tops["fc"][0]: caffes, found.placeholders[0]: X.numpy()}
    alone = Alone(found, found.module, known, X)
    assert np.array_equal(alone.tops("relu")[0].numpy(), caffes.clip(0))
    assert torch.equal(alone.tops("fc")[0], found.module.fc(X))
    assert alone.rounds("fc") and not alone.rounds("relu")


def test_noise_is_one_rounding_and_spares_whole_numbers() -> None:
    found = trace()
    x = torch.tensor([[1.0, 2.0, 0.3]])
    moved = Run(found, found.module, [x], torch.Generator().manual_seed(0)).tops("data")[0]
    assert moved[0, :2].tolist() == [1.0, 2.0]
    assert 0 < abs(moved[0, 2].item() - x[0, 2].item()) <= 2**-23 * 0.3 * 1.01


def test_states_are_forgotten() -> None:
    module = nn.Sequential(nn.Identity())
    module[0].reset = lambda: setattr(module[0], "state", None)  # type: ignore[assignment]
    module[0].state = 1  # type: ignore[assignment]
    forget(module)
    assert module[0].state is None
