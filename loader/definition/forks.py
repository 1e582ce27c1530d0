"""What published forks of Caffe added to stock Caffe's messages: a table, written out.

From the caffe.proto of intel/caffe, NVIDIA/caffe (0.15 to 0.17, DIGITS), pmgysel/caffe (Ristretto),
weiliu89/caffe (SSD), rbgirshick/caffe-fast-rcnn, alexgkendall/caffe-segnet, yjxiong/caffe, DeepLab,
facebook/C3D, and the collection that lutzroeder/netron keeps. Layers of forks have rules of their own.
"""

from __future__ import annotations

FALSE = frozenset({"false", "False", "f", "0"})
TRUE = frozenset({"true", "True", "t", "1"})
ANY: frozenset[str] = frozenset()

# Fields that choose an implementation or steer training, with the values (ANY: all) that change
# nothing of what a layer computes at TEST.
HARMLESS: dict[str, dict[str, frozenset[str]]] = {
    "Net": {
        "engine": ANY, "compile_net_state": ANY, "bn_stats_batch_size": ANY, "multinode": ANY,
        "default_forward_type": ANY, "default_backward_type": ANY, "default_forward_math": ANY,
        "default_backward_math": ANY, "default_conv_algos_override": ANY,
        "default_cudnn_math_override": ANY, "global_grad_scale": ANY,
        "global_grad_scale_adaptive": ANY, "reduce_buckets": ANY, "mem_param": ANY,
    },
    "Layer": {
        "engine": ANY, "multinode": ANY, "mn_activation_param": ANY, "mn_grad_compress_param": ANY,
        "split_param": ANY, "forward_type": ANY, "backward_type": ANY, "forward_math": ANY,
        "backward_math": ANY, "cudnn_math_override": ANY, "force_backward": ANY,
        "reshape_every_iter": ANY, "no_mem_opt": ANY,
        # of the old layout, where they stood in `layers`
        "blobs_lr": ANY, "weight_decay": ANY,
    },
    "BatchNorm": {
        "scale_bias": FALSE, "use_weight_bias": FALSE, "bias_term": ANY, "filler": ANY,
        "scale_filler": ANY, "bias_filler": ANY, "stats_batch_size": ANY, "relu": FALSE,
    },
    "Convolution": {
        "relu": FALSE, "negative_slope": ANY, "conv_algorithm": ANY,
        "cudnn_convolution_algo_seeker": ANY, "conv_algos_override": ANY,
    },
    "Dropout": {"scale_train": TRUE, "sample_weights_test": FALSE},
    "Filler": {"scale": ANY},
    "Pooling": {"avg_include_pad": TRUE, "axis": frozenset({"1"}), "ceil_mode": TRUE},
    "ReLU": {"fuse": FALSE},
}  # fmt: skip

# Other fields of forks, by the stock message that they stand in: none of them is a slip of the pen.
ADDED: dict[str, str] = {
    "Layer": "quantization_param norm_param bn_param interp_param permute_param upsample_param",
    "Convolution": (
        "hole hole_h hole_w dilation_h dilation_w kernel_d stride_d pad_d kernel_depth "
        "temporal_stride temporal_pad "
        "pad_l pad_r pad_t pad_b pad_type input_scale output_scale signed_saturate"
    ),
    "Data": "shuffle cache threads parser_threads side disk_reader_threads",
    "ImageData": "new_length min_height min_width crop_height crop_width label_dim",
    "Loss": "class_weighting weight_by_label_freqs pre_fixed_normalizer label_smoothing",
    "Pooling": (
        "kernel_d stride_d pad_d kernel_depth temporal_stride temporal_pad pad_l pad_r pad_t pad_b"
    ),
    "Transformation": (
        "crop_h crop_w resize_param noise_param emit_constraint distort_param expand_param "
        "random_resize_param random_aspect_ratio_param flow bgr2rgb min_side max_side"
    ),
}

# Words of forks' V1 enums -> the layer type that they became.
V1_TYPES = {
    "BN": "BN",
    "CONVOLUTION3D": "Convolution3D",
    "CROP": "Crop",
    "DECONVOLUTION3D": "Deconvolution3D",
    "DENSE_IMAGE_DATA": "DenseImageData",
    "IMAGE_SEG_DATA": "ImageSegData",
    "INTERP": "Interp",
    "MULTI_STAGE_MEANFIELD": "MultiStageMeanfield",
    "NORMALIZE": "Normalize",
    "POOLING3D": "Pooling3D",
    "PRELU": "PReLU",
    "RESHAPE": "Reshape",
    "ROI_POOLING": "ROIPooling",
    "SEG_ACCURACY": "SegAccuracy",
    "SMOOTH_L1_LOSS": "SmoothL1Loss",
    "UNPOOLING": "Unpooling",
    "UPSAMPLE": "Upsample",
    "VIDEO_DATA": "VideoData",
    "WINDOW_SEG_DATA": "WindowSegData",
}


def float_type(kind: str) -> str:
    """The type whose float weights one of Ristretto's holds; any other as it is."""
    return "InnerProduct" if kind == "FcRistretto" else kind.removesuffix("Ristretto")


def added(message: str) -> set[str]:
    """The fields of forks in a stock message."""
    return set(HARMLESS.get(message, {})) | set(ADDED.get(message, "").split()) | {"engine"}


def changes_nothing(message: str, name: str, value: str) -> bool:
    """Whether a field that stock Caffe lacks leaves what the layer computes as it is."""
    values = HARMLESS.get(message, {}).get(name)
    return values is not None and (values is ANY or value in values)
