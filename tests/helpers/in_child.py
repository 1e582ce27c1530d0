"""Run a reader in a process of its own: a hang must not hang the tests, and memory must be its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# The reader's error, or "" for a reading; MiB that the reading itself took.
CODE = """
import json, resource, sys
sys.path.insert(0, {root!r})
from pathlib import Path
from {package} import {reader}
import h5py
if {files}:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, hard))
# macOS counts bytes, Linux KiB
unit = 1 << 20 if sys.platform == 'darwin' else 1 << 10
memory = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
before = memory()
try:
    {reader}.read(Path(sys.argv[1]))
    kind = text = ""
except Exception as error:
    kind, text = type(error).__name__, str(error)
print(json.dumps({{"kind": kind, "text": text, "mebibytes": memory() - before}}))
"""


def read(reader: str, path: Path, limit: float = 60, files: int = 0) -> dict[str, Any]:
    """What `reader` ("caffemodel" or "dumpfile") does with `path`; kind "hang" past `limit` seconds.

    `files`: how many the process may have open.
    """
    # of the two, Python 3.9 takes the dumper's alone
    package = {"caffemodel": "decant.loader.weights", "dumpfile": "decant.dumper"}[reader]
    code = CODE.format(root=str(ROOT), package=package, reader=reader, files=files)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            timeout=limit,
        )
    except subprocess.TimeoutExpired:
        return {"kind": "hang", "text": "", "mebibytes": 0.0}
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found
