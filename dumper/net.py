"""Real Caffe: build the net, fill it, run it layer by layer. The only file that imports caffe."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, List, Tuple

import numpy as np

from .content import Layer, Owner


class Refused(ValueError):
    """Caffe would do something else than convert this net; `details` has one line for each reason.

    `kind` is "unsupported" (the net asks for it) or "input" (a file is not what it must be).
    """

    def __init__(self, kind: str, message: str, details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.details = list(details)


def _stand_in(name: str, *functions: str) -> None:
    """An empty module, so that `import caffe` does not wait 0.6 s for picture handling.

    caffe/io.py imports skimage and scipy at its top; only its picture functions use them, and a dump
    calls none of those. The image does not have these packages at all.
    """

    def absent(*_: object, **__: object) -> None:
        raise RuntimeError(name + " is not in this image: a dump reads no pictures")

    module = ModuleType(name)
    for function in functions:
        setattr(module, function, absent)
    sys.modules.setdefault(name, module)


for _name, _functions in (
    ("skimage", ()),
    ("skimage.io", ("imread",)),
    ("skimage.transform", ("resize",)),
    ("scipy", ()),
    ("scipy.ndimage", ("zoom",)),
):
    _stand_in(_name, *_functions)

import caffe  # noqa: E402  (after the stand-ins)
from google.protobuf import text_format  # noqa: E402

# a NaN that no training writes: what still holds it after loading was not filled
SENTINEL = np.uint32(0x7FC0DEAD)

# Layer types that read or write files or run code while the net is built, in all three dialects:
# today's names, V1's enum names, V0's words: a prototxt is a program.
SIDE_EFFECTS = {
    "Python", "Data", "ImageData", "WindowData", "HDF5Data", "HDF5Output",
    "DATA", "IMAGE_DATA", "WINDOW_DATA", "HDF5_DATA", "HDF5_OUTPUT",
    "data", "images", "window_data", "hdf5_data", "hdf5_output",
}  # fmt: skip
PATHS = {"source", "mean_file", "meanfile", "root_folder", "file_name", "module"}
FILLERS = {"weight_filler", "bias_filler", "filler"}


def version() -> str:
    """Caffe's version as the package says it."""
    return str(caffe.__version__)


def runnable_text(
    text: str, shapes: Mapping[str, Sequence[int]], filled: Sequence[str] = ()
) -> Tuple[str, str]:
    """(net name, the text that Caffe is given): checked for side effects, and without fillers.

    Fillers are stripped because every blob is filled from the file, and filling costs more than
    loading; those of the layers `filled` stay. Raises Refused when Caffe's own parser rejects the
    text.
    """
    net = caffe.proto.caffe_pb2.NetParameter()
    try:
        # Merge would take a field that stands twice, which the C++ parser refuses
        text_format.Parse(text, net)
    except text_format.ParseError as error:
        raise Refused(
            "unsupported",
            f"stock Caffe 1.0 cannot parse the prototxt: {error}",
            ["a field of a fork, or of Caffe after 1.0; --engine reader takes the parameters"],
        ) from None
    layers = list(net.layer) + list(net.layers)
    if any("\0" in name for layer in layers for name in [layer.name, *layer.bottom, *layer.top]):
        raise Refused("input", "the prototxt has a name with a zero byte; rename the layer")
    found = [line for layer in layers for line in _side_effects(layer)]
    if found:
        raise Refused("unsupported", "the prototxt would read or write files or run code", found)
    for layer in layers:
        if _layer_name(layer) not in filled:
            _strip_fillers(layer)
    _give_shapes(net, shapes)
    return str(net.name), str(text_format.MessageToString(net))


def _give_shapes(net: Any, shapes: Mapping[str, Sequence[int]]) -> None:
    """Inputs of these shapes, whatever the text declares.

    A layer may keep what it was set up with: an InnerProduct takes no input of another size later
    (inner_product_layer.cpp, Reshape). Without any shape Caffe drops a legacy input, and makes an
    empty blob of an Input layer's top.
    """
    if net.input:
        dims = [list(net.input_dim[at : at + 4]) for at in range(0, 4 * len(net.input), 4)]
        declared = [list(shape.dim) for shape in net.input_shape] or [x for x in dims if x]
        if _declare(net.input, net.input_shape, declared, shapes):
            net.ClearField("input_dim")
    for layer in net.layer:
        if layer.type == "Input":
            own = layer.input_param.shape
            declared = [list(shape.dim) for shape in own]
            one_for_all = declared * len(layer.top) if len(declared) == 1 else declared
            _declare(layer.top, own, one_for_all, shapes)


def _declare(
    names: Sequence[str],
    target: Any,
    declared: List[List[int]],
    shapes: Mapping[str, Sequence[int]],
) -> bool:
    """One shape for each name: the given one, else the declared one, else 1. False: nothing is new."""
    known = len(declared) >= len(names)
    if declared and (not known or not set(shapes) & set(names)):
        return False  # as it stands; what is wrong with it Caffe says
    new = [shapes.get(name) or (declared[at] if known else [1]) for at, name in enumerate(names)]
    del target[:]
    for shape in new:
        target.add().dim.extend(shape)
    return True


def _submessages(message: Any) -> Iterator[Any]:
    yield message
    for field, value in message.ListFields():
        if field.message_type is None or field.name == "blobs":
            continue
        for part in value if field.label == field.LABEL_REPEATED else [value]:
            yield from _submessages(part)


def _layer_name(layer: Any) -> str:
    """In V0 it stands inside."""
    return str(layer.name or (layer.layer.name if hasattr(layer, "layer") else ""))


def _side_effects(layer: Any) -> Iterator[str]:
    name = _layer_name(layer)
    for message in _submessages(layer):
        for field, value in message.ListFields():
            if field.name == "type" and field.containing_type.name.endswith("LayerParameter"):
                word = (
                    value
                    if field.enum_type is None
                    else field.enum_type.values_by_number[value].name
                )
                if word in SIDE_EFFECTS:
                    yield f"layer {name!r}: type {word}: use the deploy file, or an Input layer"
            elif field.name in PATHS and value:
                yield f"layer {name!r}: {field.name}: {value!r}: use the deploy file, or an Input layer"


def _strip_fillers(layer: Any) -> None:
    for message in _submessages(layer):
        for field, _ in message.ListFields():
            if field.name in FILLERS:
                message.ClearField(field.name)


def build(prototxt: Path, shapes: Mapping[str, Sequence[int]]) -> Any:
    """The net at TEST, its inputs reshaped to the probe's shapes."""
    caffe.set_mode_cpu()
    net = caffe.Net(str(prototxt), caffe.TEST)
    _refuse_duplicates(net)
    missing = sorted(set(net.inputs) - set(shapes)) if shapes else []
    unknown = sorted(set(shapes) - set(net.inputs))
    if missing or unknown:
        raise Refused(
            "input",
            f"the probe does not fit the net's inputs {list(net.inputs)}",
            [f"no array for input {name!r}" for name in missing]
            + [f"no input is called {name!r}" for name in unknown],
        )
    for name, shape in shapes.items():
        net.blobs[name].reshape(*shape)
    net.reshape()
    return net


def _refuse_duplicates(net: Any) -> None:
    """Caffe loads by name: weights go to the first of two layers, pycaffe shows the last."""
    names = list(net._layer_names)
    holders = {name for name, layer in zip(names, net.layers) if len(layer.blobs)}
    twice = sorted(name for name in holders if names.count(name) > 1)
    if twice:
        raise Refused(
            "input",
            "two layers of one name, with parameters: Caffe would fill only the first",
            [f"layer {name!r}: {names.count(name)} times" for name in twice],
        )


def refuse_unfilled(net: Any) -> None:
    """Without a caffemodel a net may have no parameters: Caffe's zeros are not weights."""
    found = ["layer {!r}, blob {}".format(name, number) for name, number, _ in _blobs(net)]
    if found:
        raise Refused("input", "the net has parameters, and no caffemodel was given", found)


def fill(net: Any, caffemodel: Path, filled: Sequence[str] = ()) -> List[str]:
    """Load the weights and prove that the file filled every value; returns notes.

    `filled`: layers whose values are those of their fillers, which other layers may share. Raises
    Refused naming every layer whose blobs the file did not fill, or filled with NaN or Inf.
    """
    made = [(blob, blob.data.copy()) for name, _, blob in _blobs(net) if name in filled]
    for _, _, blob in _blobs(net):
        blob.data.reshape(-1).view(np.uint32)[...] = SENTINEL
    for blob, values in made:
        blob.data[...] = values
    net.copy_from(str(caffemodel))
    wrong, notes = [], []
    for layer, number, blob in _blobs(net):
        values = blob.data.reshape(-1)
        place = f"layer {layer!r}, blob {number}"
        if (values.view(np.uint32) == SENTINEL).any():
            wrong.append(place + ": not in the caffemodel (missing, renamed, or the file was cut)")
        elif not np.isfinite(values).all():
            kind = "NaN" if np.isnan(values).any() else "Inf"
            wrong.append(f"{place}: holds {kind}")
        elif values.size > 1 and (values == values[0]).all():
            notes.append(f"{place}: all values are {values[0]:g}")
    if wrong:
        raise Refused("input", "the caffemodel does not fill the net", wrong)
    return notes


def _blobs(net: Any) -> Iterator[Tuple[str, int, Any]]:
    for name, layer in zip(net._layer_names, net.layers):
        for number, blob in enumerate(layer.blobs):
            yield name, number, blob


def _feed(net: Any, inputs: Mapping[str, np.ndarray]) -> None:
    """Value by value: an MVN that works in place has given its input four axes."""
    for name, array in inputs.items():
        net.blobs[name].data.reshape(-1)[...] = array.reshape(-1)


def walk(net: Any, probe: Mapping[str, np.ndarray]) -> Iterator[Layer]:
    """Every layer in order, run one at a time: its tops are copied before the next one runs.

    An in-place layer would otherwise overwrite them. Without a probe nothing runs.
    """
    _feed(net, probe)
    blob_names = list(net._blob_names)
    first_seen = {}  # type: Dict[int, Tuple[int, int]]
    for index, (name, layer) in enumerate(zip(net._layer_names, net.layers)):
        tops = list(net._top_ids(index))
        record = Layer(
            name,
            str(layer.type),
            [blob_names[number] for number in net._bottom_ids(index)],
            [blob_names[number] for number in tops],
        )
        for number, blob in enumerate(layer.blobs):
            # with use_global_stats: false a forward writes its moving average there
            record.params.append(blob.data.copy() if layer.type == "BatchNorm" else blob.data)
            record.owners.append(_owner(blob, (index, number), first_seen))
        if probe:
            net._forward(index, index)
            record.activations = [net._blobs[number].data.copy() for number in tops]
        yield record


def _owner(blob: Any, place: Tuple[int, int], first_seen: Dict[int, Tuple[int, int]]) -> Owner:
    """Blobs that share their memory are one blob; the first layer that has it owns it."""
    if not blob.count:
        return None
    owner = first_seen.setdefault(blob.data.ctypes.data, place)
    return None if owner == place else owner


def forward(net: Any, inputs: Mapping[str, np.ndarray], output: str) -> np.ndarray:
    """One ordinary forward pass; a copy of the blob `output`."""
    _feed(net, inputs)
    net.forward()
    return np.array(net.blobs[output].data)
