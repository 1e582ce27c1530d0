"""The bundled LeNet as an artifact, made without the command line."""

from __future__ import annotations

import hashlib
from pathlib import Path

from decant.dumper import dumpfile
from decant.loader.artifact import bundle
from decant.loader.artifact.conversion import convert
from decant.loader.artifact.describing import describe
from decant.loader.catalog.models import load_catalog

REFERENCE = Path(__file__).resolve().parents[2] / "models/lenet_digits/reference.h5"


def write_lenet(folder: Path) -> Path:
    """Written to `folder`, and returned."""
    dump = dumpfile.read(REFERENCE)
    model = load_catalog().model("lenet_digits")
    made = convert(dump, model, folder.name)
    text = hashlib.sha256(dump.prototxt.encode()).hexdigest()
    bundle.write(
        folder,
        tensors=made.tensors,
        source=made.source,
        manifest=describe(folder.name, model, dump, made, text),
        build={},
        parity={"status": "not measured", "reason": "a test"},
    )
    return folder
