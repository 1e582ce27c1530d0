"""Artifacts and manifests, made without the command line."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from decant.dumper import dumpfile
from decant.loader.artifact import bundle
from decant.loader.artifact.conversion import conversion_of
from decant.loader.artifact.describing import describe
from decant.loader.artifact.manifest import FORMAT, Manifest
from decant.loader.catalog.models import load_catalog

REFERENCE = Path(__file__).resolve().parents[2] / "models/lenet_digits/reference.h5"


def manifest(**keys: Any) -> Manifest:
    """Of a generated net of which nothing is known but `keys`, plain data as in manifest.json."""
    return Manifest.model_validate(
        {
            "format": FORMAT, "dump_format": 1, "name": "net", "batch": None,
            "caffe": {"net": "", "prototxt_sha256": "", "caffemodel_sha256": ""},
            "parameters": {}, "tied": {}, "layers": {}, "statements": {}, "fused": {},
            "left_out": {}, "changes": [], "inputs": [], "input_layers": {}, "outputs": [], "net": [],
            "model": None, "module": {"name": "generated", "arguments": {}}, "labels": None,
            "accuracy": [], "licence": "", "citation": "", "notes": "",
            "sources": {"prototxt": [], "caffemodel": []}, "preprocessing": None,
            "files": {}, "tensors": [], **keys,
        }
    )  # fmt: skip


def write_lenet(folder: Path) -> Path:
    """lenet_digits, written to `folder`, and returned."""
    dump = dumpfile.read(REFERENCE)
    model = load_catalog().model("lenet_digits")
    made = conversion_of(dump, model, folder.name)
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


def tensors() -> dict[str, np.ndarray]:
    """A matrix, a scalar and an empty one, under names that sort otherwise than they stand."""
    random = np.random.default_rng(2)
    return {
        "b.weight": random.standard_normal((3, 4), np.float32),
        "a": np.array(7, np.int64),
        "é": np.zeros((0, 2), np.float32),
    }
