"""Converting a net that is in no catalog, over the embedded reader's own time plus process start;

and whole, with real Caffe's activations, over what cannot be spared of it.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from decant.loader.definition.graph import net_from_text
from tests.helpers import definitions
from tests.helpers.random_weights import random_blobs, write_caffemodel
from tests.helpers.structures import resnet

ROOT = Path(__file__).resolve().parents[1]
NETS = {
    "GoogLeNet": definitions.googlenet(),
    "ResNet-152": resnet((3, 8, 36, 3), 64, 224),
    "VGG-16": definitions.vgg((2, 2, 3, 3, 3)),
}
# hashing aside: what is hashed, and how fast, is the processor's matter
QUIET = """
import hashlib, sys
class Nothing:
    name = "sha256"
    def update(self, data): pass
    def hexdigest(self): return "0" * 64
hashlib.sha256 = lambda *a: Nothing()
hashlib.file_digest = lambda *a: Nothing()
sys.path.insert(0, {root!r})
"""
START = QUIET + "import numpy, h5py\n"
READ = (
    QUIET
    + "from decant import pipeline; pipeline.main(['dump', '--no-parity', '--out', {out!r}, *{files!r}])\n"
)
CONVERT = (
    QUIET
    + "from decant import pipeline; pipeline.main(['convert', '--no-parity', '--out', {out!r}, *{files!r}])\n"
)
# all that a conversion has to do once Caffe has run: `cpu` gives both the same start
WHOLE = "from decant import pipeline; pipeline.main(['convert', '--out', {out!r}, *{files!r}])\n"
PARTS = """
import torch
from decant.loader.artifact.loading import load
from decant import pipeline
module, _ = load({folder!r})
picture = 50 * torch.randn(1, 3, 224, 224)
with torch.inference_mode():
    module(picture)
    module.double()(picture.double())
pipeline.main(['report', {folder!r}])
"""


def cpu(code: str, **words: object) -> float:
    """CPU seconds of a Python process of its own.

    Its cache and what it writes are gone afterwards: nothing is replaced in the next run, and all
    runs find the same memory free for the pages of their files. Python keeps its bytecode, as it does
    for everybody who does not forbid it.
    """
    environment = {x: value for x, value in os.environ.items() if x != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as place:
        out = str(Path(place) / "out.h5")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-c", code.format(root=str(ROOT), out=out, **words)],
            check=True, capture_output=True, cwd=ROOT, env={**environment, "DECANT_CACHE": place},
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def run() -> dict[str, str]:
    """`convert --no-parity --engine reader`: seconds, and over what `dump` takes."""
    results = {}
    for name, text in NETS.items():
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            net = net_from_text(text, name)
            (folder / "net.prototxt").write_text(text)
            write_caffemodel(folder / "net.caffemodel", net, random_blobs(net))
            files = ["--prototxt", str(folder / "net.prototxt"), "--engine", "reader"]
            files += ["--caffemodel", str(folder / "net.caffemodel")]
            # the first pair is the one that fills the caches
            times = [(cpu(CONVERT, files=files), cpu(READ, files=files)) for _ in range(6)][1:]
            size = (folder / "net.caffemodel").stat().st_size / 1e6
        seconds = statistics.median(made for made, _ in times)
        ratio = statistics.median(made / read for made, read in times)
        results[f"{name}, {size:.0f} MB"] = f"{seconds:.2f} s, {ratio:.2f} x the reader"
    return {**results, "GoogLeNet, whole": _whole()}


def _whole(rounds: int = 5) -> str:
    """`convert --engine caffe`, the container's own time aside, over PARTS of the same artifact."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        text = NETS["GoogLeNet"].replace("dim: 10", "dim: 1", 1)
        net = net_from_text(text, "GoogLeNet")
        (folder / "net.prototxt").write_text(text)
        write_caffemodel(folder / "net.caffemodel", net, random_blobs(net))
        files = ["--prototxt", str(folder / "net.prototxt"), "--engine", "caffe"]
        files += ["--caffemodel", str(folder / "net.caffemodel")]
        keep = [sys.executable, "-m", "decant", "convert", "--out", str(folder), "--name", "made"]
        kept = subprocess.run(
            [*keep, *files], capture_output=True, text=True, cwd=ROOT, check=False
        )
        if kept.returncode:
            return f"not measured: {kept.stderr.strip().splitlines()[-1]}"
        made = str(folder / "made")
        # the first pair writes the bytecode
        pairs = [(cpu(WHOLE, files=files), cpu(PARTS, folder=made)) for _ in range(rounds + 1)]
        times = pairs[1:]
    seconds = statistics.median(whole for whole, _ in times)
    ratio = statistics.median(whole / parts for whole, parts in times)
    return f"{seconds:.2f} s, {ratio:.2f} x importing torch, one forward in each precision and the report"
