"""caffemodel -> dump and caffemodel -> model.safetensors, in CPU time of `cp` on the same file."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from decant.dumper import dumpfile
from decant.dumper.dumpfile import Header, Layer
from tests.helpers.encode_caffemodel import write_v1

ROOT = Path(__file__).resolve().parents[1]
# (output, input, kernel) of each layer: the weights' sizes are those of the published nets
VGG16 = [(64, 3, 3), (64, 64, 3), (128, 64, 3), (128, 128, 3), (256, 128, 3), *[(256, 256, 3)] * 2,
         (512, 256, 3), *[(512, 512, 3)] * 5]  # fmt: skip
NETS = {
    "GoogLeNet size": ([(192, 64, 3)] * 60, [(1000, 1024)]),
    "CaffeNet": ([(96, 3, 11), (256, 48, 5), (384, 256, 3), (384, 192, 3), (256, 192, 3)],
                 [(4096, 9216), (4096, 4096), (1000, 4096)]),
    "VGG-16": (VGG16, [(4096, 25088), (4096, 4096), (1000, 4096)]),
}  # fmt: skip
LAYERS = 2621
WRITE_DUMP = """
from decant.dumper import dumpfile as d
m = caffemodel.read(path)
layers = (
    d.Layer(l.name, l.type, [], [], [b.array() for b in l.blobs], [None] * len(l.blobs))
    for l in m.layers
)
d.write(Path(out), d.Header("n", "", "", "reader", "", False, ""), layers, {})
"""
STEPS = {
    "start": "",
    "dump.h5": WRITE_DUMP,
    "dump.npz": "out += '.npz'\n" + WRITE_DUMP,
    "model.safetensors": """
from decant.loader.artifact import safetensors_file as s
m = caffemodel.read(path)
arrays = {l.name + str(i): b.array() for l in m.layers for i, b in enumerate(l.blobs)}
s.write(Path(out), arrays, hashed=False)
""",
    "sha256 and finite": """
import hashlib, threading
hashing = threading.Thread(target=lambda: hashlib.file_digest(open(path, "rb"), "sha256"))
hashing.start()
m = caffemodel.read(path)
assert not any(caffemodel.not_finite(b.array()) for l in m.layers for b in l.blobs)
hashing.join()
""",
}
HEAD = "import sys; from pathlib import Path; import numpy; from decant.loader.weights import caffemodel; path, out = sys.argv[1:]\n"
# The peak of private memory, sampled: /proc has a peak for all memory, mapped files included, only.
WATCH = """
import threading
peak, done = [0], threading.Event()
def watch():
    while True:
        with open('/proc/self/status') as status:
            found = next(line.split()[1] for line in status if line.startswith('RssAnon'))
        peak[0] = max(peak[0], int(found))
        if done.wait(0.002):
            return
watcher = threading.Thread(target=watch); watcher.start()
"""
TAIL = "\ndone.set(); watcher.join(); print(peak[0])"


def make(
    path: Path, convolutions: list[tuple[int, int, int]], matrices: list[tuple[int, int]]
) -> None:
    random = np.random.default_rng(1)
    shapes = [("Convolution", (o, i, k, k)) for o, i, k in convolutions]
    shapes += [("InnerProduct", shape) for shape in matrices]
    write_v1(
        path,
        (
            (
                f"layer{number}",
                kind,
                [random.random(s, np.float32), random.random(s[0], np.float32)],
            )
            for number, (kind, s) in enumerate(shapes)
        ),
    )


def cpu(command: list[str]) -> tuple[float, str]:
    """(CPU seconds, standard output) of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def private_memory(code: str, path: Path, out: Path) -> int:
    """MiB; sampling costs time, so no run that is timed does it."""
    said = cpu([sys.executable, "-c", HEAD + WATCH + code + TAIL, str(path), str(out)])[1]
    return int(said) // 1024


def run(rounds: int = 5) -> dict[str, str]:
    """Medians of paired rounds, each into a new file; process start is subtracted, and said."""
    results = {}
    for name, (convolutions, matrices) in NETS.items():
        with tempfile.TemporaryDirectory() as folder:
            path, out = Path(folder) / "net.caffemodel", Path(folder) / "out"
            make(path, convolutions, matrices)
            times: dict[str, list[float]] = {step: [] for step in ("cp", *STEPS)}
            for _ in range(rounds):
                commands = {"cp": ["cp", str(path), str(out)]}
                commands |= {
                    step: [sys.executable, "-c", HEAD + code, str(path), str(out)]
                    for step, code in STEPS.items()
                }
                for step, command in commands.items():
                    times[step].append(cpu(command)[0])
                    _remove(out)
            start = statistics.median(times["start"])
            copy = statistics.median(times["cp"])
            results[f"{name}, {path.stat().st_size / 1e6:.0f} MB"] = (
                f"cp {copy:.2f} s, start {start:.2f} s"
            )
            least = private_memory(STEPS["start"], path, out)
            for step in list(STEPS)[1:]:
                net = statistics.median(times[step]) - start
                extra = private_memory(STEPS[step], path, out) - least
                _remove(out)
                results[f"{name} -> {step}"] = (
                    f"{net / copy:.2f} x cp after start ({net:.2f} s), {extra} MiB private above start"
                )
    return {**results, **_many_layers()}


def _many_layers(rounds: int = 5) -> dict[str, str]:
    """A dump of LAYERS small layers: what an object costs in HDF5, over the same dump in NPZ."""
    random = np.random.default_rng(1)
    layers = []
    for number in range(LAYERS):
        shapes = ([(16, 16, 3, 3)], [(16,), (16,)], [])[number % 3]
        params = [random.random(shape, np.float32) for shape in shapes]
        name = f"layer{number}"
        layers.append(Layer(name, "T", [name], [name], params, [None] * len(params)))
    header = Header("net", "", "", "reader", "", False, "")
    ratios: dict[str, list[float]] = {"written": [], "read": []}
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / "dump.h5", Path(folder) / "dump.npz"]
        for _ in range(rounds):
            written = [_seconds(dumpfile.write, file, header, layers, {}) for file in files]
            read = [_seconds(dumpfile.read, file) for file in files]
            ratios["written"].append(written[0] / written[1])
            ratios["read"].append(read[0] / read[1])
    return {
        f"{LAYERS:,} layers, HDF5 {what}": f"{statistics.median(found):.1f} x NPZ"
        for what, found in ratios.items()
    }


def _seconds(work: Callable[..., object], *words: object) -> float:
    """CPU time of a call."""
    start = time.process_time()
    work(*words)
    return time.process_time() - start


def _remove(out: Path) -> None:
    """Writing over an old file costs other times than writing a new one."""
    out.unlink(missing_ok=True)
    Path(f"{out}.npz").unlink(missing_ok=True)
