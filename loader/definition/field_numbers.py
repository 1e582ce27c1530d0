"""Field numbers of caffe.proto: what a binary file has in place of the names of a text.

What each field is (a message, an enum, a scalar; how often) is in loader/definition/schema.py, by its
name. Of forks: the messages of layer types that are theirs alone, with the numbers that their
caffe.proto files give them (weiliu89's SSD, rbgirshick's Fast R-CNN, SegNet, PSPNet, Intel's,
eric612's YOLO). Such a number means nothing without the layer's type, as other forks gave it to
other messages.
"""

from __future__ import annotations

from decant.loader.definition.schema import FIELDS, FieldType

NUMBERS = {
    "Accuracy": "top_k=1 axis=2 ignore_label=3",
    "ArgMax": "out_max_val=1 top_k=2 axis=3",
    "BatchNorm": "use_global_stats=1 moving_average_fraction=2 eps=3",
    "Bias": "axis=1 num_axes=2 filler=3",
    "BlobProto": (
        "num=1 channels=2 height=3 width=4 data=5 diff=6 shape=7 double_data=8 double_diff=9"
    ),
    "BlobShape": "dim=1",
    "Clip": "min=1 max=2",
    "Concat": "concat_dim=1 axis=2",
    "ContrastiveLoss": "margin=1 legacy_version=2",
    "Convolution": (
        "num_output=1 bias_term=2 pad=3 kernel_size=4 group=5 stride=6 weight_filler=7 "
        "bias_filler=8 pad_h=9 pad_w=10 kernel_h=11 kernel_w=12 stride_h=13 stride_w=14 "
        "engine=15 axis=16 force_nd_im2col=17 dilation=18"
    ),
    "Crop": "axis=1 offset=2",
    "Data": (
        "source=1 scale=2 mean_file=3 batch_size=4 crop_size=5 mirror=6 rand_skip=7 backend=8 "
        "force_encoded_color=9 prefetch=10"
    ),
    "Dropout": "dropout_ratio=1",
    "DummyData": "data_filler=1 num=2 channels=3 height=4 width=5 shape=6",
    "ELU": "alpha=1",
    "Eltwise": "operation=1 coeff=2 stable_prod_grad=3",
    "Embed": "num_output=1 input_dim=2 bias_term=3 weight_filler=4 bias_filler=5",
    "Exp": "base=1 scale=2 shift=3",
    "Filler": "type=1 value=2 min=3 max=4 mean=5 std=6 sparse=7 variance_norm=8",
    "Flatten": "axis=1 end_axis=2",
    "HDF5Data": "source=1 batch_size=2 shuffle=3",
    "HDF5Output": "file_name=1",
    "HingeLoss": "norm=1",
    "ImageData": (
        "source=1 scale=2 mean_file=3 batch_size=4 crop_size=5 mirror=6 rand_skip=7 shuffle=8 "
        "new_height=9 new_width=10 is_color=11 root_folder=12"
    ),
    "InfogainLoss": "source=1 axis=2",
    "InnerProduct": "num_output=1 bias_term=2 weight_filler=3 bias_filler=4 axis=5 transpose=6",
    "Input": "shape=1",
    "LRN": "local_size=1 alpha=2 beta=3 norm_region=4 k=5 engine=6",
    "Layer": (
        "name=1 type=2 bottom=3 top=4 loss_weight=5 param=6 blobs=7 include=8 exclude=9 "
        "phase=10 propagate_down=11 transform_param=100 loss_param=101 accuracy_param=102 "
        "argmax_param=103 concat_param=104 contrastive_loss_param=105 convolution_param=106 "
        "data_param=107 dropout_param=108 dummy_data_param=109 eltwise_param=110 exp_param=111 "
        "hdf5_data_param=112 hdf5_output_param=113 hinge_loss_param=114 image_data_param=115 "
        "infogain_loss_param=116 inner_product_param=117 lrn_param=118 memory_data_param=119 "
        "mvn_param=120 pooling_param=121 power_param=122 relu_param=123 sigmoid_param=124 "
        "softmax_param=125 slice_param=126 tanh_param=127 threshold_param=128 "
        "window_data_param=129 python_param=130 prelu_param=131 spp_param=132 reshape_param=133 "
        "log_param=134 flatten_param=135 reduction_param=136 embed_param=137 tile_param=138 "
        "batch_norm_param=139 elu_param=140 bias_param=141 scale_param=142 input_param=143 "
        "crop_param=144 parameter_param=145 recurrent_param=146 swish_param=147 clip_param=148"
    ),
    "Log": "base=1 scale=2 shift=3",
    "Loss": "ignore_label=1 normalize=2 normalization=3",
    "MVN": "normalize_variance=1 across_channels=2 eps=3",
    "MemoryData": "batch_size=1 channels=2 height=3 width=4",
    "Net": (
        "name=1 layers=2 input=3 input_dim=4 force_backward=5 state=6 debug_info=7 "
        "input_shape=8 layer=100"
    ),
    "NetState": "phase=1 level=2 stage=3",
    "NetStateRule": "phase=1 min_level=2 max_level=3 stage=4 not_stage=5",
    "PReLU": "filler=1 channel_shared=2",
    "ParamSpec": "name=1 share_mode=2 lr_mult=3 decay_mult=4",
    "Parameter": "shape=1",
    "Pooling": (
        "pool=1 kernel_size=2 stride=3 pad=4 kernel_h=5 kernel_w=6 stride_h=7 stride_w=8 "
        "pad_h=9 pad_w=10 engine=11 global_pooling=12 round_mode=13"
    ),
    "Power": "power=1 scale=2 shift=3",
    "Python": "module=1 layer=2 param_str=3 share_in_parallel=4",
    "ReLU": "negative_slope=1 engine=2",
    "Recurrent": "num_output=1 weight_filler=2 bias_filler=3 debug_info=4 expose_hidden=5",
    "Reduction": "operation=1 axis=2 coeff=3",
    "Reshape": "shape=1 axis=2 num_axes=3",
    "SPP": "pyramid_height=1 pool=2 engine=6",
    "Scale": "axis=1 num_axes=2 filler=3 bias_term=4 bias_filler=5",
    "Sigmoid": "engine=1",
    "Slice": "slice_dim=1 slice_point=2 axis=3",
    "Softmax": "engine=1 axis=2",
    "Swish": "beta=1",
    "TanH": "engine=1",
    "Threshold": "threshold=1",
    "Tile": "axis=1 tiles=2",
    "Transformation": (
        "scale=1 mirror=2 crop_size=3 mean_file=4 mean_value=5 force_color=6 force_gray=7"
    ),
    "V0Layer": (
        "name=1 type=2 num_output=3 biasterm=4 weight_filler=5 bias_filler=6 pad=7 kernelsize=8 "
        "group=9 stride=10 pool=11 dropout_ratio=12 local_size=13 alpha=14 beta=15 source=16 "
        "scale=17 meanfile=18 batchsize=19 cropsize=20 mirror=21 k=22 blobs=50 blobs_lr=51 "
        "weight_decay=52 rand_skip=53 new_num=60 new_channels=61 new_height=62 new_width=63 "
        "det_fg_threshold=54 det_bg_threshold=55 det_fg_fraction=56 det_context_pad=58 "
        "det_crop_mode=59 shuffle_images=64 concat_dim=65 hdf5_output_param=1001"
    ),
    "V1Layer": (
        "layer=1 bottom=2 top=3 name=4 type=5 blobs=6 blobs_lr=7 weight_decay=8 concat_param=9 "
        "convolution_param=10 data_param=11 dropout_param=12 hdf5_data_param=13 "
        "hdf5_output_param=14 image_data_param=15 infogain_loss_param=16 inner_product_param=17 "
        "lrn_param=18 pooling_param=19 window_data_param=20 power_param=21 memory_data_param=22 "
        "argmax_param=23 eltwise_param=24 threshold_param=25 dummy_data_param=26 "
        "accuracy_param=27 hinge_loss_param=29 relu_param=30 slice_param=31 include=32 "
        "exclude=33 mvn_param=34 loss_weight=35 transform_param=36 tanh_param=37 "
        "sigmoid_param=38 softmax_param=39 contrastive_loss_param=40 exp_param=41 loss_param=42 "
        "param=1001 blob_share_mode=1002"
    ),
    "WindowData": (
        "source=1 scale=2 mean_file=3 batch_size=4 crop_size=5 mirror=6 fg_threshold=7 "
        "bg_threshold=8 fg_fraction=9 context_pad=10 crop_mode=11 cache_images=12 "
        "root_folder=13"
    ),
}

# Of layers of forks: type -> number in a layer, name and kind of a message that is that fork's own.
OF_TYPES: dict[str, dict[int, tuple[str, str]]] = {
    "AnnotatedData": {200: ("annotated_data_param", "AnnotatedData")},
    "BN": {45: ("bn_param", "SegNetBN"), 152: ("bn_param", "BN")},
    "DenseImageData": {138: ("dense_image_data_param", "DenseImageData")},
    "DetectionOutput": {204: ("detection_output_param", "DetectionOutput")},
    "Interp": {143: ("interp_param", "Interp")},
    "Normalize": {206: ("norm_param", "Normalize")},
    "PSROIPooling": {153: ("psroi_pooling_param", "PSROIPooling")},
    "Permute": {202: ("permute_param", "Permute")},
    "PriorBox": {203: ("prior_box_param", "PriorBox")},
    "PriorBoxClustered": {203: ("prior_box_param", "PriorBox")},
    "ROIPooling": dict.fromkeys((150, 154, 8266711), ("roi_pooling_param", "ROIPooling")),
    "Reorg": {159: ("reorg_param", "Reorg")},
    "ShuffleChannel": {164: ("shuffle_channel_param", "ShuffleChannel")},
    "Upsample": dict.fromkeys((137, 149), ("upsample_param", "Upsample")),
    "YoloDetectionOutput": {601: ("yolo_detection_output_param", "YoloDetectionOutput")},
    "Yolov3DetectionOutput": {602: ("yolov3_detection_output_param", "Yolov3DetectionOutput")},
}
# Whole numbers where stock Caffe has a message, or nothing: NVCaffe's, in every layer that it saves.
WHOLE_IN_FORKS = {
    ("Layer", 145): "forward_type",
    ("Layer", 146): "backward_type",
    ("Layer", 147): "forward_math",
    ("Layer", 148): "backward_math",
}
# name=number:kind, as in loader/definition/schema.py
_MESSAGES_OF_FORKS = {
    "AnnotatedData": "label_map_file=2:text",
    "BN": (
        "slope_filler=1:Filler bias_filler=2:Filler momentum=3:f32 eps=4:f32 frozen=5:bool "
        "engine=6:Engine"
    ),
    "DenseImageData": (
        "source=1:text batch_size=2:u32 rand_skip=3:u32 shuffle=4:bool new_height=5:u32 "
        "new_width=6:u32 is_color=7:bool mean_file=8:text root_folder=9:text"
    ),
    "DetectionOutput": (
        "num_classes=1:u32 share_location=2:bool background_label_id=3:i32 nms_param=4:Suppression "
        "code_type=6:CodeType keep_top_k=7:i32 variance_encoded_in_target=8:bool "
        "confidence_threshold=9:f32 visualize=10:bool visualize_threshold=11:f32 save_file=12:text"
    ),
    "Interp": (
        "height=1:i32 width=2:i32 zoom_factor=3:i32 shrink_factor=4:i32 pad_beg=5:i32 pad_end=6:i32"
    ),
    "Normalize": "across_spatial=1:bool scale_filler=2:Filler channel_shared=3:bool eps=4:f32",
    "PSROIPooling": "spatial_scale=1:f32 output_dim=2:i32 group_size=3:i32",
    "Permute": "order=1:u32*",
    "PriorBox": (
        "min_size=1:f32* max_size=2:f32* aspect_ratio=3:f32* flip=4:bool clip=5:bool "
        "variance=6:f32* img_size=7:u32 img_h=8:u32 img_w=9:u32 step=10:f32 step_h=11:f32 "
        "step_w=12:f32 offset=13:f32 width=14:f32* height=15:f32*"
    ),
    "ROIPooling": "pooled_h=1:u32 pooled_w=2:u32 spatial_scale=3:f32",
    "Reorg": "stride=1:u32 reverse=2:bool",
    "Resize": "prob=1:f32 height=3:u32 width=4:u32",
    "SegNetBN": "scale_filler=1:Filler shift_filler=2:Filler bn_mode=3:BNMode",
    "ShuffleChannel": "group=1:u32",
    "Suppression": "nms_threshold=1:f32 top_k=2:i32 eta=3:f32",
    # SSD's, and NVCaffe's of it
    "Transformation": "resize_param=8:Resize resize_param=208:Resize",
    "Upsample": (
        "scale=1:u32 scale_h=2:u32 scale_w=3:u32 pad_out_h=4:bool pad_out_w=5:bool upsample_h=6:u32 "
        "upsample_w=7:u32"
    ),
    "YoloDetectionOutput": (
        "side=1:u32 num_classes=2:u32 num_box=3:u32 coords=4:u32 confidence_threshold=5:f32 "
        "nms_threshold=6:f32 biases=7:f32* label_map_file=8:text"
    ),
    "Yolov3DetectionOutput": (
        "num_classes=1:u32 num_box=2:u32 confidence_threshold=3:f32 nms_threshold=4:f32 "
        "biases=5:f32* anchors_scale=6:u32* mask_group_num=7:u32 mask=8:u32*"
    ),
}
ENUMS_OF_FORKS = {
    "BNMode": ("LEARN", "INFERENCE"),
    "CodeType": ("", "CORNER", "CENTER_SIZE", "CORNER_SIZE"),
}

# What a layer of a type that is a fork's has in common with stock ones: how it is wired; and the
# stock messages that such a type uses.
WIRING_ENDS = 102
STOCK_OF_TYPES = {
    "AnnotatedData": "data_param",
    "ConvolutionDepthwise": "convolution_param",
    "DepthwiseConvolution": "convolution_param",
}


def _stock(message: str) -> dict[int, tuple[str, FieldType]]:
    pairs = (word.split("=") for word in NUMBERS[message].split())
    return {int(number): (name, FIELDS[message][name]) for name, number in pairs}


def _of_forks(words: str) -> dict[int, tuple[str, FieldType]]:
    found = {}
    for word in words.split():
        name, _, rest = word.partition("=")
        number, _, kind = rest.partition(":")
        found[int(number)] = (name, FieldType(kind.rstrip("*"), kind.endswith("*"), False))
    return found


# message -> number -> (name, what it is)
BY_NUMBER = {message: _stock(message) for message in NUMBERS}
for _message, _words in _MESSAGES_OF_FORKS.items():
    BY_NUMBER[_message] = {**_of_forks(_words), **BY_NUMBER.get(_message, {})}
