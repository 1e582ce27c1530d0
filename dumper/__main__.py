"""Stage 1 inside the container: `python3 -I -B -m dumper JOB`, JOB a folder.

Expects JOB/in/job.json, an object with
  task        "dump" or "forward"
  prototxt    name of the definition in JOB/in
  deploy      name of its deploy form in JOB/in, which is what Caffe gets; null: it is one
  caffemodel  name of the weights in JOB/in, or null for a net without parameters
  probe       name of an NPZ in JOB/in: one float32 array for each input blob; null: run nothing
  shapes      of inputs, by blob, where they are not those of the text; the probe's come first
  filled      names of layers that the weights lack and whose fillers make their values
  dump:    caffemodel_sha256, reading   texts, go into the dump as they are
           notes   a list of texts, likewise
  forward: output  name of the blob wanted;  batch  pictures a pass;  repeat  passes of each batch
           (for timing); the NPZ's first axes are cut into batches

Leaves in JOB/out
  dump.h5     (dump) see docs/dump-format.md
  output.npy  (forward) the blob for each picture, float32
  result.json written last:
    {"ok": true, "file", "size", "sha256", "layers", "caffe_version", "notes", "seconds": {...},
     "peak_memory": bytes}
    {"ok": false, "kind": "unsupported" | "input" | "bug", "error": one line, "details": [lines],
     "traceback": text}
What Caffe refuses itself ends the process (LOG(FATAL)): no result.json, and the reason is the `F`
line of stderr. Stdout is for people. Runs on Python 3.9 with numpy, h5py and caffe.
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Dict

import numpy as np


def dump(job: Dict[str, Any], folder: Path, clock: Clock) -> Dict[str, Any]:
    """Write out/dump.h5."""
    from . import net, writing
    from .content import Header

    clock.lap("import caffe")
    text = _text(folder / "in" / job["prototxt"])
    probe = _probe(job, folder)
    shapes = {name: array.shape for name, array in probe.items()}
    given = {**job["shapes"], **shapes}
    net_name, runnable = net.runnable_text(_given(job, folder), given, job["filled"])
    target = folder / "out" / "net.prototxt"
    target.write_text(runnable, encoding="utf-8")
    caffe_net = net.build(target, shapes)
    notes = []
    if job["caffemodel"]:
        notes = net.fill(caffe_net, folder / "in" / job["caffemodel"], job["filled"])
    else:
        net.refuse_unfilled(caffe_net)
    clock.lap("load")
    header = Header(
        net_name=net_name,
        prototxt=text,
        prototxt_run=runnable,
        engine="caffe",
        caffe_version=net.version(),
        has_activations=bool(probe),
        caffemodel_sha256=job["caffemodel_sha256"],
        notes=job["notes"],
        reading=job["reading"],
    )
    file = folder / "out" / "dump.h5"
    writing.write(file, header, net.walk(caffe_net, probe), probe)
    clock.lap("run and write" if probe else "write")
    return {
        "file": file.name,
        "layers": len(caffe_net.layers),
        "caffe_version": net.version(),
        "notes": notes,
    }


def forward(job: Dict[str, Any], folder: Path, clock: Clock) -> Dict[str, Any]:
    """Write out/output.npy."""
    from . import net

    clock.lap("import caffe")
    text = _given(job, folder)
    target = folder / "out" / "net.prototxt"
    inputs = _probe(job, folder)
    count, batch = len(next(iter(inputs.values()))), int(job["batch"])
    shapes = {name: array[:batch].shape for name, array in inputs.items()}
    target.write_text(net.runnable_text(text, shapes, job["filled"])[1], encoding="utf-8")
    outputs = []
    caffe_net, shape = None, 0
    for start in range(0, count, batch):
        part = {name: array[start : start + batch] for name, array in inputs.items()}
        size = min(batch, count - start)
        if size != shape:
            caffe_net = net.build(target, {name: array.shape for name, array in part.items()})
            if job["caffemodel"]:
                net.fill(caffe_net, folder / "in" / job["caffemodel"], job["filled"])
            shape = size
            clock.lap("load")
        for _ in range(int(job.get("repeat", 1))):
            output = net.forward(caffe_net, part, job["output"])
            clock.lap("forward")
        outputs.append(output)
    np.save(str(folder / "out" / "output.npy"), np.concatenate(outputs))
    return {"file": "output.npy", "layers": 0, "caffe_version": net.version(), "notes": []}


class Clock:
    """CPU seconds of this process, by what they were spent on; `laps` keeps each of a kind."""

    def __init__(self) -> None:
        self._last = 0.0
        self.seconds = {}  # type: Dict[str, float]
        self.laps = {}  # type: Dict[str, Any]

    def lap(self, name: str) -> None:
        now = time.process_time()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self.laps.setdefault(name, []).append(now - self._last)
        self._last = now


def _given(job: Dict[str, Any], folder: Path) -> str:
    """The text that Caffe is to run."""
    return _text(folder / "in" / str(job["deploy"] or job["prototxt"]))


def _text(file: Path) -> str:
    """As the host decodes it: a comment may be in any encoding."""
    return file.read_bytes().decode(errors="replace")


def _probe(job: Dict[str, Any], folder: Path) -> Dict[str, np.ndarray]:
    if not job["probe"]:
        return {}
    with np.load(str(folder / "in" / job["probe"]), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _closing(result: Dict[str, Any], folder: Path, clock: Clock) -> Dict[str, Any]:
    file = folder / "out" / result["file"]
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    clock.lap("hash")
    result.update(
        ok=True,
        size=file.stat().st_size,
        sha256=digest.hexdigest(),
        seconds=clock.seconds,
        laps=clock.laps,
        # in KiB: this runs in the container, on Linux
        peak_memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )
    return result


def main(folder: Path) -> int:
    """Do the job; 0 if result.json says ok."""
    clock = Clock()
    try:
        job = json.loads((folder / "in" / "job.json").read_text())
        task = {"dump": dump, "forward": forward}[job["task"]]
        result = _closing(task(job, folder, clock), folder, clock)
    except Exception as error:
        result = {
            "ok": False,
            "kind": getattr(error, "kind", "bug"),
            "error": getattr(error, "message", f"{type(error).__name__}: {error}"),
            "details": getattr(error, "details", []),
            "traceback": traceback.format_exc(),
        }
        print(result["traceback"], file=sys.stderr)
    (folder / "out" / "result.json").write_text(json.dumps(result))
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
