"""What real Caffe computes for many small nets, in one container."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from decant.dumper import dumpfile
from decant.engines.caffe import run_script
from tests.helpers.in_caffe import SCRIPTS
from tests.helpers.nets import SmallNet

# what it computed for `nets.NETS`: `python -m tests.helpers.caffe_answers` asks it again
GOLDEN = Path(__file__).parents[1] / "loader/layers/golden.zip"


def ask(nets: Sequence[SmallNet]) -> bytes:
    """dumps.zip: NAME.npz for each net that Caffe takes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with zipfile.ZipFile(folder / "nets.zip", "w") as archive:
            for net in nets:
                archive.writestr(f"{net.name}.prototxt", net.text)
                archive.writestr(f"{net.name}.txt", net.weights)
                archive.writestr(f"{net.name}.npz", _npz(net.arrays()))
                blobs = {
                    f"{layer}/{number}": blob
                    for layer, found in net.blobs.items()
                    for number, blob in enumerate(found)
                }
                archive.writestr(f"{net.name}.blobs.npz", _npz(blobs))
        run_script(SCRIPTS / "dump_nets.py", folder, "dumps.zip")
        return (folder / "dumps.zip").read_bytes()


def _npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def unpack(data: bytes | Path, folder: Path) -> dict[str, dumpfile.Dump]:
    """The dumps by name."""
    with zipfile.ZipFile(io.BytesIO(data) if isinstance(data, bytes) else data) as archive:
        archive.extractall(folder)
        names = archive.namelist()
    return {name[:-4]: dumpfile.read(folder / name) for name in names}


if __name__ == "__main__":
    from tests.helpers.nets import NETS

    GOLDEN.write_bytes(ask(NETS))
    print(f"{GOLDEN.name}: {GOLDEN.stat().st_size} bytes")
