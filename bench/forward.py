"""One forward pass, one thread: ours (channels_last) against nn.LocalResponseNorm in plain NCHW, and Caffe."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from decant.engines.caffe import run_script, time_forward
from decant.engines.job import Job
from decant.loader import zoo
from decant.loader.artifact.loading import module_from_source
from decant.loader.definition.graph import net_from_text
from decant.loader.errors import EngineError
from decant.loader.ops.lrn import LRN
from decant.loader.plan.planning import plan
from decant.loader.progress import SILENT
from decant.loader.source.codegen import generate
from tests.helpers import definitions
from tests.helpers.random_weights import random_blobs, shapes_of

ROOT = Path(__file__).resolve().parents[1]
NETS = {"googlenet": (definitions.googlenet(), 224), "caffenet": (definitions.caffenet(), 227)}


def plain(module: nn.Module) -> nn.Module:
    """The same module on torch's own layer."""
    for name, child in module.named_children():
        if isinstance(child, LRN):
            setattr(
                module, name, nn.LocalResponseNorm(child.size, child.alpha, child.beta, child.k)
            )
    return module


@torch.no_grad()
def seconds(module: nn.Module, x: torch.Tensor) -> float:
    start = time.process_time()
    module(x)
    return time.process_time() - start


def caffe(text: str, x: np.ndarray, repeat: int) -> float:
    """Median CPU seconds of a forward in the container (random weights by real Caffe)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "net.prototxt").write_text(text.replace("dim: 10", f"dim: {len(x)}", 1))
        run_script(ROOT / "tests/helpers/in_caffe/fill.py", folder, "net.caffemodel")
        (folder / "fill.py").unlink(missing_ok=True)
        job = Job(folder / "net.prototxt", folder / "net.caffemodel", {})
        task = {"task": "forward", "output": "prob", "batch": len(x), "repeat": repeat + 1}
        _, result = time_forward(job, {"data": x}, task, SILENT)
    return statistics.median(result["laps"]["forward"][1:])


def peak(module: nn.Module, x: torch.Tensor) -> int:
    """The most bytes that a forward pass holds at a time, its input and weights aside."""
    with torch.no_grad(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        module(x)
    held = most = 0
    for event in sorted(seen.profiler.kineto_results.events(), key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most


def generated(text: str) -> nn.Module:
    """The same net as `convert` writes it for a net that is in no catalog."""
    net = net_from_text(text, "net.prototxt")
    planned = plan(net, random_blobs(net), shapes_of(net))
    module = module_from_source(generate(planned, "net").source)
    return module.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def against_by_hand() -> str:
    """GoogLeNet generated, over the zoo's: time and peak memory of a forward, batch 8."""
    one = generated(definitions.googlenet())
    other = zoo.build("googlenet", {}).eval().requires_grad_(False)
    other = other.to(memory_format=torch.channels_last)
    x = torch.randn(8, 3, 224, 224).to(memory_format=torch.channels_last)
    seconds(one, x), seconds(other, x)
    time_ = statistics.median(seconds(one, x) / seconds(other, x) for _ in range(9))
    memory = peak(one, x) / peak(other, x)
    return f"{time_:.2f} x the time, {memory:.2f} x the peak memory of the module by hand"


def run() -> dict[str, str]:
    """Ratios: above 1 is faster than the peer."""
    torch.set_num_threads(1)
    results = {"googlenet, generated": against_by_hand()}
    for module, (text, side) in NETS.items():
        for batch, rounds in ((1, 15), (16, 5)):
            x = torch.randn(batch, 3, side, side) * 50
            ours = zoo.build(module, {}).to(memory_format=torch.channels_last)
            peer = plain(zoo.build(module, {}))
            near = x.to(memory_format=torch.channels_last)
            seconds(ours, near), seconds(peer, x)
            times = [(seconds(ours, near), seconds(peer, x)) for _ in range(rounds)]
            mine = statistics.median(one for one, _ in times)
            line = (
                f"{mine:.3f} s; {statistics.median(b / a for a, b in times):.2f} x the plain module"
            )
            try:
                line += f", {caffe(text, x.numpy(), rounds) / mine:.2f} x Caffe + OpenBLAS"
            except EngineError as error:
                line += f" (no Caffe: {error.message})"
            results[f"{module}, batch {batch}"] = line
    return results
