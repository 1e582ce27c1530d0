"""The schema of the image's Caffe, by names: which nets stock Caffe can parse, and which not.

Debian's package is BVLC's master of August 2018: tag 1.0 with Clip, Swish and round_mode.
`name:Message` is a field that holds a message; everything else is a scalar. What is not here is a
fork's, and stock Caffe rejects it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loader.graph import Net
    from loader.prototxt import Message

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

MESSAGES = {
    "Accuracy": ("top_k axis ignore_label"),
    "ArgMax": ("out_max_val top_k axis"),
    "BatchNorm": ("use_global_stats moving_average_fraction eps"),
    "Bias": ("axis num_axes filler:Filler"),
    "BlobProto": ("num channels height width data diff shape:BlobShape double_data double_diff"),
    "BlobShape": ("dim"),
    "Clip": ("min max"),
    "Swish": ("beta"),
    "Concat": ("concat_dim axis"),
    "ContrastiveLoss": ("margin legacy_version"),
    "Convolution": (
        "num_output bias_term pad kernel_size group stride weight_filler:Filler "
        "bias_filler:Filler pad_h pad_w kernel_h kernel_w stride_h stride_w engine axis "
        "force_nd_im2col dilation"
    ),
    "Crop": ("axis offset"),
    "Data": (
        "source scale mean_file batch_size crop_size mirror rand_skip backend "
        "force_encoded_color prefetch"
    ),
    "Dropout": ("dropout_ratio"),
    "DummyData": ("data_filler:Filler num channels height width shape:BlobShape"),
    "ELU": ("alpha"),
    "Eltwise": ("operation coeff stable_prod_grad"),
    "Embed": ("num_output input_dim bias_term weight_filler:Filler bias_filler:Filler"),
    "Exp": ("base scale shift"),
    "Filler": ("type value min max mean std sparse variance_norm"),
    "Flatten": ("axis end_axis"),
    "HDF5Data": ("source batch_size shuffle"),
    "HDF5Output": ("file_name"),
    "HingeLoss": ("norm"),
    "ImageData": (
        "source scale mean_file batch_size crop_size mirror rand_skip shuffle new_height "
        "new_width is_color root_folder"
    ),
    "InfogainLoss": ("source axis"),
    "InnerProduct": ("num_output bias_term weight_filler:Filler bias_filler:Filler axis transpose"),
    "Input": ("shape:BlobShape"),
    "LRN": ("local_size alpha beta norm_region k engine"),
    "Layer": (
        "name type bottom top loss_weight param:ParamSpec blobs:BlobProto "
        "include:NetStateRule exclude:NetStateRule phase propagate_down pooling_param:Pooling "
        "clip_param:Clip swish_param:Swish "
        "lrn_param:LRN batch_norm_param:BatchNorm scale_param:Scale bias_param:Bias "
        "convolution_param:Convolution inner_product_param:InnerProduct embed_param:Embed "
        "relu_param:ReLU prelu_param:PReLU elu_param:ELU sigmoid_param:Sigmoid "
        "tanh_param:TanH power_param:Power exp_param:Exp log_param:Log "
        "threshold_param:Threshold dropout_param:Dropout eltwise_param:Eltwise "
        "softmax_param:Softmax argmax_param:ArgMax reduction_param:Reduction "
        "concat_param:Concat slice_param:Slice crop_param:Crop reshape_param:Reshape "
        "flatten_param:Flatten tile_param:Tile spp_param:SPP mvn_param:MVN input_param:Input "
        "parameter_param:Parameter python_param:Python recurrent_param:Recurrent "
        "accuracy_param:Accuracy contrastive_loss_param:ContrastiveLoss "
        "hinge_loss_param:HingeLoss infogain_loss_param:InfogainLoss data_param:Data "
        "image_data_param:ImageData hdf5_data_param:HDF5Data hdf5_output_param:HDF5Output "
        "memory_data_param:MemoryData dummy_data_param:DummyData window_data_param:WindowData "
        "transform_param:Transformation loss_param:Loss"
    ),
    "Log": ("base scale shift"),
    "Loss": ("ignore_label normalize normalization"),
    "MVN": ("normalize_variance across_channels eps"),
    "MemoryData": ("batch_size channels height width"),
    "Net": (
        "name layers:V1Layer input input_dim force_backward state:NetState debug_info "
        "input_shape:BlobShape layer:Layer"
    ),
    "NetState": ("phase level stage"),
    "NetStateRule": ("phase min_level max_level stage not_stage"),
    "PReLU": ("filler:Filler channel_shared"),
    "ParamSpec": ("name share_mode lr_mult decay_mult"),
    "Parameter": ("shape:BlobShape"),
    "Pooling": (
        "pool kernel_size stride pad kernel_h kernel_w stride_h stride_w pad_h pad_w engine "
        "global_pooling round_mode"
    ),
    "Power": ("power scale shift"),
    "Python": ("module layer param_str share_in_parallel"),
    "ReLU": ("negative_slope engine"),
    "Recurrent": ("num_output weight_filler:Filler bias_filler:Filler debug_info expose_hidden"),
    "Reduction": ("operation axis coeff"),
    "Reshape": ("shape:BlobShape axis num_axes"),
    "SPP": ("pyramid_height pool engine"),
    "Scale": ("axis num_axes filler:Filler bias_term bias_filler:Filler"),
    "Sigmoid": ("engine"),
    "Slice": ("slice_dim slice_point axis"),
    "Softmax": ("engine axis"),
    "TanH": ("engine"),
    "Threshold": ("threshold"),
    "Tile": ("axis tiles"),
    "Transformation": ("scale mirror crop_size mean_file mean_value force_color force_gray"),
    "V0Layer": (
        "name type blobs:BlobProto blobs_lr weight_decay num_output biasterm "
        "weight_filler:Filler bias_filler:Filler pad kernelsize group stride pool "
        "dropout_ratio local_size alpha beta k concat_dim source scale meanfile batchsize "
        "cropsize mirror rand_skip new_num new_channels new_height new_width shuffle_images "
        "hdf5_output_param:HDF5Output det_fg_threshold det_bg_threshold det_fg_fraction "
        "det_context_pad det_crop_mode"
    ),
    "V1Layer": (
        "layer:V0Layer bottom top name type blobs:BlobProto blobs_lr weight_decay "
        "include:NetStateRule exclude:NetStateRule loss_weight param blob_share_mode "
        "pooling_param:Pooling lrn_param:LRN convolution_param:Convolution "
        "inner_product_param:InnerProduct relu_param:ReLU sigmoid_param:Sigmoid "
        "tanh_param:TanH power_param:Power exp_param:Exp threshold_param:Threshold "
        "dropout_param:Dropout eltwise_param:Eltwise softmax_param:Softmax "
        "argmax_param:ArgMax concat_param:Concat slice_param:Slice mvn_param:MVN "
        "accuracy_param:Accuracy contrastive_loss_param:ContrastiveLoss "
        "hinge_loss_param:HingeLoss infogain_loss_param:InfogainLoss data_param:Data "
        "image_data_param:ImageData hdf5_data_param:HDF5Data hdf5_output_param:HDF5Output "
        "memory_data_param:MemoryData dummy_data_param:DummyData window_data_param:WindowData "
        "transform_param:Transformation loss_param:Loss"
    ),
    "WindowData": (
        "source scale mean_file batch_size crop_size mirror fg_threshold bg_threshold "
        "fg_fraction context_pad crop_mode cache_images root_folder"
    ),
}


def _fields(message: str) -> dict[str, str]:
    pairs = (word.partition(":") for word in MESSAGES[message].split())
    return {name: kind for name, _, kind in pairs}


FIELDS = {message: _fields(message) for message in MESSAGES}


def unknown_to_caffe(net: Net) -> list[str]:
    """What stock Caffe 1.0 cannot parse in this net: types and fields, in the order of their lines.

    The fields are looked up in the text as it was written, in its own dialect; not those of a layer
    whose type is unknown.
    """
    found = _unknown_fields(net.source, "Net", "")
    found += [
        (layer.line, f"layer {layer.name!r}: type {layer.type} (a fork's)")
        for layer in net.layers
        if layer.type not in TYPES
    ]
    return [f"line {line}: {text}" for line, text in sorted(found, key=lambda item: item[0])]


def _unknown_fields(message: Message, kind: str, place: str) -> list[tuple[int, str]]:
    """(line, what)."""
    if kind == "Layer" and message.text("type") not in TYPES:
        return []
    known = FIELDS[kind]
    found: list[tuple[int, str]] = []
    for field in message.fields:
        inner = known.get(field.name)
        if inner is None:
            found.append((field.line, f"{place}field {field.name} (a fork's)"))
        elif inner and not isinstance(field.value, str):
            name = field.value.text("name") if kind in ("Net", "V1Layer") else ""
            found += _unknown_fields(field.value, inner, f"layer {name!r}: " if name else place)
    return found
