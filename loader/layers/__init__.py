"""Layer type -> the rule that writes it as PyTorch. One table, written out: nothing is found by import.

A type that is not here is refused by name; what to do about it is in REFUSED, or `--layer-plugin`.
"""

from __future__ import annotations

from loader.layers import (
    activation,
    convolution,
    elementwise,
    normalisation,
    pooling,
    recurrent,
    shape,
)
from loader.layers.rule import Rule

LAYERS: dict[str, Rule] = {
    "AbsVal": activation.absval,
    "ArgMax": elementwise.argmax,
    "Axpy": elementwise.axpy,
    "BN": normalisation.fork_bn,
    "BNLL": activation.bnll,
    "BatchNorm": normalisation.batch_norm,
    "BatchReindex": shape.batch_reindex,
    "Bias": normalisation.bias,
    "CReLU": activation.crelu,
    "Clip": activation.clip,
    "Concat": shape.concat,
    "Convolution": convolution.convolution,
    "ConvolutionDepthwise": convolution.depthwise,
    "Crop": shape.crop,
    "Deconvolution": convolution.deconvolution,
    "DepthwiseConvolution": convolution.depthwise,
    "Dropout": activation.dropout,
    "ELU": activation.elu,
    "Eltwise": elementwise.eltwise,
    "Embed": convolution.embed,
    "Exp": activation.exp,
    "Filter": shape.filter_,
    "Flatten": shape.flatten,
    "GRN": normalisation.grn,
    "Im2col": convolution.im2col,
    "InnerProduct": convolution.inner_product,
    "LRN": normalisation.lrn,
    "LSTM": recurrent.lstm,
    "LSTMUnit": recurrent.lstm_unit,
    "Log": activation.log,
    "MVN": normalisation.mvn,
    "Normalize": normalisation.normalize,
    "PReLU": activation.prelu,
    "Parameter": shape.parameter,
    "Permute": shape.permute,
    "Pooling": pooling.pooling,
    "Power": activation.power,
    "RNN": recurrent.rnn,
    "ReLU": activation.relu,
    "ReLU6": activation.relu6,
    "Reduction": elementwise.reduction,
    "Reorg": shape.reorg,
    "Reshape": shape.reshape,
    "SPP": pooling.spp,
    "Scale": normalisation.scale,
    "ShuffleChannel": shape.shuffle_channel,
    "Sigmoid": activation.sigmoid,
    "Slice": shape.slice_,
    "Softmax": elementwise.softmax,
    "Swish": activation.swish,
    "TanH": activation.tanh,
    "Threshold": activation.threshold,
    "Tile": shape.tile,
}

# Types without a rule on purpose, and what a person can do.
REFUSED = {
    "Python": "it runs a program of its own: write it as a torch module and give --layer-plugin",
    "MultiBoxLoss": "it is for training: give the deploy file",
    "AnnotatedData": "it is for training: give the deploy file",
}
