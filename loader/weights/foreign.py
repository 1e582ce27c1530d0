"""What a file is that was given for a caffemodel and is none, and what to give instead.

Told by the content: marks at a file's beginning, and the public schemas of the protobufs that
people have beside a caffemodel: Caffe's own SolverState and BlobProto (caffe.proto), Caffe2's NetDef
(caffe2.proto), ONNX's ModelProto, TensorFlow's GraphDef and SavedModel, Core ML's Model. A file that
fits none of them is not named.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from decant.loader.weights.era import looks_like
from decant.loader.weights.wire import BYTES, FIXED32, FIXED64, VARINT, WireError, fields

Found = tuple[str, str] | None
Kinds = Mapping[int, tuple[int, ...]]

# no more than this is looked at: fields of a message, messages of a field, bytes of a file
_FIELDS, _NESTED, _BYTES = 2_000, 50, 1 << 20
WEIGHTS = "give the .caffemodel"
_MADE_OF = "Decant reads Caffe's files: give the .caffemodel that it was made of"
_TORCH = "it is PyTorch's own: load it with torch"

_MARKS = (
    (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "a PyTorch checkpoint", _TORCH),
    (b"\x12\x01\0\0\0\0\0\0", "weights of MXNet (.params)", _MADE_OF),
    (b"\x47\x6b\x30\x01", "weights of ncnn (.bin, float16)", _MADE_OF),
    (b"\x38\x4b\x0d\x00", "weights of ncnn (.bin, int8)", _MADE_OF),
    (b"\x56\xc0\x02\x00", "weights of ncnn (.bin)", _MADE_OF),
    (b"\xdd\x85\x76\x00", "a net of ncnn (.param.bin)", _MADE_OF),
    (b"MATLAB 5.0 MAT-file", "a MATLAB file", _MADE_OF),
)


def describe(path: Path, data: mmap.mmap, start: bytes) -> Found:
    """(what it is, what to do); None where nothing can be said. `start`: the file's first bytes."""
    for mark, what, instead in _MARKS:
        if start.startswith(mark):
            return what, instead
    found = _zip(data, start) or _by_header(data, start) or _protobuf(data) or _openvino(path)
    if found:
        return found
    what = "" if _begins_like_a_net(start) else looks_like(start) or _text(start)
    if what == "a prototxt":
        return what, f"it is the net's definition (--prototxt): {WEIGHTS} here"
    return (what, _instead(what)) if what else None


# what a download leaves in place of a file
_OF_DOWNLOADS = ("page", "pointer", "conflict", "JSON", "zero bytes")


def _instead(what: str) -> str:
    if "git-lfs" in what:
        return "get the file itself: git lfs pull"
    if any(word in what for word in _OF_DOWNLOADS):
        return "get it again"
    if "archive" in what:
        return WEIGHTS + " that is inside"
    return _MADE_OF if what.endswith((".cfg)", ".param)")) else WEIGHTS


# SolverParameter (caffe.proto): fields that a net has not
_OF_SOLVER = re.compile(
    rb"^\s*(net|train_net|base_lr|lr_policy|max_iter|snapshot_prefix)\s*:", re.M
)
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")


def _text(start: bytes) -> str:
    """Several lines without a control character: labels, settings, a log."""
    if _CONTROL.search(start) or b"\n" not in start.strip():
        return ""
    return "a solver's settings (solver.prototxt)" if _OF_SOLVER.search(start) else "a text"


def _begins_like_a_net(start: bytes) -> bool:
    """A net's name (field 1) and a list of layers after it: the name's length may read as a text."""
    keys = (b"\x12", b"\xa2\x06", b"\x1a", b"\x20", b"\x28")
    if start[:1] != b"\n" or len(start) < 2:
        return False
    after = 2 + start[1]
    return start[1] < 128 and start[after : after + 2].startswith(keys)


def describe_hdf5(data: mmap.mmap) -> Found:
    """The same for HDF5: names stand in such a file as they are, and libhdf5 is not asked."""
    head = data[:_BYTES]
    if b"learned_net" in head and b"current_step" in head:
        names = re.findall(rb"[ -~]+\.caffemodel(?:\.h5)?(?=\0)", head)
        return "a solverstate", _saved_with(names[0].decode() if names else "")
    if b"keras_version" in head or b"layer_names" in head:
        return "weights of Keras", _MADE_OF
    return None


def _saved_with(name: str) -> str:
    """A SolverState's learned_net is the caffemodel of the same snapshot (sgd_solver.cpp)."""
    named = f", {name}" if name else ""
    return f"it holds the solver's history: give the caffemodel of the same snapshot{named}"


def _zip(data: mmap.mmap, start: bytes) -> Found:
    if not start.startswith(b"PK\x03\x04"):
        return None
    first = start[30 : 30 + int.from_bytes(start[26:28], "little")]
    if first.endswith(b".npy"):
        return "a NumPy archive (.npz)", WEIGHTS
    # the directory of a zip is at its end
    return ("a PyTorch checkpoint", _TORCH) if b"/data.pkl" in data[-_BYTES:] else None


def _by_header(data: mmap.mmap, start: bytes) -> Found:
    """Formats whose first bytes are numbers."""
    if start[8:10] == b'{"' and int.from_bytes(start[:8], "little") < len(data):
        return "a safetensors file", WEIGHTS
    if start[4:8] == b"TFL3":
        return "a TensorFlow Lite model", _MADE_OF
    return ("weights of Darknet (.weights)", _MADE_OF) if _is_darknet(data, start) else None


def _is_darknet(data: mmap.mmap, start: bytes) -> bool:
    """major, minor, revision; the pictures seen, in 64 bits from 0.2 on; then float32 values."""
    if len(start) < 28:
        return False
    major, minor, revision = (int(number) for number in np.frombuffer(start, "<i4", 3))
    head = 20 if minor >= 2 else 16
    first = np.abs(np.frombuffer(start, "<f4", 2, head))
    version = major == 0 and minor in (1, 2) and 0 <= revision <= 5
    return version and not (len(data) - head) % 4 and bool(((first > 1e-12) & (first < 1e6)).all())


def _openvino(path: Path) -> Found:
    """Its .bin is bare values; the .xml of the same name beside it says what they are."""
    beside = path.with_suffix(".xml")
    if path.suffix != ".bin" or not beside.is_file():
        return None
    with beside.open("rb") as file:
        found = re.search(rb"<net\s[^>]*\bversion=", file.read(4096))
    return ("weights of OpenVINO (.bin)", _MADE_OF) if found else None


class _Message:
    """The first fields of a message by their number: (wire type, value or first byte, byte after)."""

    def __init__(self, data: mmap.mmap, first: int, after: int) -> None:
        self.data = data
        self.found: dict[int, list[tuple[int, int, int]]] = {}
        try:
            for count, (number, kind, value, end) in enumerate(fields(data, first, after)):
                if count == _FIELDS:
                    break
                self.found.setdefault(number, []).append((kind, value, end))
        except WireError:
            pass  # cut, or no message at all: what was there counts

    def has(self, number: int, kind: int) -> bool:
        """The field is there, and each time of this wire type."""
        return number in self.found and all(item[0] == kind for item in self.found[number])

    def within(self, kinds: Kinds) -> bool:
        """There are fields, and none but these, of these wire types."""
        return bool(self.found) and all(
            item[0] in kinds.get(number, ())
            for number, items in self.found.items()
            for item in items
        )

    def text(self, number: int) -> str:
        """The last such field; "" if it is not a printable text."""
        if not self.has(number, BYTES):
            return ""
        _, first, after = self.found[number][-1]
        try:
            text = self.data[first : min(after, first + 4096)].decode()
        except UnicodeDecodeError:
            return ""
        return text if text.isprintable() else ""

    def inside(self, number: int) -> list[_Message]:
        """The messages of a field."""
        if not self.has(number, BYTES):
            return []
        places = self.found[number][:_NESTED]
        return [_Message(self.data, first, after) for _, first, after in places]


def _protobuf(data: mmap.mmap) -> Found:
    message = _Message(data, 0, len(data))
    if _is_onnx(message):
        return "an ONNX model", _MADE_OF
    if _is_tensorflow(message):
        return "a TensorFlow graph (.pb)", _MADE_OF
    if _is_core_ml(message):
        return "a Core ML model", _MADE_OF
    if _is_blob(message):
        return (
            "a mean file (.binaryproto)",
            f"{WEIGHTS}; a mean goes with --mean of add, classify or report",
        )
    return _solver_state(message) or _caffe2(message)


def _is_onnx(message: _Message) -> bool:
    """ir_version 1, producer_name 2, graph 7, opset_import 8 (domain 1, version 2)."""
    opsets = message.inside(8)
    known = all(opset.within({1: (BYTES,), 2: (VARINT,)}) for opset in opsets)
    return (
        message.has(1, VARINT)
        and message.has(7, BYTES)
        and known
        and bool(opsets or message.text(2))
    )


_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")


def _is_graph(message: _Message) -> bool:
    """GraphDef: node 1 (name 1, op 2), library 2, version 3, versions 4."""
    nodes = message.inside(1)
    return (
        message.within({1: (BYTES,), 2: (BYTES,), 3: (VARINT,), 4: (BYTES,)})
        and bool(nodes)
        and all(node.text(1) and _NAME.match(node.text(2)) for node in nodes)
    )


def _is_tensorflow(message: _Message) -> bool:
    """A frozen graph; or a SavedModel: version 1, meta graphs 2 (graph 2)."""
    inner = [graph for meta in message.inside(2) for graph in meta.inside(2)]
    return _is_graph(message) or (message.has(1, VARINT) and any(map(_is_graph, inner)))


def _is_core_ml(message: _Message) -> bool:
    """specificationVersion 1, description 2, isUpdatable 10, and one model of 200 to 999."""
    models = [number for number in message.found if 200 <= number < 1000]
    known = {1: (VARINT,), 2: (BYTES,), 10: (VARINT,), **dict.fromkeys(models, (BYTES,))}
    return len(models) == 1 and {1, 2} <= set(message.found) and message.within(known)


_BLOB: Kinds = {
    **dict.fromkeys((1, 2, 3, 4, 10, 11), (VARINT,)),
    **dict.fromkeys((5, 6), (BYTES, FIXED32)),
    **dict.fromkeys((8, 9), (BYTES, FIXED64)),
    **dict.fromkeys((7, 12, 13), (BYTES,)),
}


def _is_blob(message: _Message) -> bool:
    """BlobProto: num to width or a shape, and values; those of NVCaffe in 10 to 13."""
    numbers = set(message.found)
    return message.within(_BLOB) and bool(numbers & {1, 2, 3, 4, 7}) and bool(numbers & {5, 8, 12})


def _solver_state(message: _Message) -> Found:
    """iter 1, learned_net 2, history 3, current_step 4."""
    if not message.within({1: (VARINT,), 2: (BYTES,), 3: (BYTES,), 4: (VARINT,)}):
        return None
    name, history = message.text(2), message.inside(3)
    named = name.endswith((".caffemodel", ".caffemodel.h5"))
    if 1 not in message.found or not (named or (history and all(map(_is_blob, history)))):
        return None
    return f"a solverstate (iteration {message.found[1][-1][1]})", _saved_with(name)


def _caffe2(message: _Message) -> Found:
    """NetDef: name 1, op 2."""
    operators = message.inside(2)
    if not operators or not all(map(_is_operator, operators)):
        return None
    filling = all(operator.text(4).endswith("Fill") for operator in operators)
    what = "weights of Caffe2 (init_net.pb)" if filling else "a net of Caffe2 (predict_net.pb)"
    return what, "Caffe2 is another program: give the .caffemodel that it was made of"


def _is_operator(message: _Message) -> bool:
    """OperatorDef: input 1, output 2, name 3, type 4, arg 5.

    A caffemodel's V1 layers would stand in the same field, with the name in 4 and a number in 5.
    """
    blobs = [number for number in (1, 2) if number in message.found]
    return (
        bool(_NAME.match(message.text(4)))
        and bool(blobs)
        and all(message.text(number) for number in blobs)
        and (5 not in message.found or message.has(5, BYTES))
    )
