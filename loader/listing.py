"""What a definition, weights, a dump or an artifact holds, layer by layer: shapes, parameters, work."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from decant.dumper import dumpfile
from decant.loader.artifact.bundle import read_manifest
from decant.loader.definition.from_weights import definition_of
from decant.loader.definition.graph import Net, net_from_text, owners, read_net
from decant.loader.definition.naming import unique
from decant.loader.definition.reading import NO_OPTIONS, ReadingOptions
from decant.loader.errors import BadInput, UsageError
from decant.loader.layers import layer_type
from decant.loader.layers.layer_type import Weight
from decant.loader.plan.deploy import deploy
from decant.loader.plan.outline import BlobShapes, outline
from decant.loader.weights import caffemodel

Shape = tuple[int, ...]
BYTES = 4  # of a float32


@dataclass
class Line:
    """One layer. `outputs` has None where a shape is not known; `macs` is None with it.

    `parameters` counts a blob that is shared with an earlier layer there only; `bytes` are those of
    the outputs, nothing for an in-place layer.
    """

    name: str
    type: str
    outputs: list[Shape | None] = field(default_factory=list)
    blobs: list[Shape] = field(default_factory=list)
    parameters: int = 0
    macs: int | None = 0
    bytes: int = 0


@dataclass
class Listing:
    """`kind` is "prototxt", "caffemodel (v1)", "dump" or "artifact"; `notes` say what is missing."""

    kind: str
    lines: list[Line]
    notes: list[str] = field(default_factory=list)

    @property
    def parameters(self) -> int:
        """Of all layers."""
        return sum(line.parameters for line in self.lines)

    @property
    def macs(self) -> int:
        """Multiply-adds of convolutions and inner products, of what is known."""
        return sum(line.macs or 0 for line in self.lines)

    @property
    def bytes(self) -> int:
        """Of the outputs."""
        return sum(line.bytes for line in self.lines)


def read(
    file: Path, shapes: Mapping[str, Shape] | None = None, asked: ReadingOptions = NO_OPTIONS
) -> Listing:
    """By content: a folder is an artifact, HDF5 and zip are dumps or weights, text is a prototxt.

    `shapes`: of inputs, in place of what the definition says. `asked`: how it is to be read. Raises
    BadInput.
    """
    if file.is_dir():
        _refuse_unknown(file, shapes or {}, {})
        return _artifact(file)
    if not file.is_file():
        raise BadInput(f"{file}: no such file; give a prototxt, caffemodel, dump or artifact")
    try:
        with file.open("rb") as stream:
            start = stream.read(8)
        if start[:4] in (b"PK\x03\x04", b"\x89HDF"):
            try:
                return _dump(dumpfile.read(file), shapes or {}, asked)
            except dumpfile.DumpError:
                if start[:2] == b"PK":
                    raise
        if _is_text(file):
            net = _deploy_form(read_net(file, asked.over()), shapes or {})
            _refuse_unknown(file, shapes or {}, net.inputs)
            return definition(net, shapes or {})
        model = caffemodel.read(file)
    except (dumpfile.DumpError, caffemodel.CaffemodelError, OSError) as error:
        raise BadInput(str(error)) from None
    return _weights(file, model, shapes or {}, asked)


def _weights(
    file: Path, model: caffemodel.Caffemodel, shapes: Mapping[str, Shape], asked: ReadingOptions
) -> Listing:
    """All layers of the file; outputs by the definition inside it, if it has one."""
    blobs = {x.name: [blob.shape for blob in x.blobs if blob] for x in model.layers}
    known: dict[str, Line] = {}
    try:
        net = net_from_text(definition_of(file), str(file), asked.over())
        net = deploy(net, shapes, blobs)
    except BadInput:
        _refuse_unknown(file, shapes, {})
        notes = ["weights alone say nothing of outputs"]
    except UsageError as error:
        notes = [error.message]
    else:
        _refuse_unknown(file, shapes, net.inputs)
        inner = definition(net, shapes, blobs=blobs)
        notes = inner.notes
        if all(shapes.get(blob) or shape for blob, shape in net.inputs.items()):
            known = {line.name: line for line in inner.lines}
    lines = [
        known.get(layer.name) or _line(layer.name, layer.type, [None], blobs[layer.name])
        for layer in model.layers
    ]
    return Listing(f"caffemodel ({model.era})", lines, notes)


def _deploy_form(net: Net, shapes: Mapping[str, Shape]) -> Net:
    """As it is converted; as it stands where a data layer does not say its shape, and nobody else."""
    try:
        return deploy(net, shapes, {})
    except UsageError as error:
        if shapes:
            raise
        return replace(net, notes=[*net.notes, error.message])


def _is_text(file: Path) -> bool:
    """By its name; a caffemodel's first kilobyte has control characters, a definition's has none."""
    if file.suffix in (".prototxt", ".protxt", ".txt", ".pt"):
        return True
    with file.open("rb") as stream:
        start = stream.read(1024)
    return bool(start) and not re.search(rb"[\x00-\x08\x0e-\x1f]", start)


def _refuse_unknown(file: Path, shapes: Mapping[str, Shape], inputs: Iterable[str]) -> None:
    unknown = [blob for blob in shapes if blob not in inputs]
    if unknown:
        names = ", ".join(inputs) or "none that can be given"
        raise UsageError(f"--input {unknown[0]}: {file} has no such input; it has {names}")


def definition(
    net: Net,
    shapes: Mapping[str, Shape],
    kind: str = "prototxt",
    blobs: BlobShapes | None = None,
) -> Listing:
    """With the batch that the definition says. A blob that is shared counts once.

    `blobs`: of the weights, where they are at hand.
    """
    given = {name: tuple(shapes.get(name) or shape or ()) for name, shape in net.inputs.items()}
    unknown = [name for name, shape in given.items() if not shape]
    found = outline(net, {name: shape or (1,) for name, shape in given.items()}, blobs=blobs)
    lent = set(owners(net))
    lines = []
    sizes = {name: shape for name, shape in given.items() if shape}
    names = unique(layer.name for layer in net.layers)
    for index, (name, layer) in enumerate(zip(names, net.layers, strict=True)):
        tops = found.tops[name] if not unknown else [None] * len(layer.tops)
        inputs = [sizes.get(blob) for blob in layer.bottoms]
        sizes.update((top, shape) for top, shape in zip(layer.tops, tops, strict=True) if shape)
        held = found.blobs.get(name, []) if not unknown else []
        own = [shape for at, shape in enumerate(held) if (index, at) not in lent]
        line = _line(name, layer.type, tops, held, own, inputs)
        new = [s for top, s in zip(layer.tops, tops, strict=True) if top not in layer.bottoms]
        line.bytes = sum(BYTES * math.prod(shape) for shape in new if shape)
        lines.append(line)
    notes = [f"input {name!r} has no shape: give --input {name}=1,3,224,224" for name in unknown]
    return Listing(kind, lines, [*net.notes, *notes, *found.refused])


def _line(
    name: str,
    kind: str,
    outputs: Sequence[Shape | None],
    blobs: Sequence[Shape],
    own: Sequence[Shape] | None = None,
    inputs: Sequence[Shape | None] = (),
) -> Line:
    count = sum(math.prod(shape) for shape in (blobs if own is None else own))
    return Line(name, kind, list(outputs), list(blobs), count, _macs(kind, outputs, blobs, inputs))


def _macs(
    kind: str,
    outputs: Sequence[Shape | None],
    blobs: Sequence[Shape],
    inputs: Sequence[Shape | None],
) -> int | None:
    """Weight elements times the places where they are applied."""
    how = layer_type(kind).weight
    if how is Weight.NOT or not blobs:
        return 0
    places = inputs if how is Weight.TRANSPOSED else outputs
    if not places:
        return None
    weight, total = blobs[0], 0
    for place in places:
        if not place:
            return None
        if how is Weight.MATRIX:
            total += math.prod(weight) * (math.prod(place) // place[-1])
        else:
            total += math.prod(weight) * math.prod(place[2 - len(weight) :]) * place[0]
    return total


def _dump(dump: dumpfile.Dump, shapes: Mapping[str, Shape], asked: ReadingOptions) -> Listing:
    from decant.loader.artifact.conversion import deploy_form, reading_of

    dump.reading = asked.over(reading_of(dump)).to_text()
    net = deploy_form(dump, shapes)
    probe = {name: array.shape for name, array in dump.probe.items()}
    return definition(net, {**probe, **shapes}, f"dump (engine {dump.engine})")


def _artifact(folder: Path) -> Listing:
    """From the manifest; the blobs are the tensors' own, in PyTorch's layout."""
    manifest = read_manifest(folder)
    manifest.require("net")
    tensors = {tensor.key: tensor.shape for tensor in manifest.tensors}
    blobs: dict[str, list[Shape]] = {}
    own: dict[str, list[Shape]] = {}
    by_blob = sorted(manifest.parameters.items(), key=lambda item: item[1].blob)
    for key, origin in by_blob:
        blobs.setdefault(origin.layer, []).append(tensors[key])
        if key not in manifest.tied:
            own.setdefault(origin.layer, []).append(tensors[key])
    lines: list[Line] = []
    sizes: dict[str, Shape | None] = {}
    for layer in manifest.net:
        tops = dict(zip(layer.tops, layer.shapes, strict=True))
        inputs = [sizes.get(blob) for blob in layer.bottoms]
        sizes.update(tops)
        held, counted = blobs.get(layer.name, []), own.get(layer.name, [])
        line = _line(layer.name, layer.type, layer.shapes, held, counted, inputs)
        new = [shape for top, shape in tops.items() if top not in layer.bottoms]
        line.bytes = sum(BYTES * math.prod(shape) for shape in new if shape)
        lines.append(line)
    return Listing("artifact", lines)
