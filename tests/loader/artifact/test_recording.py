"""`activations` of a model in the wrappers that people put around it; each oracle is a forward hook."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from decant.loader import activations, load
from decant.loader.errors import UsageError
from tests.helpers.artifacts import write_lenet

# importing torch.compile's parts calls what torch itself deprecates
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> nn.Module:
    return load(write_lenet(tmp_path_factory.mktemp("artifact") / "lenet_digits"))[0]


@pytest.fixture
def x() -> torch.Tensor:
    return torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(4))


def hooked(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What conv2 puts out, by a hook of torch's own."""
    found: list[torch.Tensor] = []
    handle = net.get_submodule("conv2").register_forward_hook(
        lambda module, inputs, output: found.append(output.detach().clone())
    )
    net(x)
    handle.remove()
    return found[0]


@pytest.fixture
def alone_in_a_group(tmp_path: Path) -> Iterator[None]:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1
    )
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda net: net,
        nn.DataParallel,
        torch.compile,
        lambda net: nn.DataParallel(torch.compile(net)),
        nn.Sequential,
        copy.deepcopy,
    ],
    ids=["plain", "DataParallel", "compiled", "both", "Sequential", "copy"],
)
def test_a_wrapped_model_has_the_same(wrap: object, net: nn.Module, x: torch.Tensor) -> None:
    found = activations(wrap(net), x)  # type: ignore[operator]
    assert list(found)[:2] == ["data", "conv1"]
    torch.testing.assert_close(found["conv2"], hooked(net, x), rtol=0, atol=0)


@pytest.mark.usefixtures("alone_in_a_group")
def test_a_distributed_model_has_the_same(net: nn.Module, x: torch.Tensor) -> None:
    # DistributedDataParallel refuses a module that does not learn
    learning = copy.deepcopy(net).requires_grad_(True)
    found = activations(nn.parallel.DistributedDataParallel(learning), x)["conv2"]
    torch.testing.assert_close(found, hooked(net, x), rtol=0, atol=0)


def test_what_comes_before_it_in_a_sequential_is_run(net: nn.Module, x: torch.Tensor) -> None:
    flipped = nn.Sequential(Flip(), nn.Sequential(nn.Hardtanh(), torch.compile(net)), nn.Softmax(1))
    expected = hooked(net, x.flip(-1).clamp(-1, 1))
    torch.testing.assert_close(activations(flipped, x)["conv2"], expected, rtol=0, atol=0)


class Flip(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flip(-1)


class Users(nn.Module):
    """A module of somebody's, whose forward nobody can look into."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.backbone = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.backbone(x * 2)
        return found


@pytest.mark.filterwarnings("ignore:.torch.jit.trace.*deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_a_module_that_cannot_be_looked_into_says_so(net: nn.Module, x: torch.Tensor) -> None:
    for users in (Users(net), nn.Sequential(nn.ReLU(), Users(net))):
        with pytest.raises(UsageError, match=r"this Users feeds .*'backbone'.*pass that model"):
            activations(users, x)
    with pytest.raises(UsageError, match="Linear holds no model that load"):
        activations(nn.Linear(2, 2), x)
    traced = torch.jit.trace(net, x, check_trace=False)
    with pytest.raises(UsageError, match="holds no model that load.*exported copy is none"):
        activations(traced, x)
