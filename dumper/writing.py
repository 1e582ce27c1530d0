"""Write a dump: what a layer becomes in the tree of places that both forms of the file share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Dict, Iterable, Mapping, Tuple, Union

import numpy as np

from .content import FORMAT, VERSION, DumpError, Header, Layer
from .hdf5_writer import Hdf5Writer
from .npz_writer import NpzWriter

Writer = Union[Hdf5Writer, NpzWriter]


def write(
    path: Path, header: Header, layers: Iterable[Layer], probe: Mapping[str, np.ndarray]
) -> None:
    """Write a dump; `.npz` selects the NPZ form. Layers are taken one at a time.

    The file is written where `path` says: writing beside and renaming is the caller's. Raises
    DumpError for an array that is not float32, and for parameters without owners.
    """
    path = Path(path)
    with _writer(path) as tree:
        tree.attributes(
            "",
            {
                "format": FORMAT,
                "version": VERSION,
                "net_name": header.net_name,
                "prototxt": header.prototxt,
                "prototxt_run": header.prototxt_run,
                "engine": header.engine,
                "caffe_version": header.caffe_version,
                "has_activations": header.has_activations,
                "caffemodel_sha256": header.caffemodel_sha256,
                **({"reading": header.reading} if header.reading else {}),
                **({"notes": json.dumps(header.notes)} if header.notes else {}),
            },
        )
        count = 0
        shapes: Dict[Tuple[int, int], Tuple[int, ...]] = {}
        for layer in layers:
            _write_layer(tree, f"layers/{count:05}", layer, shapes)
            shapes.update(
                ((count, number), array.shape) for number, array in enumerate(layer.params)
            )
            count += 1
        tree.attributes("layers", {"count": count})
        for index, (name, array) in enumerate(probe.items()):
            _check(f"probe {name!r}", array)
            tree.array(f"probe/{index}", array, {"name": name})


def _writer(path: Path) -> Writer:
    return NpzWriter(path) if path.suffix == ".npz" else Hdf5Writer(path)


def _check(place: str, array: np.ndarray) -> None:
    """A dump holds what Caffe holds; another type would be rounded on its way into the file."""
    if array.dtype != np.dtype("<f4"):
        raise DumpError(f"{place}: an array of {array.dtype}; a dump holds float32")


def _write_layer(
    tree: Writer, place: str, layer: Layer, shapes: Mapping[Tuple[int, int], Tuple[int, ...]]
) -> None:
    if len(layer.params) != len(layer.owners):
        raise DumpError(
            f"layer {layer.name!r}: {len(layer.params)} parameters, {len(layer.owners)} owners"
        )
    for array in layer.params + layer.activations:
        _check(f"layer {layer.name!r}", array)
    tree.attributes(
        place,
        {
            "name": layer.name,
            "type": layer.type,
            "bottoms": json.dumps(list(layer.bottoms)),
            "tops": json.dumps(list(layer.tops)),
        },
    )
    if layer.params:
        own = {
            str(number): list(array.shape)
            for number, (array, owner) in enumerate(zip(layer.params, layer.owners))
            if owner is not None and shapes.get(owner) != array.shape
        }
        texts = {"owners": json.dumps(layer.owners)}
        if own:
            texts["shapes"] = json.dumps(own)
        tree.attributes(place + "/params", texts)
    for number, (array, owner) in enumerate(zip(layer.params, layer.owners)):
        if owner is None:
            tree.array(f"{place}/params/{number}", array)
    for number, array in enumerate(layer.activations):
        tree.array(f"{place}/activations/{number}", array)
