"""The schema of the image's Caffe: its layer types, and every message's fields with their kinds.

Debian's package is BVLC's master of August 2018: tag 1.0 with Clip, Swish and round_mode. A field is
`name:kind`: a message of this table, an enum of ENUMS, or a scalar (i32, u32, i64, f32, f64, bool,
text); `*` may stand many times, `!` must stand. What is not here is a fork's, and stock Caffe
rejects it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from decant.loader.definition.forks import HARMLESS
from decant.loader.definition.prototxt import Field, Message, integer

if TYPE_CHECKING:
    from decant.loader.definition.graph import Net

# Layer types registered in it (LayerRegistry), CPU build with Python layers.
TYPES = frozenset(
    {
        "AbsVal", "Accuracy", "ArgMax", "BNLL", "BatchNorm", "BatchReindex", "Bias", "Clip", "Concat",
        "ContrastiveLoss", "Convolution", "Crop", "Data", "Deconvolution", "Dropout",
        "DummyData", "ELU", "Eltwise", "Embed", "EuclideanLoss", "Exp", "Filter", "Flatten",
        "HDF5Data", "HDF5Output", "HingeLoss", "Im2col", "ImageData", "InfogainLoss",
        "InnerProduct", "Input", "LRN", "LSTM", "LSTMUnit", "Log", "MVN", "MemoryData",
        "MultinomialLogisticLoss", "PReLU", "Parameter", "Pooling", "Power", "Python", "RNN",
        "ReLU", "Reduction", "Reshape", "SPP", "Swish", "Scale", "Sigmoid", "SigmoidCrossEntropyLoss",
        "Silence", "Slice", "Softmax", "SoftmaxWithLoss", "Split", "TanH", "Threshold", "Tile",
        "WindowData",
    }
)  # fmt: skip

# By number; "" where none is.
ENUMS = {
    "DB": ("LEVELDB", "LMDB"),
    "DimCheckMode": ("STRICT", "PERMISSIVE"),
    "EltwiseOp": ("PROD", "SUM", "MAX"),
    "Engine": ("DEFAULT", "CAFFE", "CUDNN"),
    "LayerType": (
        "NONE", "ACCURACY", "BNLL", "CONCAT", "CONVOLUTION", "DATA", "DROPOUT", "EUCLIDEAN_LOSS",
        "FLATTEN", "HDF5_DATA", "HDF5_OUTPUT", "IM2COL", "IMAGE_DATA", "INFOGAIN_LOSS",
        "INNER_PRODUCT", "LRN", "MULTINOMIAL_LOGISTIC_LOSS", "POOLING", "RELU", "SIGMOID", "SOFTMAX",
        "SOFTMAX_LOSS", "SPLIT", "TANH", "WINDOW_DATA", "ELTWISE", "POWER",
        "SIGMOID_CROSS_ENTROPY_LOSS", "HINGE_LOSS", "MEMORY_DATA", "ARGMAX", "THRESHOLD",
        "DUMMY_DATA", "SLICE", "MVN", "ABSVAL", "SILENCE", "CONTRASTIVE_LOSS", "EXP",
        "DECONVOLUTION",
    ),
    "Norm": ("", "L1", "L2"),
    "NormRegion": ("ACROSS_CHANNELS", "WITHIN_CHANNEL"),
    "NormalizationMode": ("FULL", "VALID", "BATCH_SIZE", "NONE"),
    "Phase": ("TRAIN", "TEST"),
    "PoolMethod": ("MAX", "AVE", "STOCHASTIC"),
    "ReductionOp": ("", "SUM", "ASUM", "SUMSQ", "MEAN"),
    "RoundMode": ("CEIL", "FLOOR"),
    "VarianceNorm": ("FAN_IN", "FAN_OUT", "AVERAGE"),
}  # fmt: skip

MESSAGES = {
    "Accuracy": "top_k:u32 axis:i32 ignore_label:i32",
    "ArgMax": "out_max_val:bool top_k:u32 axis:i32",
    "BatchNorm": "use_global_stats:bool moving_average_fraction:f32 eps:f32",
    "Bias": "axis:i32 num_axes:i32 filler:Filler",
    "BlobProto": (
        "num:i32 channels:i32 height:i32 width:i32 data:f32* diff:f32* shape:BlobShape "
        "double_data:f64* double_diff:f64*"
    ),
    "BlobShape": "dim:i64*",
    "Clip": "min:f32! max:f32!",
    "Swish": "beta:f32",
    "Concat": "concat_dim:u32 axis:i32",
    "ContrastiveLoss": "margin:f32 legacy_version:bool",
    "Convolution": (
        "num_output:u32 bias_term:bool pad:u32* kernel_size:u32* group:u32 stride:u32* "
        "weight_filler:Filler bias_filler:Filler pad_h:u32 pad_w:u32 kernel_h:u32 kernel_w:u32 "
        "stride_h:u32 stride_w:u32 engine:Engine axis:i32 force_nd_im2col:bool dilation:u32*"
    ),
    "Crop": "axis:i32 offset:u32*",
    "Data": (
        "source:text scale:f32 mean_file:text batch_size:u32 crop_size:u32 mirror:bool "
        "rand_skip:u32 backend:DB force_encoded_color:bool prefetch:u32"
    ),
    "Dropout": "dropout_ratio:f32",
    "DummyData": (
        "data_filler:Filler* num:u32* channels:u32* height:u32* width:u32* shape:BlobShape*"
    ),
    "ELU": "alpha:f32",
    "Eltwise": "operation:EltwiseOp coeff:f32* stable_prod_grad:bool",
    "Embed": "num_output:u32 input_dim:u32 bias_term:bool weight_filler:Filler bias_filler:Filler",
    "Exp": "base:f32 scale:f32 shift:f32",
    "Filler": (
        "type:text value:f32 min:f32 max:f32 mean:f32 std:f32 sparse:i32 variance_norm:VarianceNorm"
    ),
    "Flatten": "axis:i32 end_axis:i32",
    "HDF5Data": "source:text batch_size:u32 shuffle:bool",
    "HDF5Output": "file_name:text",
    "HingeLoss": "norm:Norm",
    "ImageData": (
        "source:text scale:f32 mean_file:text batch_size:u32 crop_size:u32 mirror:bool "
        "rand_skip:u32 shuffle:bool new_height:u32 new_width:u32 is_color:bool root_folder:text"
    ),
    "InfogainLoss": "source:text axis:i32",
    "InnerProduct": (
        "num_output:u32 bias_term:bool weight_filler:Filler bias_filler:Filler axis:i32 "
        "transpose:bool"
    ),
    "Input": "shape:BlobShape*",
    "LRN": "local_size:u32 alpha:f32 beta:f32 norm_region:NormRegion k:f32 engine:Engine",
    "Layer": (
        "name:text type:text bottom:text* top:text* loss_weight:f32* param:ParamSpec* "
        "blobs:BlobProto* include:NetStateRule* exclude:NetStateRule* phase:Phase "
        "propagate_down:bool* pooling_param:Pooling clip_param:Clip swish_param:Swish "
        "lrn_param:LRN batch_norm_param:BatchNorm scale_param:Scale bias_param:Bias "
        "convolution_param:Convolution inner_product_param:InnerProduct embed_param:Embed "
        "relu_param:ReLU prelu_param:PReLU elu_param:ELU sigmoid_param:Sigmoid tanh_param:TanH "
        "power_param:Power exp_param:Exp log_param:Log threshold_param:Threshold "
        "dropout_param:Dropout eltwise_param:Eltwise softmax_param:Softmax argmax_param:ArgMax "
        "reduction_param:Reduction concat_param:Concat slice_param:Slice crop_param:Crop "
        "reshape_param:Reshape flatten_param:Flatten tile_param:Tile spp_param:SPP mvn_param:MVN "
        "input_param:Input parameter_param:Parameter python_param:Python "
        "recurrent_param:Recurrent accuracy_param:Accuracy contrastive_loss_param:ContrastiveLoss "
        "hinge_loss_param:HingeLoss infogain_loss_param:InfogainLoss data_param:Data "
        "image_data_param:ImageData hdf5_data_param:HDF5Data hdf5_output_param:HDF5Output "
        "memory_data_param:MemoryData dummy_data_param:DummyData window_data_param:WindowData "
        "transform_param:Transformation loss_param:Loss"
    ),
    "Log": "base:f32 scale:f32 shift:f32",
    "Loss": "ignore_label:i32 normalize:bool normalization:NormalizationMode",
    "MVN": "normalize_variance:bool across_channels:bool eps:f32",
    "MemoryData": "batch_size:u32 channels:u32 height:u32 width:u32",
    "Net": (
        "name:text layers:V1Layer* input:text* input_dim:i32* force_backward:bool state:NetState "
        "debug_info:bool input_shape:BlobShape* layer:Layer*"
    ),
    "NetState": "phase:Phase level:i32 stage:text*",
    "NetStateRule": "phase:Phase min_level:i32 max_level:i32 stage:text* not_stage:text*",
    "PReLU": "filler:Filler channel_shared:bool",
    "ParamSpec": "name:text share_mode:DimCheckMode lr_mult:f32 decay_mult:f32",
    "Parameter": "shape:BlobShape",
    "Pooling": (
        "pool:PoolMethod kernel_size:u32 stride:u32 pad:u32 kernel_h:u32 kernel_w:u32 "
        "stride_h:u32 stride_w:u32 pad_h:u32 pad_w:u32 engine:Engine global_pooling:bool "
        "round_mode:RoundMode"
    ),
    "Power": "power:f32 scale:f32 shift:f32",
    "Python": "module:text layer:text param_str:text share_in_parallel:bool",
    "ReLU": "negative_slope:f32 engine:Engine",
    "Recurrent": (
        "num_output:u32 weight_filler:Filler bias_filler:Filler debug_info:bool expose_hidden:bool"
    ),
    "Reduction": "operation:ReductionOp axis:i32 coeff:f32",
    "Reshape": "shape:BlobShape axis:i32 num_axes:i32",
    "SPP": "pyramid_height:u32 pool:PoolMethod engine:Engine",
    "Scale": "axis:i32 num_axes:i32 filler:Filler bias_term:bool bias_filler:Filler",
    "Sigmoid": "engine:Engine",
    "Slice": "slice_dim:u32 slice_point:u32* axis:i32",
    "Softmax": "engine:Engine axis:i32",
    "TanH": "engine:Engine",
    "Threshold": "threshold:f32",
    "Tile": "axis:i32 tiles:i32",
    "Transformation": (
        "scale:f32 mirror:bool crop_size:u32 mean_file:text mean_value:f32* force_color:bool "
        "force_gray:bool"
    ),
    "V0Layer": (
        "name:text type:text blobs:BlobProto* blobs_lr:f32* weight_decay:f32* num_output:u32 "
        "biasterm:bool weight_filler:Filler bias_filler:Filler pad:u32 kernelsize:u32 group:u32 "
        "stride:u32 pool:PoolMethod dropout_ratio:f32 local_size:u32 alpha:f32 beta:f32 k:f32 "
        "concat_dim:u32 source:text scale:f32 meanfile:text batchsize:u32 cropsize:u32 "
        "mirror:bool rand_skip:u32 new_num:i32 new_channels:i32 new_height:i32 new_width:i32 "
        "shuffle_images:bool hdf5_output_param:HDF5Output det_fg_threshold:f32 "
        "det_bg_threshold:f32 det_fg_fraction:f32 det_context_pad:u32 det_crop_mode:text"
    ),
    "V1Layer": (
        "layer:V0Layer bottom:text* top:text* name:text type:LayerType blobs:BlobProto* "
        "blobs_lr:f32* weight_decay:f32* include:NetStateRule* exclude:NetStateRule* "
        "loss_weight:f32* param:text* blob_share_mode:DimCheckMode* pooling_param:Pooling "
        "lrn_param:LRN convolution_param:Convolution inner_product_param:InnerProduct "
        "relu_param:ReLU sigmoid_param:Sigmoid tanh_param:TanH power_param:Power exp_param:Exp "
        "threshold_param:Threshold dropout_param:Dropout eltwise_param:Eltwise "
        "softmax_param:Softmax argmax_param:ArgMax concat_param:Concat slice_param:Slice "
        "mvn_param:MVN accuracy_param:Accuracy contrastive_loss_param:ContrastiveLoss "
        "hinge_loss_param:HingeLoss infogain_loss_param:InfogainLoss data_param:Data "
        "image_data_param:ImageData hdf5_data_param:HDF5Data hdf5_output_param:HDF5Output "
        "memory_data_param:MemoryData dummy_data_param:DummyData window_data_param:WindowData "
        "transform_param:Transformation loss_param:Loss"
    ),
    "WindowData": (
        "source:text scale:f32 mean_file:text batch_size:u32 crop_size:u32 mirror:bool "
        "fg_threshold:f32 bg_threshold:f32 fg_fraction:f32 context_pad:u32 crop_mode:text "
        "cache_images:bool root_folder:text"
    ),
}


@dataclass(frozen=True)
class FieldType:
    """`kind`: a message, an enum or a scalar, by its name in this file."""

    kind: str
    repeated: bool
    required: bool


def _fields(message: str) -> dict[str, FieldType]:
    pairs = (word.partition(":") for word in MESSAGES[message].split())
    return {
        name: FieldType(kind.rstrip("*!"), kind[-1] == "*", kind[-1] == "!")
        for name, _, kind in pairs
    }


FIELDS = {message: _fields(message) for message in MESSAGES}

# Intel's Caffe pools in any number of axes, ENet's and SegNet's pass over several labels.
REPEATED_IN_FORKS = {
    ("Pooling", "kernel_size"), ("Pooling", "stride"), ("Pooling", "pad"),
    ("Accuracy", "ignore_label"), ("Loss", "ignore_label"),
}  # fmt: skip

_WHOLE = {"i32": (-(2**31), 2**31 - 1), "u32": (0, 2**32 - 1), "i64": (-(2**63), 2**63 - 1)}
_CALLED = {
    "i32": "a whole number", "u32": "a whole number from 0 on", "i64": "a whole number",
    "f32": "a number", "f64": "a number", "bool": "true or false", "text": "a text in quotes",
}  # fmt: skip
# where one layout's value stands in the other's layers
_MIXED = {
    ("Layer", "type"): "; words are of the old layout, in `layers`",
    ("V1Layer", "type"): "; in today's layout the layers are called `layer`",
    ("V1Layer", "param"): "; in today's layout the layers are called `layer`",
}
_NUMBER = re.compile(r"-?(?:[1-9.][0-9a-zA-Z.+-]*|0(?![0-7xX])[0-9a-zA-Z.+-]*)")


@dataclass(frozen=True)
class Fault:
    """What stock Caffe's parser refuses. `fork`: a fork's may well take it."""

    line: int
    text: str
    fork: bool = False

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}"


def faults(message: Message, kind: str, place: str = "") -> Iterator[Fault]:
    """All that protobuf's C++ parser (text_format.cc) refuses in a `kind` of this schema.

    `place` goes before each text: `layer 'conv1': `. Of a layer whose type is a fork's, only what no
    Caffe can read.
    """
    found = _faults(message, FIELDS[kind], kind, place)
    foreign = kind == "Layer" and message.text("type") not in TYPES
    return (fault for fault in found if not (foreign and fault.fork))


def _faults(
    message: Message, known: Mapping[str, FieldType], kind: str, place: str
) -> Iterator[Fault]:
    first: dict[str, int] = {}
    for name, line in message.lists:
        if name not in known and not message.has(name):
            yield Fault(line, f"{place}field {name} (a fork's)", True)
        elif name in known and not known[name].repeated:
            fork = (kind, name) in REPEATED_IN_FORKS
            yield Fault(line, f"{place}{name}: one value is wanted, not a list", fork)
    for item in message.fields:
        of = known.get(item.name)
        if of is None:
            yield Fault(item.line, f"{place}field {item.name} (a fork's)", True)
            continue
        if item.name in first and not of.repeated:
            where = f"first in line {first[item.name]}"
            fork = (kind, item.name) in REPEATED_IN_FORKS
            yield Fault(item.line, f"{place}{item.name} appears a second time ({where})", fork)
        first.setdefault(item.name, item.line)
        yield from _of_value(item, of.kind, kind, place)
    for name, of in known.items():
        if of.required and name not in first:
            yield Fault(message.line, f"{place}{name} is missing, and Caffe requires it")


def _of_value(item: Field, kind: str, around: str, place: str) -> Iterator[Fault]:
    value, name = item.value, item.name
    if kind in MESSAGES:
        if isinstance(value, str):
            yield Fault(item.line, f"{place}{name}: {{ ... }} is wanted, not {_shown(item)}")
            return
        called = value.text("name") if around in ("Net", "V1Layer") else ""
        yield from faults(value, kind, f"layer {called!r}: " if called else place)
    elif isinstance(value, str) and kind in ENUMS and not item.quoted:
        if not _of_enum(value, kind):
            yield Fault(item.line, f"{place}{name}: {value} (a fork's)", True)
    elif isinstance(value, Message) or not _of_scalar(item, kind):
        wanted = _CALLED.get(kind, "a word without quotes")
        hint = _MIXED.get((around, name), "")
        yield Fault(item.line, f"{place}{name}: {wanted} is wanted, not {_shown(item)}{hint}")


def _shown(item: Field) -> str:
    if isinstance(item.value, Message):
        return "{ ... }"
    return f'"{item.value}"' if item.quoted else item.value


def _of_enum(word: str, kind: str) -> bool:
    try:
        number = integer(word)
    except ValueError:
        return bool(word) and word in ENUMS[kind]
    return 0 <= number < len(ENUMS[kind]) and bool(ENUMS[kind][number])


def _of_scalar(item: Field, kind: str) -> bool:
    """Whether ConsumeFieldValue takes it."""
    text = str(item.value)
    if item.quoted or kind == "text":
        return item.quoted and kind == "text"
    if kind == "bool":
        return text in ("true", "True", "t", "false", "False", "f") or _whole(text, 0, 1)
    if kind in _WHOLE:
        return _whole(text, *_WHOLE[kind])
    word = text.removeprefix("-").lower()
    if word in ("inf", "infinity", "nan"):
        return True
    # whole numbers in decimal only
    return bool(_NUMBER.fullmatch(text))


def _whole(text: str, low: int, high: int) -> bool:
    if low == 0 and text.startswith("-"):
        return False
    try:
        return low <= integer(text) <= high
    except ValueError:
        return False


def unknown_to_caffe(net: Net) -> list[str]:
    """What stock Caffe 1.0 cannot parse of what it would get: types, fields and enum values, by line.

    That is the text as it was written, in its own dialect, or the layers alone (`run_text`); not the
    fields of a layer whose type is unknown.
    """
    found = _of_layers(net) if net.run_text else list(faults(net.source, "Net"))
    found += [
        Fault(layer.line, f"layer {layer.name!r}: type {layer.type} (a fork's)", True)
        for layer in net.layers
        if layer.type not in TYPES
    ]
    return [str(fault) for fault in sorted(found, key=lambda fault: fault.line)]


def _of_layers(net: Net) -> list[Fault]:
    """Of the layers that are included, and of what stands beside the text's layers."""
    # rendered layers have none of a net's own harmless fields beside them
    passed_over = {"layer", "layers", *HARMLESS["Net"]}
    beside = [item for item in net.source.fields if item.name not in passed_over]
    found = list(faults(Message(beside), "Net"))
    for layer in net.layers:
        found += faults(layer.fields, "Layer", f"layer {layer.name!r}: ")
    return found
