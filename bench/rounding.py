"""What float32 makes of one layer: ours and real Caffe, apart and from float64, of the largest value.

The tables of docs/parity.md are made from it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from decant.dumper.dumpfile import Dump
from decant.loader.artifact.conversion import conversion_of
from decant.loader.errors import EngineError
from decant.loader.ops.batch_norm import centred
from decant.loader.parity.metrics import distance, error_of
from tests.helpers.caffe_answers import ask, unpack
from tests.helpers.nets import SmallNet, inputs_text, layer

SHAPE = (2, 10, 1000)
Values = Callable[[np.random.Generator], np.ndarray]
VALUES: dict[str, Values] = {
    "ordinary": lambda random: random.standard_normal(SHAPE) * 2,
    "1e-3": lambda random: random.standard_normal(SHAPE) * 1e-3,
    "1e-6": lambda random: random.standard_normal(SHAPE) * 1e-6,
    "1e-40": lambda random: random.standard_normal(SHAPE) * 1e-40,
    "-10 to -110": lambda random: -random.uniform(10, 110, SHAPE),
    "10 to 80": lambda random: random.uniform(10, 80, SHAPE),
    "to 1e30": lambda random: random.choice([-1, 1], SHAPE) * 10 ** random.uniform(2, 30, SHAPE),
    "around 1": lambda random: 1 + random.standard_normal(SHAPE) * 1e-3,
}
POSITIVE = {"Log", "Power 0.5"}
FUNCTIONS = {
    "ELU": ("ELU", ""),
    "Sigmoid": ("Sigmoid", ""),
    "TanH": ("TanH", ""),
    "BNLL": ("BNLL", ""),
    "Swish": ("Swish", ""),
    "Exp": ("Exp", ""),
    "Exp base 10": ("Exp", "exp_param { base: 10 scale: 0.3 shift: 1.7 }"),
    "Log": ("Log", ""),
    "Log base 10": ("Log", "log_param { base: 10 scale: 2 shift: 1 }"),
    "Power 2": ("Power", "power_param { power: 2 scale: 0.7 shift: 0.1 }"),
    "Power 3": ("Power", "power_param { power: 3 }"),
    "Power 0.5": ("Power", "power_param { power: 0.5 }"),
    "Power -1": ("Power", "power_param { power: -1 }"),
    "Softmax": ("Softmax", ""),
}
DEVIATIONS = (1, 10, 32, 100, 1000, 1e4, 1e5)


def run() -> dict[str, str]:
    """BatchNorm by how far its means are from 0; then functions by their input."""
    return {**batch_norms(), **functions()}


def batch_norms() -> dict[str, str]:
    """nn.BatchNorm against the same that subtracts first, whose bits are Caffe's; no container."""
    results = {}
    for scaled in (False, True):
        for deviations in DEVIATIONS:
            worst = [
                max(batch_norm(deviations, scaled, spread, seed) for seed in range(20))
                for spread in (1.0, 0.1)
            ]
            name = f"BatchNorm{' and Scale' * scaled}, means {deviations:g} deviations from 0"
            results[name] = f"{worst[0]:.1e} (values a tenth as wide: {worst[1]:.1e})"
    return results


def batch_norm(deviations: float, scaled: bool, spread: float, seed: int) -> float:
    """How far nn.BatchNorm is off; `spread`: of the values, in deviations."""
    random = np.random.default_rng(seed)
    variance = np.exp(random.standard_normal(32) - 10 * (seed % 2)).astype(np.float32)
    deviation = np.sqrt(variance + 1e-5)
    mean = (deviations * deviation * random.choice([-1, 1], 32)).astype(np.float32)
    x = mean + spread * deviation * random.standard_normal((4096, 32))
    factors = random.standard_normal((2, 32)).astype(np.float32) if scaled else [None, None]
    state = [
        None if array is None else torch.from_numpy(array) for array in (mean, variance, *factors)
    ]
    tensor = torch.from_numpy(x.astype(np.float32))
    torchs = torch.nn.functional.batch_norm(tensor, *state, eps=1e-5)  # type: ignore[arg-type]
    caffes = centred(tensor, *state, 1e-5)  # type: ignore[arg-type]
    return error_of(torchs.numpy(), caffes.numpy())


def functions() -> dict[str, str]:
    """Each function on each kind of values, through real Caffe."""
    nets = [
        SmallNet(
            f"{name}, {values}",
            kind,
            inputs_text({"data": SHAPE}) + layer("it", kind, ["data"], ["out"], param),
            {"data": SHAPE},
            {"data": _values(name, values)},
        )
        for name, (kind, param) in FUNCTIONS.items()
        for values in VALUES
    ]
    with tempfile.TemporaryDirectory() as folder:
        try:
            dumps = unpack(ask(nets), Path(folder))
        except EngineError as error:
            return {"functions": f"not measured: {error.message}"}
        return {net.name: compared(dumps[net.name]) for net in nets}


def _values(name: str, values: str) -> Callable[[np.random.Generator, object], np.ndarray]:
    def made(random: np.random.Generator, _: object) -> np.ndarray:
        found = VALUES[values](random)
        return np.abs(found) if name in POSITIVE else found

    return made


@torch.no_grad()
def compared(dump: Dump) -> str:
    """Our module, Caffe's own numbers, and our module in float64."""
    module = conversion_of(dump, None, "net").build()
    x = torch.from_numpy(np.array(dump.probe["data"]))
    ours, caffes = module(x).numpy(), np.array(dump.layers[-1].activations[0])
    truth = module.double()(x.double()).numpy()
    apart = distance(ours, caffes)
    text = f"{apart.error:.1e} apart; from float64 ours {error_of(ours, truth):.1e}, "
    return text + f"Caffe {error_of(caffes, truth):.1e}" + (apart.reason and f"; {apart.reason}")
