"""Engine `reader`: the dump's parameters without Docker and without Caffe; no activations."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from decant.dumper import dumpfile
from decant.engines.crosscheck import check_names, refuse, same_bits
from decant.engines.engine import Engine
from decant.engines.job import Job, StageOne
from decant.engines.table import Name
from decant.engines.weights import Weights, always_has_blobs
from decant.loader.definition.graph import Layer, Net, owners, read_net
from decant.loader.errors import BadInput, UsageError
from decant.loader.layers import type_of
from decant.loader.layers.layer_type import CAFFE, Weight
from decant.loader.layers.rule import Shape
from decant.loader.machine import peak_memory
from decant.loader.plan.fillers import at_random
from decant.loader.progress import Progress
from decant.loader.weights import caffemodel


def dump(job: Job, out: Path, progress: Progress) -> StageOne:
    """Write the dump to `out`, whole or not at all. Raises BadInput with every discrepancy."""
    started = time.process_time()
    net = job.net or read_net(job.prototxt)
    weights = replace(job, net=net).read_weights()
    with progress.task("the reader takes the parameters"):
        layers = assemble(net, weights, job)
    notes = list(weights.notes) if weights else []
    header = dumpfile.Header(
        net_name=net.name,
        prototxt=net.text,
        prototxt_run="",
        engine="reader",
        caffe_version="",
        has_activations=False,
        caffemodel_sha256=job.digest(),
        reading=net.reading.to_text(),
        notes=notes,
    )
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".decant-") as folder:
        target = Path(folder) / ("dump" + (".npz" if out.suffix == ".npz" else ".h5"))
        dumpfile.write(target, header, layers, {})
        os.replace(target, out)
    return StageOne(
        dump=out,
        content=dumpfile.Dump(**vars(header), layers=layers),
        engine="reader",
        layers=len(layers),
        seconds={"read and write": time.process_time() - started},
        peak_memory=peak_memory(),
        notes=[*net.notes, *notes],
    )


@dataclass(frozen=True)
class _Reader:
    """The embedded reader, for the table of engines: it takes every net, and runs none."""

    name: Name = "reader"
    runs: bool = False
    lacks: str = "it brings no activations"
    refusal: str = ""

    def available(self) -> str:
        return "it needs nothing"

    def takes(
        self,
        net: Net,
        blobs: Mapping[str, Sequence[Shape]] | None = None,
        plugged: Sequence[Layer] = (),
    ) -> list[str]:
        return []

    dump = staticmethod(dump)

    def forward(
        self,
        prototxt: Path,
        weights: Path | None,
        inputs: Mapping[str, np.ndarray],
        output: str,
        progress: Progress,
        batch: int = 16,
        net: Net | None = None,
    ) -> np.ndarray:
        raise UsageError("the embedded reader runs no nets; use --engine caffe")


ENGINE: Engine = _Reader()


def parameters(net: Net, job: Job, finite: bool = True) -> list[Sequence[np.ndarray]]:
    """Each layer's blobs, views of the file; nothing is written. Raises BadInput as `dump` does.

    `finite` False: NaN is left for the engine to find; looking at every value takes as long as
    copying the file.
    """
    weights = replace(job, net=net).read_weights()
    return [layer.params for layer in assemble(net, weights, job, finite)]


def _without_weights(layer: Layer) -> str:
    random = at_random(layer)
    filled = f" (Caffe fills it at random: {random})" if random else ""
    return (
        f"line {layer.line}: layer {layer.name!r} ({layer.type}) has no weights in the file{filled}"
    )


def assemble(
    net: Net, weights: Weights | None, job: Job, finite: bool = True
) -> list[dumpfile.Layer]:
    """The net's layers with the file's blobs, by layer name as Caffe matches them.

    `finite`: refuse NaN and infinities too.
    """
    model, made = (weights.model, weights.made) if weights else (None, {})
    sources = model.by_name() if model is not None else {}
    shared = owners(net)
    layers: list[dumpfile.Layer] = []
    wrong, lacking = _duplicates(net, sources), set()
    strangers: list[str] = []
    for index, layer in enumerate(net.layers):
        record = dumpfile.Layer(layer.name, layer.type, list(layer.bottoms), list(layer.tops))
        lent = {number: owner for (at, number), owner in shared.items() if at == index}
        blobs = _own(index, net, sources, shared)
        layers.append(record)
        if layer.name in made:
            record.params = list(made[layer.name])
            record.owners = [None] * len(record.params)
            continue
        if not blobs and not lent:
            if always_has_blobs(layer):
                lacking.add(layer.name)
                wrong.append(_without_weights(layer))
            continue
        found = _fill(record, layer, blobs, lent, layers)
        if not found:
            found = misfits(layer, [array.shape for array in record.params])
        else:
            lacking.add(layer.name)
        wrong += found
    if model is None and lacking:
        first = next(layer.name for layer in net.layers if layer.name in lacking)
        raise BadInput(
            f"{job.prototxt}: layer {first!r}, the first of {len(lacking)}, has weights, and no file "
            "was given that holds them: add --caffemodel FILE",
            wrong,
        )
    if model is not None:
        places = {x.name for x in layers if x.params} | lacking
        strangers = check_names(model, places, job.ignored_layers, net.left_out)
        wrong += _different_copies(layers)
        strange = _not_finite(layers) if finite else []
        if strange and not wrong and not strangers:
            raise BadInput(f"{job.caffemodel}: {strange[0]}; use another checkpoint", strange)
        wrong += strange
    refuse(job.caffemodel or job.prototxt, wrong, strangers)
    return layers


def _own(
    index: int,
    net: Net,
    sources: Mapping[str, caffemodel.Layer],
    shared: Mapping[tuple[int, int], tuple[int, int]],
) -> list[caffemodel.Blob | None]:
    """The layer's blobs in the file; if it is not there at all, those that other layers share with it.

    A layer that is there with too few blobs Caffe refuses (net.cpp, CopyTrainedLayersFrom).
    """
    source = sources.get(net.layers[index].name)
    if source is not None:
        return list(source.blobs)
    blobs: list[caffemodel.Blob | None] = []
    for (at, number), (owner, place) in shared.items():
        borrower = sources.get(net.layers[at].name)
        if owner != index or borrower is None or number >= len(borrower.blobs):
            continue
        blobs += [None] * (place + 1 - len(blobs))
        blobs[place] = blobs[place] or borrower.blobs[number]
    return blobs


def _fill(
    record: dumpfile.Layer,
    layer: Layer,
    blobs: Sequence[caffemodel.Blob | None],
    lent: Mapping[int, tuple[int, int]],
    layers: Sequence[dumpfile.Layer],
) -> list[str]:
    """Give `record` its own blobs and those it borrows; returns what neither fills.

    HDF5 files hold a shared blob once, with its owner (net.cpp, Net::ToHDF5).
    """
    wrong = []
    for number in range(max(len(blobs), _blob_count(layer) or 0, *(n + 1 for n in lent), 0)):
        blob = blobs[number] if number < len(blobs) else None
        owner = lent.get(number)
        if blob is not None:
            record.params.append(_shaped(blob, layer, number))
        elif owner is not None and owner[1] < len(layers[owner[0]].params):
            record.params.append(layers[owner[0]].params[owner[1]])
        else:
            wrong.append(
                f"line {layer.line}: layer {layer.name!r} ({layer.type}): the file has no blob {number}"
            )
            continue
        record.owners.append(owner)
    if wrong:
        record.params, record.owners = [], []
    return wrong


def _duplicates(net: Net, sources: dict[str, caffemodel.Layer]) -> list[str]:
    names = [layer.name for layer in net.layers]
    return [
        f"two layers of the net are called {name!r}, with parameters: Caffe fills only the first"
        for name in sorted(set(names) & set(sources))
        if names.count(name) > 1
    ]


def _shaped(blob: caffemodel.Blob, layer: Layer, number: int) -> np.ndarray:
    """The blob as Caffe's own net holds it: legacy shapes lose their leading ones."""
    shape = blob.shape
    axes = type_of(layer).legacy_axes
    if layer.type == "PReLU" and layer.fields.message("prelu_param").boolean("channel_shared"):
        axes = (0,)
    if blob.legacy and number < len(axes):
        extra = len(shape) - axes[number]
        if shape[:extra] == (1,) * extra:
            shape = shape[extra:]
    return blob.array().reshape(shape)


def _different_copies(layers: list[dumpfile.Layer]) -> list[str]:
    """An unshared model in a sharing net: Caffe would take the file's last copy for all."""
    return [
        f"layer {layer.name!r}, blob {number}: shared with layer {layers[owner[0]].name!r}, but the "
        "file has other values for it"
        for layer in layers
        for number, (array, owner) in enumerate(zip(layer.params, layer.owners, strict=True))
        if owner is not None
        and array.size
        # an owner that lacks blobs is named already
        and owner[1] < len(layers[owner[0]].params)
        and not same_bits(array, layers[owner[0]].params[owner[1]])
    ]


def _says_its_blobs(layer: Layer) -> bool:
    """Whether its fields alone say which blobs it has: stock Caffe's convolutions and products."""
    of = type_of(layer)
    return of.weight is not Weight.NOT and of.origin == CAFFE


def _blob_count(layer: Layer) -> int | None:
    """How many blobs the definition asks for, where it says so."""
    if not _says_its_blobs(layer):
        return None
    try:
        return 1 + layer.fields.message(type_of(layer).message).boolean("bias_term", True)
    except ValueError:
        return None  # misfits names the field


def misfits(layer: Layer, shapes: list[tuple[int, ...]]) -> list[str]:
    """What the definition alone says of a layer's blobs: their number, axes, and outputs.

    base_conv_layer.cpp and inner_product_layer.cpp; what depends on the input's shape is for stage 2.
    """
    if not _says_its_blobs(layer):
        return []
    param = layer.fields.message(type_of(layer).message)
    about = f"line {layer.line}: layer {layer.name!r}"
    try:
        count, outputs = 1 + param.boolean("bias_term", True), param.integer("num_output")
        first = 1 if param.boolean("transpose") else 0
        axes = 2 if layer.type == "InnerProduct" else 2 + max(2, len(param.texts("kernel_size")))
    except ValueError as error:
        return [f"{about}: {error}"]
    if len(shapes) != count:
        return [f"{about}: {len(shapes)} blobs in the file, the definition has {count}"]
    wrong = []
    exact = layer.type == "InnerProduct" or param.integer("axis", 1) == 1
    weight = shapes[0]
    output_axis = 1 if layer.type == "Deconvolution" else first
    scale = param.integer("group", 1) if layer.type == "Deconvolution" else 1
    if (exact and len(weight) not in (axes, 3, 5)) or len(weight) <= output_axis:
        wrong.append(f"{about}: weights of shape {weight}, the definition has {axes} axes")
    elif weight[output_axis] * scale != outputs:
        wrong.append(f"{about}: weights of shape {weight}, the definition has {outputs} outputs")
    if count == 2 and int(np.prod(shapes[1])) != outputs:
        wrong.append(f"{about}: a bias of shape {shapes[1]}, the definition has {outputs} outputs")
    return wrong


def _not_finite(layers: list[dumpfile.Layer]) -> list[str]:
    return [
        f"layer {layer.name!r}, blob {number}: holds {found}"
        for layer in layers
        for number, array in enumerate(layer.params)
        if (found := caffemodel.not_finite(array))
    ]
