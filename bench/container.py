"""What the container costs: CPU of the dump of a GoogLeNet, by what it was spent on, and the wall time."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from decant.engines.caffe import dump, run_script
from decant.engines.job import Job
from decant.loader.definition.graph import read_net
from decant.loader.errors import EngineError
from decant.loader.plan.probe import make_probe
from decant.loader.progress import SILENT
from tests.helpers import definitions

ROOT = Path(__file__).resolve().parents[1]


def run() -> dict[str, str]:
    """Parameters only, then with the probe run."""
    results = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "net.prototxt").write_text(
            definitions.googlenet().replace("dim: 10", "dim: 1", 1)
        )
        try:
            run_script(ROOT / "tests/helpers/in_caffe/fill.py", folder, "net.caffemodel")
        except EngineError as error:
            return {"not measured": error.message}
        for what, probe in (
            ("parameters", {}),
            ("with the probe", make_probe(read_net(folder / "net.prototxt"))),
        ):
            job = Job(folder / "net.prototxt", folder / "net.caffemodel", probe)
            runs = []
            for _ in range(5):
                start = time.perf_counter()
                done = dump(job, folder / "dump.h5", SILENT)
                runs.append((sum(done.seconds.values()), time.perf_counter() - start, done.seconds))
            cpu, wall, parts = sorted(runs, key=lambda run: run[0])[2]
            shares = ", ".join(f"{part} {seconds:.2f}" for part, seconds in parts.items())
            results[f"GoogLeNet, {what}"] = (
                f"{cpu:.2f} s of CPU ({shares}); {wall:.2f} s on the clock"
            )
    return results
