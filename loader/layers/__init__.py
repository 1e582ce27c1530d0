"""Everything that Decant knows of layer types: one record each, written out; nothing is found by import.

Who asks about a type looks its record up (`layer_type`, `type_of`); there is no second table. A type
that is not here is refused by name; what to do about it is in `refused`, or `--layer-plugin`.
"""

from __future__ import annotations

from decant.loader.definition.graph import Layer
from decant.loader.definition.prototxt import Message
from decant.loader.layers import (
    activation,
    caffe_arithmetic,
    convolution,
    detection,
    elementwise,
    faster_rcnn,
    in_place,
    moving,
    normalisation,
    pooling,
    recurrent,
    resampling,
    shape,
    volumes,
    yolo,
)
from decant.loader.layers.layer_type import (
    Chooses,
    LayerType,
    Parameters,
    Role,
    Source,
    Weight,
)

ALWAYS, ALONE = Parameters.ALWAYS, Parameters.ALONE
KERNEL, TRANSPOSED, MATRIX = Weight.KERNEL, Weight.TRANSPOSED, Weight.MATRIX
WEIGHT_AND_BIAS = ("weight_filler", "bias_filler")
TIME = {1: Role.MARKER, None: Role.FEATURE}
_EIGHT_BITS = "it computes with few bits: --float converts the float weights that the file holds"

_OF_CAFFE = (
    LayerType("AbsVal", activation.absval, in_place=True),
    LayerType("ArgMax", elementwise.argmax, message="argmax_param", chooses=Chooses.ONLY),
    LayerType("BNLL", activation.bnll, in_place=True, near_one=caffe_arithmetic.sigmoid),
    LayerType(
        "BatchNorm",
        normalisation.batch_norm,
        message="batch_norm_param",
        parameters=ALWAYS,
        in_place=True,
        by_phase=True,
    ),
    LayerType(
        "BatchReindex",
        shape.batch_reindex,
        picks_rows=True,
        reads={1: Role.INDEX},
        moves=moving.picked,
    ),
    LayerType(
        "Bias",
        normalisation.bias,
        message="bias_param",
        parameters=ALONE,
        fillers=("filler",),
        in_place=True,
    ),
    LayerType("Clip", activation.clip, message="clip_param", in_place=True),
    LayerType("Concat", shape.concat, message="concat_param", view=True, moves=moving.joined),
    LayerType(
        "Convolution",
        convolution.convolution,
        message="convolution_param",
        parameters=ALWAYS,
        weight=KERNEL,
        fillers=WEIGHT_AND_BIAS,
        legacy_axes=(4, 1),
        in_place=in_place.through_im2col,
        reshapes_in_place=True,
    ),
    LayerType("Crop", shape.crop, message="crop_param"),
    LayerType(
        "Deconvolution",
        convolution.deconvolution,
        message="convolution_param",
        parameters=ALWAYS,
        weight=TRANSPOSED,
        fillers=WEIGHT_AND_BIAS,
        legacy_axes=(4, 1),
        in_place=in_place.through_im2col,
        reshapes_in_place=True,
        enlarges=True,
    ),
    LayerType(
        "Dropout",
        activation.dropout,
        message="dropout_param",
        in_place=True,
        by_phase=True,
        moves=moving.reshaped,
    ),
    LayerType(
        "ELU",
        activation.elu,
        message="elu_param",
        in_place=True,
        near_one=caffe_arithmetic.elu,
    ),
    LayerType(
        "Eltwise",
        elementwise.eltwise,
        message="eltwise_param",
        in_place=in_place.product_of_first,
    ),
    LayerType(
        "Embed",
        convolution.embed,
        message="embed_param",
        parameters=ALWAYS,
        fillers=WEIGHT_AND_BIAS,
        reads={0: Role.INDEX},
    ),
    LayerType("Exp", activation.exp, message="exp_param", in_place=True),
    LayerType(
        "Filter",
        shape.filter_,
        picks_rows=True,
        rows_axis=0,
        reads={-1: Role.SELECTOR},
        moves=moving.kept,
        chooses=Chooses.ONLY,
    ),
    LayerType("Flatten", shape.flatten, message="flatten_param", view=True, moves=moving.reshaped),
    LayerType("Im2col", convolution.im2col, message="convolution_param"),
    LayerType(
        "InnerProduct",
        convolution.inner_product,
        message="inner_product_param",
        parameters=ALWAYS,
        weight=MATRIX,
        fillers=WEIGHT_AND_BIAS,
        legacy_axes=(2, 1),
    ),
    LayerType("Input", message="input_param", transparent=True),
    LayerType(
        "LRN",
        normalisation.lrn,
        message="lrn_param",
        in_place=in_place.within_channel,
        drifts=caffe_arithmetic.running_squares,
    ),
    LayerType(
        "LSTM",
        recurrent.lstm,
        message="recurrent_param",
        parameters=ALWAYS,
        recurrent=True,
        reads=TIME,
    ),
    LayerType("LSTMUnit", recurrent.lstm_unit, reads={2: Role.MARKER, None: Role.FEATURE}),
    LayerType("Log", activation.log, message="log_param", in_place=True),
    LayerType("MVN", normalisation.mvn, message="mvn_param", in_place=True, reshapes_in_place=True),
    LayerType(
        "PReLU",
        activation.prelu,
        message="prelu_param",
        parameters=ALWAYS,
        fillers=("filler",),
        legacy_axes=(1,),
        in_place=True,
    ),
    LayerType("Parameter", shape.parameter, message="parameter_param", parameters=ALWAYS),
    LayerType(
        "Pooling", pooling.pooling, message="pooling_param", drifts=caffe_arithmetic.plane_means
    ),
    LayerType("Power", activation.power, message="power_param", in_place=True, moves=moving.scaled),
    LayerType(
        "Python",
        message="python_param",
        refused="it runs a program of its own: write it as a torch module and give --layer-plugin",
        # where nobody knows it and it has no bottom: what it brings is nowhere in the definition
        source=Source(pictures=False, prepares=False, shaped=False),
    ),
    LayerType(
        "RNN",
        recurrent.rnn,
        message="recurrent_param",
        parameters=ALWAYS,
        recurrent=True,
        reads=TIME,
    ),
    LayerType("ReLU", activation.relu, message="relu_param", in_place=True),
    LayerType("Reduction", elementwise.reduction, message="reduction_param"),
    LayerType("Reshape", shape.reshape, message="reshape_param", view=True, moves=moving.reshaped),
    LayerType("SPP", pooling.spp, message="spp_param"),
    LayerType(
        "Scale",
        normalisation.scale,
        message="scale_param",
        parameters=ALONE,
        fillers=("filler", "bias_filler"),
        in_place=True,
    ),
    LayerType(
        "Sigmoid",
        activation.sigmoid,
        message="sigmoid_param",
        in_place=True,
        near_one=caffe_arithmetic.sigmoid,
    ),
    LayerType("Silence", transparent=True),
    LayerType("Slice", shape.slice_, message="slice_param", view=True, moves=moving.sliced),
    LayerType("Softmax", elementwise.softmax, message="softmax_param", in_place=True),
    LayerType("Split", transparent=True, moves=moving.reshaped),
    LayerType(
        "Swish",
        activation.swish,
        message="swish_param",
        in_place=True,
        near_one=caffe_arithmetic.swish,
    ),
    LayerType("TanH", activation.tanh, message="tanh_param", in_place=True),
    LayerType(
        "Threshold",
        activation.threshold,
        message="threshold_param",
        in_place=True,
        chooses=Chooses.ONLY,
    ),
    LayerType("Tile", shape.tile, message="tile_param", moves=moving.tiled),
)

_OF_FORKS = (
    LayerType("Axpy", elementwise.axpy, "SENet"),
    LayerType(
        "BN",
        normalisation.fork_bn,
        "SegNet; ENet, PSPNet, P3D",
        message="bn_param",
        parameters=ALWAYS,
        in_place=True,
        by_phase=True,
    ),
    LayerType(
        "BilinearInterpolate",
        resampling.bilinear_interpolate,
        "brocolli-caffe",
        message="bilinear_interpolate_param",
    ),
    LayerType("CReLU", activation.crelu, "PVANet", message="crelu_param"),
    LayerType(
        "ContinuationIndicator",
        recurrent.continuation_indicator,
        "OpenVINO's training_toolbox_caffe",
        message="continuation_indicator_param",
    ),
    LayerType(
        "Convolution3D",
        volumes.convolution3d,
        "C3D; P3D",
        message="convolution3d_param",
        parameters=ALWAYS,
        weight=KERNEL,
    ),
    LayerType(
        "ConvolutionDepthwise",
        convolution.depthwise,
        "forks",
        message="convolution_param",
        parameters=ALWAYS,
        weight=KERNEL,
        fillers=WEIGHT_AND_BIAS,
    ),
    LayerType(
        "Deconvolution3D",
        volumes.deconvolution3d,
        "C3D; P3D",
        message="convolution3d_param",
        parameters=ALWAYS,
        weight=TRANSPOSED,
    ),
    LayerType(
        "DepthwiseConvolution",
        convolution.depthwise,
        "forks",
        message="convolution_param",
        parameters=ALWAYS,
        weight=KERNEL,
        fillers=WEIGHT_AND_BIAS,
    ),
    LayerType(
        "DetectionOutput",
        detection.detection_output,
        "SSD; RefineDet",
        message="detection_output_param",
        rows_axis=2,
        chooses=Chooses.ALSO,
    ),
    LayerType("GRN", normalisation.grn, "Intel", message="grn_param"),
    LayerType("HSigmoid", activation.hsigmoid, "forks", in_place=True),
    LayerType(
        "HardSigmoid",
        activation.hard_sigmoid,
        "brocolli-caffe",
        message="hardsigmoid_param",
        in_place=True,
    ),
    LayerType("HardSwish", activation.hard_swish, "brocolli-caffe", in_place=True),
    LayerType("Interp", resampling.interp, "DeepLab", message="interp_param", enlarges=True),
    LayerType(
        "Lstm",
        recurrent.forks_lstm,
        "caffe-lstm; CTPN",
        message="lstm_param",
        parameters=ALWAYS,
        reads=TIME,
    ),
    LayerType("MaxUnPool", resampling.max_unpool, "brocolli-caffe", message="max_unpool_param"),
    LayerType("MergeCrop", shape.merge_crop, "Caffe for OpenCL", message="mergecrop_param"),
    LayerType("Mish", activation.mish, "caffe-yolov3", in_place=True),
    LayerType(
        "Normalize",
        normalisation.normalize,
        "SSD",
        message="norm_param",
        parameters=ALWAYS,
        fillers=("scale_filler",),
    ),
    LayerType("PSROIPooling", detection.psroi_pooling, "R-FCN", message="psroi_pooling_param"),
    LayerType("Pad", shape.pad, "brocolli-caffe", message="pad_param"),
    LayerType("Permute", shape.permute, "SSD", message="permute_param", moves=moving.permuted),
    LayerType("PixelShuffle", shape.pixel_shuffle, "brocolli-caffe", message="pixelshuffle_param"),
    LayerType("Pooling3D", volumes.pooling3d, "C3D; P3D", message="pooling3d_param"),
    LayerType("PriorBox", detection.prior_box, "SSD", message="prior_box_param"),
    LayerType(
        "PriorBoxClustered", detection.prior_box_clustered, "Intel", message="prior_box_param"
    ),
    LayerType(
        "Proposal",
        detection.proposal,
        "PVANet",
        message="proposal_param",
        rows_axis=0,
        reads={2: Role.SIZE},
        chooses=Chooses.ALSO,
    ),
    LayerType("ROIAlign", detection.roi_align, "Mask R-CNN", message="roi_align_param"),
    LayerType("ROIPooling", detection.roi_pooling, "Fast R-CNN", message="roi_pooling_param"),
    LayerType("ReLU6", activation.relu6, "forks", message="relu6_param", in_place=True),
    LayerType(
        "Region",
        yolo.region,
        "OpenVINO's training_toolbox_caffe; caffe_yolo",
        message="region_param",
    ),
    LayerType("Reorg", shape.reorg, "YOLO", message="reorg_param"),
    LayerType("Resize", resampling.resize, "caffe-windows", message="resize_param", enlarges=True),
    LayerType("Reverse", shape.reverse, "CTPN", message="reverse_param", moves=moving.reversed_),
    LayerType("SeLu", activation.selu, "forks", message="selu_param", in_place=True),
    LayerType(
        "ShuffleChannel", shape.shuffle_channel, "ShuffleNet", message="shuffle_channel_param"
    ),
    LayerType("Sin", activation.sin, "forks", in_place=True),
    LayerType(
        "Transpose", shape.transpose, "CTPN", message="transpose_param", moves=moving.permuted
    ),
    LayerType("Unpooling", resampling.unpooling, "DeconvNet", message="unpooling_param"),
    LayerType(
        "Upsample", resampling.upsample, "SegNet; YOLO", message="upsample_param", enlarges=True
    ),
    LayerType(
        "YoloDetectionOutput",
        yolo.yolo_detection_output,
        "MobileNet-YOLO",
        message="yolo_detection_output_param",
        rows_axis=2,
        chooses=Chooses.ALSO,
    ),
    LayerType(
        "Yolov3DetectionOutput",
        yolo.yolov3_detection_output,
        "MobileNet-YOLO",
        message="yolov3_detection_output_param",
        rows_axis=2,
        chooses=Chooses.ALSO,
    ),
    # without a rule on purpose
    LayerType("ConvolutionRistretto", origin="Ristretto", refused=_EIGHT_BITS),
    LayerType("DeconvolutionRistretto", origin="Ristretto", refused=_EIGHT_BITS),
    LayerType("FcRistretto", origin="Ristretto", refused=_EIGHT_BITS),
    LayerType("LRNRistretto", origin="Ristretto", refused=_EIGHT_BITS),
    LayerType("TopK", origin="forks", refused="forks compute different things under this name"),
)

# Data layers, losses and measures: what loader/plan/deploy.py makes of them.
_OF_TRAINING = (
    LayerType("AnnotatedData", origin="SSD", message="data_param", source=Source()),
    LayerType("Data", message="data_param", source=Source()),
    LayerType(
        "DenseImageData",
        origin="SegNet",
        message="dense_image_data_param",
        source=Source(coloured=True),
    ),
    LayerType(
        "DummyData", message="dummy_data_param", source=Source(pictures=False, prepares=False)
    ),
    LayerType(
        "HDF5Data",
        message="hdf5_data_param",
        source=Source(pictures=False, prepares=False, shaped=False),
    ),
    LayerType("ImageData", message="image_data_param", source=Source(coloured=True)),
    LayerType("MemoryData", message="memory_data_param", source=Source(prepares=False)),
    # v1.0 has its fields in image_data_param
    LayerType(
        "VideoData",
        origin="C3D",
        message="video_data_param",
        source=Source(prepares=False, coloured=True),
    ),
    LayerType("WindowData", message="window_data_param", source=Source()),
    LayerType("Accuracy", message="accuracy_param", dropped=True),
    LayerType("ContrastiveLoss", message="contrastive_loss_param", dropped=True),
    LayerType("EuclideanLoss", dropped=True),
    LayerType("HDF5Output", message="hdf5_output_param", dropped=True),
    LayerType("HingeLoss", message="hinge_loss_param", dropped=True),
    LayerType("MultinomialLogisticLoss", dropped=True),
    LayerType("SoftmaxWithLoss", message="softmax_param", contains="Softmax"),
    LayerType("InfogainLoss", message="infogain_loss_param", contains="Softmax"),
    LayerType("SigmoidCrossEntropyLoss", contains="Sigmoid"),
    LayerType("SoftmaxWithLossOHEM", origin="R-FCN", message="softmax_param", contains="Softmax"),
    # of forks only those whose name does not say that they are a loss or a measure
    LayerType("DetectionEvaluate", origin="SSD", dropped=True),
    LayerType("EvalDetection", origin="forks", dropped=True),
    LayerType("LargeMarginInnerProduct", origin="wy1iu's LargeMargin_Softmax_Loss", dropped=True),
    LayerType("MarginInnerProduct", origin="SphereFace", dropped=True),
    LayerType("LabelSpecificAdd", origin="caffe-windows", identity_without="transform_test"),
    LayerType("LabelSpecificMargin", origin="caffe-windows", identity_without="margin_on_test"),
    LayerType("LabelSpecificRescale", origin="caffe-windows", identity_without="rescale_test"),
)

LAYER_TYPES: dict[str, LayerType] = {of.name: of for of in (*_OF_CAFFE, *_OF_FORKS, *_OF_TRAINING)}

# Python layers by module and class; a plugin for the class comes first.
PYTHON: dict[str, LayerType] = {
    of.name: of
    for of in (
        LayerType(
            "layers.text_proposal_layer:ProposalLayer",
            faster_rcnn.text_proposal_layer,
            "CTPN",
            rows_axis=0,
            reads={2: Role.SIZE},
            chooses=Chooses.ALSO,
        ),
        LayerType(
            "rpn.proposal_layer:ProposalLayer",
            faster_rcnn.proposal_layer,
            "py-faster-rcnn",
            rows_axis=0,
            reads={2: Role.SIZE},
            chooses=Chooses.ALSO,
        ),
    )
}

_TRAINING = "it is for training: give the definition for tests (test.prototxt)"
# Python layers of py-faster-rcnn's training, by module.
TRAINING_PYTHON = {
    "roi_data_layer.layer": _TRAINING,
    "rpn.anchor_target_layer": _TRAINING,
    "rpn.proposal_target_layer": _TRAINING,
}

# Fields of a layer's own that are refused on purpose, and what a person can do.
REFUSED_FIELDS = {"quantization_param": _EIGHT_BITS}


def layer_type(kind: str, fields: Message | None = None) -> LayerType:
    """The record of a type; a bare one for a type that has none.

    `fields`: the layer's message, by which a Python layer is told by its class, of whatever module
    (a rule asks for the module too: PYTHON).
    """
    if kind == "Python" and fields is not None:
        of_class = ":" + fields.message("python_param").text("layer")
        return next((x for name, x in PYTHON.items() if name.endswith(of_class)), LAYER_TYPES[kind])
    return LAYER_TYPES.get(kind) or LayerType(kind)


def type_of(layer: Layer) -> LayerType:
    """The record of this layer's type."""
    return layer_type(layer.type, layer.fields)
