"""The verdict itself: right nets that it refuses, planted mistakes that it passes, and what it holds."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from decant.dumper import dumpfile
from decant.dumper.dumpfile import Dump
from decant.engines.caffe import dump
from decant.engines.job import Job
from decant.loader.artifact.conversion import Conversion, conversion_of
from decant.loader.artifact.recording import activations
from decant.loader.definition.graph import net_from_text
from decant.loader.errors import EngineError
from decant.loader.parity import measuring
from decant.loader.parity.running import ROUNDING
from decant.loader.parity.verdict import Parity
from decant.loader.plan.probe import make_probe
from decant.loader.progress import SILENT
from tests.helpers.deep_nets import deep_nets
from tests.helpers.planted import planted
from tests.helpers.random_weights import write_caffemodel

ROOT = Path(__file__).resolve().parents[1]
NETS = 200
# every so many of them is planted with mistakes
PLANTED = 7
FRAMES = 64
MEMORY = """
import sys, threading
from pathlib import Path
from decant.dumper import dumpfile
from decant.loader.artifact.conversion import conversion_of
from decant.loader.parity.measuring import measure
dump = dumpfile.read(Path(sys.argv[1]))
made = conversion_of(dump, None, "net")
module = made.build()
measure(dumpfile.read(Path(sys.argv[2])), module, made.caffe_map())
def held():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))
start, peak, done = held(), [0], threading.Event()
def watch():
    while not done.wait(0.002):
        peak[0] = max(peak[0], held())
watcher = threading.Thread(target=watch); watcher.start()
assert measure(dump, module, made.caffe_map()).status == "passed"
done.set(); watcher.join()
print((peak[0] - start) * 1024)
"""


def run() -> dict[str, str]:
    """Counts, and memory as a ratio."""
    torch.set_num_threads(1)
    try:
        return {**_verdicts(), **_memory()}
    except EngineError as error:
        return {"not measured": error.message}


def _verdicts() -> dict[str, str]:
    right, kinds, missed, named, unseen = Counter[str](), Counter[str](), [], 0, 0
    refused, undecided = [], []
    for at, (name, made) in enumerate(_dumped(NETS)):
        conversion = conversion_of(made, None, "net")
        found = _measured(made, conversion)
        right[found.status] += 1
        refused += [name] * (found.status == "failed")
        undecided += [name] * any(x.verdict == "ill-conditioned" for x in found.layers)
        for mistake in planted(made, at) if at % PLANTED == 0 else ():
            found = _measured(made, mistake.conversion)
            if (
                found.status != "failed"
                and _effect(made, conversion, mistake.conversion) < ROUNDING
            ):
                unseen += 1
                continue
            kinds[mistake.kind] += 1
            missed += [f"{name}: {mistake}"] * (found.status != "failed")
            named += found.first_failure is not None and found.first_failure.layer in mistake.layers
    total = sum(kinds.values())
    return {
        "right nets refused": f"{len(refused)} of {sum(right.values())} {refused or ''}",
        "of them with ill-conditioned layers": f"{len(undecided)}",
        "planted mistakes passed": f"{len(missed)} of {total}, of {len(kinds)} kinds {missed or ''}",
        "planted beside them, without an effect": f"{unseen}",
        "guilty layer named first": f"{named} of {total}",
    }


def _measured(made: Dump, conversion: Conversion) -> Parity:
    return measuring.measure(made, conversion.build(), conversion.caffe_map())


def _effect(made: Dump, right: Conversion, wrong: Conversion) -> float:
    """The most that a mistake moves a value, in float64, as a part of its layer's largest.

    Where it is less than a rounding, as behind values that died on the way, the probe cannot show it.
    """
    one, other = (_exact(made, conversion) for conversion in (right, wrong))
    moved = [0.0]
    for name, tops in one.items():
        others = other.get(name, [])
        if [top.shape for top in tops] != [top.shape for top in others]:
            return 1.0
        for mine, theirs in zip(tops, others, strict=True):
            largest = float(mine.abs().max())
            moved.append(float((mine - theirs).abs().max()) / (largest or 1.0))
    return max(moved)


def _exact(made: Dump, conversion: Conversion) -> dict[str, list[torch.Tensor]]:
    module = conversion.build().double()
    module.__dict__["caffe_map"] = conversion.caffe_map()
    probe = {blob: torch.from_numpy(np.array(x)).double() for blob, x in made.probe.items()}
    found = activations(module, probe)
    return {name: top if isinstance(top, list) else [top] for name, top in found.items()}


def _dumped(count: int, batch: int = 1) -> Iterator[tuple[str, Dump]]:
    """What real Caffe makes of deep nets."""
    with tempfile.TemporaryDirectory() as name:
        for what, text, fill in deep_nets(count):
            folder = Path(name)
            text = text.replace("dim: 1 ", f"dim: {batch} ", 1)
            (folder / "net.prototxt").write_text(text)
            net = net_from_text(text, "net.prototxt")
            write_caffemodel(folder / "net.caffemodel", net, fill(net))
            probe = make_probe(net, {blob: shape for blob, shape in net.inputs.items() if shape})
            job = Job(folder / "net.prototxt", folder / "net.caffemodel", probe, net=net)
            yield what, dump(job, folder / "dump.h5", SILENT).content


def _memory() -> dict[str, str]:
    """A ResNet-50 on a batch: what the comparison holds beside the dump, which is mapped."""
    results = {}
    with tempfile.TemporaryDirectory() as name:
        files = [Path(name) / f"{batch}.h5" for batch in (FRAMES, 1)]
        for file, batch in zip(files, (FRAMES, 1), strict=True):
            made = next(_dumped(1, batch))[1]
            dumpfile.write(file, made, made.layers, made.probe)
        tops = [sum(x.nbytes for x in layer.activations) for layer in made.layers]
        found = subprocess.run(
            [sys.executable, "-c", MEMORY, *map(str, files)],
            capture_output=True, text=True, check=True, cwd=ROOT,
        )  # fmt: skip
        largest, all_ = FRAMES * max(tops), FRAMES * sum(tops)
        results[f"memory of the comparison, {FRAMES} frames"] = (
            f"{int(found.stdout) / largest:.1f} x the largest layer's tops, "
            f"{int(found.stdout) / all_:.2f} x all activations"
        )
    return results
