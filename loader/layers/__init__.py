"""Layer type -> the rule that writes it as PyTorch. One table, written out: nothing is found by import.

A type that is not here is refused by name; what to do about it is in REFUSED, or `--layer-plugin`.
"""

from __future__ import annotations

from decant.loader.layers import (
    activation,
    convolution,
    detection,
    elementwise,
    faster_rcnn,
    normalisation,
    pooling,
    recurrent,
    resampling,
    shape,
    volumes,
    yolo,
)
from decant.loader.layers.rule import Rule

LAYERS: dict[str, Rule] = {
    "AbsVal": activation.absval,
    "ArgMax": elementwise.argmax,
    "Axpy": elementwise.axpy,
    "BN": normalisation.fork_bn,
    "BNLL": activation.bnll,
    "BatchNorm": normalisation.batch_norm,
    "BatchReindex": shape.batch_reindex,
    "Bias": normalisation.bias,
    "BilinearInterpolate": resampling.bilinear_interpolate,
    "CReLU": activation.crelu,
    "Clip": activation.clip,
    "Concat": shape.concat,
    "ContinuationIndicator": recurrent.continuation_indicator,
    "Convolution": convolution.convolution,
    "Convolution3D": volumes.convolution3d,
    "ConvolutionDepthwise": convolution.depthwise,
    "Crop": shape.crop,
    "Deconvolution": convolution.deconvolution,
    "Deconvolution3D": volumes.deconvolution3d,
    "DepthwiseConvolution": convolution.depthwise,
    "DetectionOutput": detection.detection_output,
    "Dropout": activation.dropout,
    "ELU": activation.elu,
    "Eltwise": elementwise.eltwise,
    "Embed": convolution.embed,
    "Exp": activation.exp,
    "Filter": shape.filter_,
    "Flatten": shape.flatten,
    "GRN": normalisation.grn,
    "HSigmoid": activation.hsigmoid,
    "HardSigmoid": activation.hard_sigmoid,
    "HardSwish": activation.hard_swish,
    "Im2col": convolution.im2col,
    "InnerProduct": convolution.inner_product,
    "Interp": resampling.interp,
    "LRN": normalisation.lrn,
    "LSTM": recurrent.lstm,
    "LSTMUnit": recurrent.lstm_unit,
    "Log": activation.log,
    "Lstm": recurrent.forks_lstm,
    "MVN": normalisation.mvn,
    "MaxUnPool": resampling.max_unpool,
    "MergeCrop": shape.merge_crop,
    "Mish": activation.mish,
    "Normalize": normalisation.normalize,
    "PReLU": activation.prelu,
    "Pad": shape.pad,
    "Parameter": shape.parameter,
    "Permute": shape.permute,
    "PixelShuffle": shape.pixel_shuffle,
    "Pooling": pooling.pooling,
    "Pooling3D": volumes.pooling3d,
    "PSROIPooling": detection.psroi_pooling,
    "Power": activation.power,
    "PriorBox": detection.prior_box,
    "PriorBoxClustered": detection.prior_box_clustered,
    "Proposal": detection.proposal,
    "RNN": recurrent.rnn,
    "ROIAlign": detection.roi_align,
    "ROIPooling": detection.roi_pooling,
    "ReLU": activation.relu,
    "ReLU6": activation.relu6,
    "Reduction": elementwise.reduction,
    "Region": yolo.region,
    "Reorg": shape.reorg,
    "Reshape": shape.reshape,
    "Resize": resampling.resize,
    "Reverse": shape.reverse,
    "SPP": pooling.spp,
    "Scale": normalisation.scale,
    "SeLu": activation.selu,
    "ShuffleChannel": shape.shuffle_channel,
    "Sigmoid": activation.sigmoid,
    "Sin": activation.sin,
    "Slice": shape.slice_,
    "Softmax": elementwise.softmax,
    "Swish": activation.swish,
    "TanH": activation.tanh,
    "Threshold": activation.threshold,
    "Tile": shape.tile,
    "Transpose": shape.transpose,
    "Unpooling": resampling.unpooling,
    "Upsample": resampling.upsample,
    "YoloDetectionOutput": yolo.yolo_detection_output,
    "Yolov3DetectionOutput": yolo.yolov3_detection_output,
}

# Python layers by module and class; a plugin for the class comes first.
PYTHON: dict[str, Rule] = {
    "layers.text_proposal_layer:ProposalLayer": faster_rcnn.text_proposal_layer,
    "rpn.proposal_layer:ProposalLayer": faster_rcnn.proposal_layer,
}

_EIGHT_BITS = "it computes with few bits: --float converts the float weights that the file holds"

# Types without a rule on purpose, and what a person can do.
REFUSED = {
    "ConvolutionRistretto": _EIGHT_BITS,
    "DeconvolutionRistretto": _EIGHT_BITS,
    "FcRistretto": _EIGHT_BITS,
    "LRNRistretto": _EIGHT_BITS,
    "Python": "it runs a program of its own: write it as a torch module and give --layer-plugin",
    "TopK": "forks compute different things under this name",
}

_TRAINING = "it is for training: give the definition for tests (test.prototxt)"
# Python layers of py-faster-rcnn's training, by module.
TRAINING_PYTHON = {
    "roi_data_layer.layer": _TRAINING,
    "rpn.anchor_target_layer": _TRAINING,
    "rpn.proposal_target_layer": _TRAINING,
}

# The same of a layer's own fields.
REFUSED_FIELDS = {"quantization_param": _EIGHT_BITS}
