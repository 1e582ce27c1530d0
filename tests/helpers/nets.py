"""Small nets, one for each layer type and each parameter that changes the result.

The one table for both oracles: real Caffe in the container (tests/container/test_layers.py), and the
golden dumps that it made (golden.zip). `covers` names the types that a net is about, for
docs/layers.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

Shape = tuple[int, ...]
PICTURE: Shape = (2, 6, 7, 9)


@dataclass(frozen=True)
class SmallNet:
    """`inputs`: blob -> shape; `probe`: blob -> its values where normal numbers would not do.

    `blobs`: layer -> its parameters, where random ones would not do.
    """

    name: str
    covers: str
    text: str
    inputs: Mapping[str, Shape]
    probe: Mapping[str, Callable[[np.random.Generator, Shape], np.ndarray]] = field(
        default_factory=dict
    )
    weights: str = ""
    blobs: Mapping[str, Sequence[np.ndarray]] = field(default_factory=dict)

    def arrays(self) -> dict[str, np.ndarray]:
        """The probe: seeded by the net's name."""
        random = np.random.default_rng(list(self.name.encode()))
        return {
            blob: np.asarray(
                self.probe[blob](random, shape)
                if blob in self.probe
                else random.standard_normal(shape) * 2,
                np.float32,
            )
            for blob, shape in self.inputs.items()
        }


def layer(
    name: str, kind: str, bottoms: Sequence[str], tops: Sequence[str], param: str = ""
) -> str:
    """One layer's text."""
    wires = [f'bottom: "{blob}"' for blob in bottoms] + [f'top: "{blob}"' for blob in tops]
    return f'layer {{ name: "{name}" type: "{kind}" {" ".join(wires)} {param} }}\n'


def inputs_text(inputs: Mapping[str, Shape]) -> str:
    """Input layers."""
    text = ""
    for blob, shape in inputs.items():
        dims = " ".join(f"dim: {size}" for size in shape)
        text += layer(blob, "Input", [], [blob], f"input_param {{ shape {{ {dims} }} }}")
    return text


def one(
    name: str,
    kind: str,
    param: str = "",
    *,
    inputs: Mapping[str, Shape] | Shape = PICTURE,
    tops: int = 1,
    weights: str = "",
    **probe: Callable[[np.random.Generator, Shape], np.ndarray],
) -> SmallNet:
    """A net of one layer; its bottoms are all inputs, in order."""
    shapes = inputs if isinstance(inputs, Mapping) else {"data": inputs}
    outs = ["out"] if tops == 1 else [f"out{number}" for number in range(tops)]
    text = inputs_text(shapes) + layer("it", kind, list(shapes), outs, param)
    return SmallNet(name, kind, text, shapes, probe, weights)


def net(
    name: str, covers: str, inputs: Mapping[str, Shape], *layers: str, weights: str = ""
) -> SmallNet:
    """A net of several layers."""
    return SmallNet(name, covers, inputs_text(inputs) + "".join(layers), inputs, weights=weights)


def positive(random: np.random.Generator, shape: Shape) -> np.ndarray:
    return random.uniform(0.1, 3, shape)


def whole(high: int) -> Callable[[np.random.Generator, Shape], np.ndarray]:
    return lambda random, shape: random.integers(0, high, shape)


def ones(_random: np.random.Generator, shape: Shape) -> np.ndarray:
    return np.ones(shape)


def begins(random: np.random.Generator, shape: Shape) -> np.ndarray:
    """A sequence that begins anew here and there."""
    found = (random.uniform(size=shape) > 0.3).astype(np.float32)
    found[0] = 0
    return found


def far_apart(random: np.random.Generator, shape: Shape) -> np.ndarray:
    """No two values alike, so that no maximum is a near tie."""
    return random.permutation(int(np.prod(shape))).reshape(shape) - 100.0


def ties(random: np.random.Generator, shape: Shape) -> np.ndarray:
    return random.integers(0, 3, shape)


def steep(random: np.random.Generator, shape: Shape) -> np.ndarray:
    """Exponents of which a rounding makes much."""
    return random.uniform(-20, 50, shape)


def far_means(name: str, deviations: float, *layers: str, variance: float = 1e-6) -> SmallNet:
    """A BatchNorm (and what reads it) of means so many deviations from 0, on values near them.

    The statistics of dead channels, or of few pictures; channel 0 has ordinary ones.
    """
    random = np.random.default_rng(list(name.encode()))
    channels = PICTURE[1]
    variances = np.array([1.0] + [variance] * (channels - 1))
    spread = np.sqrt(variances.clip(0) + 1e-5)
    mean = spread * deviations * random.choice([-1, 1], channels)
    mean[0] = 0.5
    blobs = {"bn": [mean * 999.98, variances * 999.98, [999.98]]}
    if layers:
        blobs["sc"] = [random.standard_normal(channels) + 1, random.standard_normal(channels)]

    def values(random: np.random.Generator, shape: Shape) -> np.ndarray:
        near = mean + spread * random.standard_normal((*shape[:1], *shape[2:], channels))
        return np.moveaxis(near, -1, 1)

    return SmallNet(
        name,
        "BatchNorm" + " Scale" * bool(layers),
        inputs_text({"data": PICTURE})
        + layer("bn", "BatchNorm", ["data"], ["bn"])
        + "".join(layers),
        {"data": PICTURE},
        {"data": values},
        blobs={
            name: [np.asarray(blob, np.float32) for blob in found] for name, found in blobs.items()
        },
    )


def conv(param: str) -> str:
    return f"convolution_param {{ {param} }}"


def pool(param: str) -> str:
    return f"pooling_param {{ {param} }}"


ROW: Shape = (3, 5)
THREE = {"a": PICTURE, "b": PICTURE, "c": PICTURE}
TWO = {"a": PICTURE, "b": PICTURE}
SEQUENCE = {"x": (5, 3, 4), "cont": (5, 3)}

CONVOLUTIONS = [
    one("conv", "Convolution", conv("num_output: 4 kernel_size: 3")),
    one("conv_no_bias", "Convolution", conv("num_output: 4 kernel_size: 3 bias_term: false")),
    one("conv_stride_pad", "Convolution", conv("num_output: 4 kernel_size: 3 stride: 2 pad: 2")),
    one("conv_group", "Convolution", conv("num_output: 4 kernel_size: 3 group: 2")),
    one("conv_depthwise", "Convolution", conv("num_output: 12 kernel_size: 3 group: 6")),
    one("conv_dilation", "Convolution", conv("num_output: 4 kernel_size: 3 dilation: 2 pad: 1")),
    one("conv_dilation_axes", "Convolution", conv("num_output: 4 kernel_size: 2 dilation: 2 dilation: 3")),
    one("conv_not_square", "Convolution", conv("num_output: 4 kernel_h: 3 kernel_w: 1 stride_h: 1 stride_w: 2 pad_h: 0 pad_w: 3")),
    one("conv_repeated", "Convolution", conv("num_output: 4 kernel_size: 3 kernel_size: 2 stride: 2 stride: 1 pad: 1 pad: 0")),
    one("conv_1x1", "Convolution", conv("num_output: 3 kernel_size: 1")),
    one("conv_1d", "Convolution", conv("num_output: 4 kernel_size: 3 pad: 1"), inputs=(2, 3, 11)),
    one("conv_3d", "Convolution", conv("num_output: 4 kernel_size: 2 stride: 1 stride: 2 stride: 1"), inputs=(2, 3, 4, 6, 5)),
    one("conv_nd_forced", "Convolution", conv("num_output: 4 kernel_size: 3 force_nd_im2col: true dilation: 2")),
    one("conv_axis_2", "Convolution", conv("num_output: 4 kernel_size: 3 axis: 2"), inputs=(2, 3, 4, 6, 5)),
    one("conv_axis_negative", "Convolution", conv("num_output: 4 kernel_size: 3 axis: -3")),
    one("conv_axis_0", "Convolution", conv("num_output: 4 kernel_size: 3 axis: 0"), inputs=(3, 6, 5)),
    one("conv_window_beyond", "Convolution", conv("num_output: 4 kernel_h: 3 kernel_w: 4 stride: 4 dilation: 2"), inputs=(2, 3, 4, 5)),
    one("im2col_window_beyond", "Im2col", conv("kernel_size: 5 stride: 3"), inputs=(2, 3, 4, 7)),
    one("conv_twice", "Convolution", conv("num_output: 4 kernel_size: 3"), inputs=TWO, tops=2),
    one("conv_engine_enum", "Convolution", conv("num_output: 0x4 kernel_size: 3 engine: 1")),
    one("deconv", "Deconvolution", conv("num_output: 4 kernel_size: 3")),
    one("deconv_stride_pad", "Deconvolution", conv("num_output: 4 kernel_size: 4 stride: 2 pad: 1")),
    one("deconv_group_bias_dilation", "Deconvolution", conv("num_output: 4 kernel_size: 3 group: 2 dilation: 2 stride: 3")),
    one("deconv_bilinear_shape", "Deconvolution", conv("num_output: 6 kernel_size: 4 stride: 2 group: 6 bias_term: false")),
    one("deconv_not_square", "Deconvolution", conv("num_output: 4 kernel_h: 3 kernel_w: 2 stride_h: 1 stride_w: 2 pad_h: 1 pad_w: 0")),
    one("deconv_3d", "Deconvolution", conv("num_output: 2 kernel_size: 2 stride: 2"), inputs=(2, 3, 4, 3, 5)),
    one("deconv_twice", "Deconvolution", conv("num_output: 4 kernel_size: 3"), inputs=TWO, tops=2),
    one("im2col", "Im2col", conv("kernel_size: 3 stride: 2 pad: 1")),
    one("im2col_dilation", "Im2col", conv("kernel_h: 2 kernel_w: 3 dilation: 2")),
    one("ip", "InnerProduct", "inner_product_param { num_output: 4 }"),
    one("ip_no_bias", "InnerProduct", "inner_product_param { num_output: 4 bias_term: false }"),
    one("ip_axis_2", "InnerProduct", "inner_product_param { num_output: 4 axis: 2 }"),
    one("ip_axis_last", "InnerProduct", "inner_product_param { num_output: 4 axis: -1 }"),
    one("ip_axis_0", "InnerProduct", "inner_product_param { num_output: 4 axis: 0 }", inputs=ROW),
    one("ip_transpose", "InnerProduct", "inner_product_param { num_output: 4 transpose: true }"),
    one("ip_one_output", "InnerProduct", "inner_product_param { num_output: 1 }", inputs=ROW),
    one("embed", "Embed", "embed_param { num_output: 4 input_dim: 7 }", inputs=(3, 5), data=whole(7)),
    one("embed_no_bias", "Embed", "embed_param { num_output: 4 input_dim: 7 bias_term: false }", inputs=(3, 5), data=whole(7)),
]  # fmt: skip

POOLINGS = [
    one("max", "Pooling", pool("pool: MAX kernel_size: 2 stride: 2")),
    one("max_default", "Pooling", pool("kernel_size: 3")),
    one("max_ceil", "Pooling", pool("pool: MAX kernel_size: 3 stride: 2"), inputs=(2, 3, 8, 10)),
    one("max_pad", "Pooling", pool("pool: MAX kernel_size: 3 stride: 2 pad: 1")),
    one("max_pad_one_axis", "Pooling", pool("pool: MAX kernel_size: 3 stride: 2 pad_h: 1 pad_w: 0"), inputs=(2, 3, 8, 10)),
    one("max_not_square", "Pooling", pool("pool: MAX kernel_h: 3 kernel_w: 2 stride_h: 1 stride_w: 2 pad_h: 0 pad_w: 1")),
    one("max_stride_above_kernel", "Pooling", pool("pool: MAX kernel_size: 2 stride: 3")),
    one("max_stride_above_kernel_even", "Pooling", pool("pool: MAX kernel_size: 1 stride: 2"), inputs=(2, 3, 8, 10)),
    one("max_pad_above_half", "Pooling", pool("pool: MAX kernel_size: 3 stride: 2 pad: 2")),
    one("max_global", "Pooling", pool("pool: MAX global_pooling: true")),
    one("max_floor", "Pooling", pool("pool: MAX kernel_size: 3 stride: 2 round_mode: FLOOR"), inputs=(2, 3, 8, 10)),
    one("max_mask", "Pooling", pool("pool: MAX kernel_size: 2 stride: 2"), tops=2, data=far_apart),
    one("max_mask_pad", "Pooling", pool("pool: MAX kernel_size: 3 stride: 2 pad: 1"), tops=2, data=far_apart),
    one("max_mask_wide_stride", "Pooling", pool("pool: MAX kernel_size: 2 stride: 3"), tops=2, data=far_apart),
    one("max_mask_large_pad", "Pooling", pool("pool: MAX kernel_size: 3 stride: 2 pad: 2"), tops=2, data=far_apart),
    one("max_mask_global", "Pooling", pool("pool: MAX global_pooling: true"), tops=2, data=far_apart),
    one("max_mask_ties", "Pooling", pool("pool: MAX kernel_size: 2 stride: 2"), tops=2, data=ties),
    one("ave", "Pooling", pool("pool: AVE kernel_size: 2 stride: 2")),
    one("ave_ceil", "Pooling", pool("pool: AVE kernel_size: 3 stride: 2"), inputs=(2, 3, 8, 10)),
    one("ave_pad", "Pooling", pool("pool: AVE kernel_size: 3 stride: 2 pad: 1")),
    one("ave_pad_ceil", "Pooling", pool("pool: AVE kernel_size: 3 stride: 2 pad: 1"), inputs=(2, 3, 8, 10)),
    one("ave_pad_one_axis", "Pooling", pool("pool: 1 kernel_size: 3 stride: 2 pad_h: 0 pad_w: 1"), inputs=(2, 3, 8, 10)),
    one("ave_stride_above_kernel", "Pooling", pool("pool: AVE kernel_size: 2 stride: 3")),
    one("ave_pad_above_half", "Pooling", pool("pool: AVE kernel_size: 3 stride: 2 pad: 2")),
    one("ave_global", "Pooling", pool("pool: AVE global_pooling: true")),
    one("ave_floor", "Pooling", pool("pool: AVE kernel_size: 3 stride: 2 pad: 1 round_mode: FLOOR"), inputs=(2, 3, 8, 10)),
    one("ave_inception", "Pooling", pool("pool: AVE kernel_size: 3 stride: 1 pad: 1")),
    one("spp", "SPP", "spp_param { pyramid_height: 3 }", inputs=(2, 3, 9, 11)),
    one("spp_ave", "SPP", "spp_param { pyramid_height: 2 pool: AVE }", inputs=(2, 3, 9, 11)),
    one("spp_one_level", "SPP", "spp_param { pyramid_height: 1 }"),
]  # fmt: skip

BN = layer("bn", "BatchNorm", ["data"], ["bn"], "batch_norm_param { eps: 0.001 }")
SC = layer("sc", "Scale", ["bn"], ["sc"], "scale_param { bias_term: true }")
NORMALISATIONS = [
    one("lrn", "LRN", "lrn_param { alpha: 0.1 }"),
    one("lrn_all", "LRN", "lrn_param { local_size: 3 alpha: 0.2 beta: 0.6 k: 2 }"),
    one("lrn_default", "LRN", inputs=(2, 3, 4, 5)),
    one("lrn_one_channel", "LRN", "lrn_param { local_size: 1 alpha: 0.2 }"),
    one("lrn_within", "LRN", "lrn_param { local_size: 3 alpha: 0.2 beta: 0.6 k: 2 norm_region: WITHIN_CHANNEL }"),
    one("bn", "BatchNorm"),
    one("bn_eps", "BatchNorm", "batch_norm_param { eps: 0.01 }"),
    one("bn_factor_0", "BatchNorm", weights="factor 0", inputs=(2, 3, 4, 5)),
    one("bn_batch_statistics", "BatchNorm", "batch_norm_param { use_global_stats: false }"),
    one("bn_rows", "BatchNorm", inputs=ROW),
    one("bn_3d", "BatchNorm", inputs=(2, 3, 4, 5, 2)),
    one("bn_three_axes", "BatchNorm", inputs=(2, 3, 5)),
    net("bn_scale", "BatchNorm Scale", {"data": PICTURE}, BN, layer("sc", "Scale", ["bn"], ["bn"], "scale_param { bias_term: true }")),
    net("bn_scale_no_bias", "BatchNorm Scale", {"data": PICTURE}, BN, layer("sc", "Scale", ["bn"], ["out"])),
    net("bn_two_readers", "BatchNorm Scale", {"data": PICTURE}, BN, layer("sc", "Scale", ["bn"], ["sc"], "scale_param { bias_term: true }"), layer("sum", "Eltwise", ["bn", "sc"], ["out"])),
    net("bn_scale_apart", "BatchNorm Scale", {"data": PICTURE}, BN, layer("relu", "ReLU", ["data"], ["r"]), layer("sc", "Scale", ["bn"], ["sc"], "scale_param { bias_term: true }"), layer("sum", "Eltwise", ["r", "sc"], ["out"])),
    net("bn_scale_other_axis", "BatchNorm Scale", {"data": PICTURE}, BN, layer("sc", "Scale", ["bn"], ["out"], "scale_param { axis: 2 bias_term: true }")),
    net("neighbours_that_are_not_connected", "BatchNorm Scale", {"data": PICTURE}, BN, layer("sc", "Scale", ["data"], ["sc"]), layer("sum", "Eltwise", ["bn", "sc"], ["out"])),
    far_means("bn_far_mean", 1000),
    far_means("bn_farther_mean", 1e5, variance=1.0),
    far_means("bn_far_mean_scale", 1000, SC),
    far_means("bn_mean_within_limit", 30, SC),
    far_means("bn_no_variance", 200, SC, variance=0.0),
    far_means("bn_negative_variance", 3, SC, variance=-2e-5),
    one("scale", "Scale"),
    one("scale_bias", "Scale", "scale_param { bias_term: true }"),
    one("scale_axis_0", "Scale", "scale_param { axis: 0 bias_term: true }"),
    one("scale_axis_last", "Scale", "scale_param { axis: -1 bias_term: true }"),
    one("scale_two_axes", "Scale", "scale_param { num_axes: 2 bias_term: true }"),
    one("scale_all_axes", "Scale", "scale_param { num_axes: -1 }"),
    one("scale_scalar", "Scale", "scale_param { num_axes: 0 bias_term: true }"),
    one("scale_by_blob", "Scale", inputs={"a": PICTURE, "b": (6,)}),
    one("scale_by_blob_axis_0", "Scale", "scale_param { axis: 0 }", inputs={"a": PICTURE, "b": (2, 6)}),
    one("scale_by_blob_bias", "Scale", "scale_param { axis: 2 bias_term: true }", inputs={"a": PICTURE, "b": (7, 9)}),
    one("bias", "Bias"),
    one("bias_axis_2", "Bias", "bias_param { axis: 2 }"),
    one("bias_two_axes", "Bias", "bias_param { axis: 0 num_axes: 2 }"),
    one("bias_scalar", "Bias", "bias_param { num_axes: 0 }"),
    one("bias_by_blob", "Bias", "bias_param { axis: 0 }", inputs={"a": PICTURE, "b": (2, 6)}),
    one("mvn", "MVN"),
    one("mvn_across", "MVN", "mvn_param { across_channels: true }"),
    one("mvn_mean_only", "MVN", "mvn_param { normalize_variance: false }"),
    one("mvn_eps", "MVN", "mvn_param { eps: 0.5 }"),
    one("mvn_three_axes", "MVN", inputs=(2, 3, 5)),
    one("mvn_small", "MVN", data=lambda random, shape: random.standard_normal(shape) * 1e-4),
]  # fmt: skip

ACTIVATIONS = [
    one("relu", "ReLU"),
    one("relu_slope", "ReLU", "relu_param { negative_slope: 0.1 }"),
    one("prelu", "PReLU"),
    one("prelu_shared", "PReLU", "prelu_param { channel_shared: true }"),
    one("prelu_rows", "PReLU", inputs=ROW),
    one("elu", "ELU"),
    one("elu_alpha", "ELU", "elu_param { alpha: 0.5 }"),
    one("sigmoid", "Sigmoid"),
    one("tanh", "TanH"),
    one("absval", "AbsVal"),
    one("bnll", "BNLL"),
    one("power", "Power", "power_param { power: 2 scale: 0.5 shift: 1 }"),
    one("power_one", "Power", "power_param { scale: -0.5 shift: -1 }"),
    one("power_fraction", "Power", "power_param { power: 0.5 scale: 2 shift: 0.1 }", data=positive),
    one("power_negative", "Power", "power_param { power: -1.5 shift: 1 }", data=positive),
    one("power_zero", "Power", "power_param { power: 0 scale: 3 shift: 2 }"),
    one("power_scale_zero", "Power", "power_param { power: 3 scale: 0 shift: 2 }"),
    one("power_nothing", "Power"),
    one("exp", "Exp"),
    one("exp_base", "Exp", "exp_param { base: 2 scale: 0.5 shift: 1 }"),
    one("exp_shift", "Exp", "exp_param { scale: -0.5 shift: -1 }"),
    one("exp_steep", "Exp", "exp_param { base: 10 scale: 0.3 shift: 1.7 }", data=steep),
    one("log", "Log", data=positive),
    one("log_base", "Log", "log_param { base: 10 scale: 2 shift: 1 }", data=positive),
    one("threshold", "Threshold", data=ties),
    one("threshold_1", "Threshold", "threshold_param { threshold: 1 }", data=ties),
    one("dropout", "Dropout", "dropout_param { dropout_ratio: 0.3 }"),
    one("clip", "Clip", "clip_param { min: -0.5 max: 1.5 }"),
    one("swish", "Swish"),
    one("swish_beta", "Swish", "swish_param { beta: 0.5 }"),
]  # fmt: skip

ELEMENTWISE = [
    one("sum", "Eltwise", inputs=TWO),
    one("sum_three", "Eltwise", inputs=THREE),
    one("sum_coeff", "Eltwise", "eltwise_param { operation: SUM coeff: 1 coeff: -1 coeff: 0.5 }", inputs=THREE),
    one("sum_coeff_first_negative", "Eltwise", "eltwise_param { coeff: -1 coeff: -2.5 }", inputs=TWO),
    one("prod_three", "Eltwise", "eltwise_param { operation: PROD }", inputs=THREE),
    one("max_three", "Eltwise", "eltwise_param { operation: MAX }", inputs=THREE),
    one("max_with_coeff", "Eltwise", "eltwise_param { operation: 2 coeff: 2 coeff: 3 }", inputs=TWO),
    one("softmax", "Softmax", inputs=ROW),
    one("softmax_picture", "Softmax"),
    one("softmax_axis_2", "Softmax", "softmax_param { axis: 2 }"),
    one("softmax_axis_last", "Softmax", "softmax_param { axis: -1 }"),
    one("argmax", "ArgMax", data=far_apart),
    one("argmax_top_k", "ArgMax", "argmax_param { top_k: 4 }", data=far_apart),
    one("argmax_values", "ArgMax", "argmax_param { top_k: 3 out_max_val: true }", data=far_apart),
    one("argmax_rows", "ArgMax", "argmax_param { top_k: 2 }", inputs=ROW),
    one("argmax_axis", "ArgMax", "argmax_param { axis: 1 }"),
    one("argmax_axis_top_k", "ArgMax", "argmax_param { axis: -1 top_k: 3 }"),
    one("argmax_axis_values", "ArgMax", "argmax_param { axis: 1 top_k: 2 out_max_val: true }"),
    one("argmax_ties", "ArgMax", "argmax_param { axis: 1 top_k: 2 }", data=ties),
    one("argmax_ties_all", "ArgMax", "argmax_param { top_k: 5 }", data=ties),
    one("reduction", "Reduction"),
    one("reduction_axis", "Reduction", "reduction_param { axis: 2 }"),
    one("reduction_asum", "Reduction", "reduction_param { operation: ASUM axis: 1 coeff: 0.5 }"),
    one("reduction_sumsq", "Reduction", "reduction_param { operation: SUMSQ axis: -1 coeff: 2 }"),
    one("reduction_mean", "Reduction", "reduction_param { operation: MEAN axis: 1 coeff: 3 }"),
]  # fmt: skip

SHAPES = [
    one("concat", "Concat", inputs={"a": (2, 3, 4, 5), "b": (2, 1, 4, 5), "c": (2, 2, 4, 5)}),
    one("concat_axis_0", "Concat", "concat_param { axis: 0 }", inputs={"a": (2, 3), "b": (1, 3)}),
    one("concat_last", "Concat", "concat_param { axis: -1 }", inputs={"a": (2, 3), "b": (2, 1)}),
    one("concat_dim", "Concat", "concat_param { concat_dim: 2 }", inputs={"a": (2, 3, 4, 5), "b": (2, 3, 1, 5)}),
    one("concat_one", "Concat"),
    one("slice", "Slice", tops=3),
    one("slice_points", "Slice", "slice_param { slice_point: 1 slice_point: 4 }", tops=3),
    one("slice_axis", "Slice", "slice_param { axis: -1 slice_point: 2 }", tops=2),
    one("slice_dim", "Slice", "slice_param { slice_dim: 2 slice_point: 2 }", tops=2),
    one("slice_one", "Slice"),
    one("crop", "Crop", inputs={"a": PICTURE, "b": (2, 6, 4, 5)}),
    one("crop_offset", "Crop", "crop_param { offset: 2 }", inputs={"a": PICTURE, "b": (2, 6, 4, 5)}),
    one("crop_offsets", "Crop", "crop_param { offset: 1 offset: 3 }", inputs={"a": PICTURE, "b": (2, 6, 4, 5)}),
    one("crop_axis_1", "Crop", "crop_param { axis: 1 offset: 2 offset: 0 offset: 1 }", inputs={"a": PICTURE, "b": (2, 3, 4, 5)}),
    one("crop_last", "Crop", "crop_param { axis: -1 offset: 1 }", inputs={"a": PICTURE, "b": (2, 6, 7, 5)}),
    one("reshape", "Reshape", "reshape_param { shape { dim: 0 dim: 2 dim: -1 } }"),
    one("reshape_axis", "Reshape", "reshape_param { shape { dim: 3 dim: 2 } axis: 1 num_axes: 1 }"),
    one("reshape_insert", "Reshape", "reshape_param { shape { dim: 1 } axis: -1 num_axes: 0 }"),
    one("reshape_insert_front", "Reshape", "reshape_param { shape { dim: 1 } axis: 0 num_axes: 0 }"),
    one("reshape_rest", "Reshape", "reshape_param { shape { dim: -1 } axis: 2 }"),
    one("reshape_all", "Reshape", "reshape_param { shape { dim: -1 dim: 9 } }"),
    one("flatten", "Flatten"),
    one("flatten_axes", "Flatten", "flatten_param { axis: 0 end_axis: 1 }"),
    one("flatten_middle", "Flatten", "flatten_param { axis: 1 end_axis: -2 }"),
    one("tile", "Tile", "tile_param { tiles: 3 }"),
    one("tile_axis", "Tile", "tile_param { tiles: 2 axis: -1 }"),
    one("batch_reindex", "BatchReindex", inputs={"a": (4, 3, 2), "index": (6,)}, index=whole(4)),
    one("filter", "Filter", inputs={"a": (6, 3, 2), "chosen": (6, 1)}, chosen=whole(2)),
    one("filter_two", "Filter", inputs={"a": (6, 3), "b": (6, 2, 2), "chosen": (6,)}, tops=2, chosen=whole(2)),
    net("parameter", "Parameter", {"data": (3, 4)}, layer("p", "Parameter", [], ["p"], "parameter_param { shape { dim: 3 dim: 4 } }"), layer("sum", "Eltwise", ["data", "p"], ["out"])),
    net("split_silence", "Split Silence", {"data": ROW}, layer("s", "Split", ["data"], ["s1", "s2"]), layer("r", "ReLU", ["s1"], ["s4"]), layer("a", "AbsVal", ["s2"], ["s3"]), layer("q", "Silence", ["s3"], [])),
]  # fmt: skip

RECURRENT = [
    one("lstm", "LSTM", "recurrent_param { num_output: 6 }", inputs=SEQUENCE, cont=begins),
    one("lstm_static", "LSTM", "recurrent_param { num_output: 6 }", inputs={**SEQUENCE, "static": (3, 7)}, cont=begins),
    one("lstm_exposed", "LSTM", "recurrent_param { num_output: 6 expose_hidden: true }", inputs={**SEQUENCE, "h": (1, 3, 6), "c": (1, 3, 6)}, tops=3, cont=ones),
    one("lstm_exposed_static", "LSTM", "recurrent_param { num_output: 6 expose_hidden: true }", inputs={**SEQUENCE, "static": (3, 7), "h": (1, 3, 6), "c": (1, 3, 6)}, tops=3, cont=begins),
    one("lstm_state_stays", "LSTM", "recurrent_param { num_output: 6 }", inputs=SEQUENCE, weights="second forward", cont=ones),
    one("lstm_pictures", "LSTM", "recurrent_param { num_output: 4 }", inputs={"x": (3, 2, 3, 2), "cont": (3, 2)}, cont=begins),
    one("rnn", "RNN", "recurrent_param { num_output: 6 }", inputs=SEQUENCE, cont=begins),
    one("rnn_static", "RNN", "recurrent_param { num_output: 6 }", inputs={**SEQUENCE, "static": (3, 7)}, cont=begins),
    one("rnn_exposed", "RNN", "recurrent_param { num_output: 6 expose_hidden: true }", inputs={**SEQUENCE, "h": (1, 3, 6)}, tops=2, cont=ones),
    one("rnn_state_stays", "RNN", "recurrent_param { num_output: 6 }", inputs=SEQUENCE, weights="second forward", cont=ones),
    one("lstm_unit", "LSTMUnit", inputs={"c": (1, 3, 4), "gates": (1, 3, 16), "cont": (1, 3)}, tops=2, cont=whole(2)),
]  # fmt: skip

RELU = layer("relu", "ReLU", ["conv"], ["conv"])
WIRING = [
    net("in_place_chain", "ReLU", {"data": PICTURE}, layer("conv", "Convolution", ["data"], ["conv"], conv("num_output: 4 kernel_size: 3")), RELU, layer("power", "Power", ["conv"], ["conv"], "power_param { power: 2 }"), layer("conv2", "Convolution", ["conv"], ["conv2"], conv("num_output: 3 kernel_size: 3"))),
    net("in_place_on_a_branch", "ReLU", {"data": PICTURE}, layer("split_a", "Pooling", ["data"], ["pool"], pool("kernel_size: 3 pad: 1")), layer("conv", "Convolution", ["pool"], ["conv"], conv("num_output: 6 kernel_size: 1")), RELU, layer("sum", "Eltwise", ["pool", "conv"], ["pool2"]), layer("r2", "ReLU", ["pool2"], ["pool2"])),
    net("shared_weights", "InnerProduct", {"a": ROW, "b": ROW}, layer("one", "InnerProduct", ["a"], ["one"], 'param { name: "w" } param { name: "b" } inner_product_param { num_output: 4 }'), layer("two", "InnerProduct", ["b"], ["two"], 'param { name: "w" } param { name: "b" } inner_product_param { num_output: 4 }')),
    net("odd_names", "Convolution", {"1/class": PICTURE}, layer("for", "Convolution", ["1/class"], ["x y"], conv("num_output: 4 kernel_size: 3")), layer("self", "ReLU", ["x y"], ["é"]), layer("3x3.a", "Pooling", ["é"], ["forward"], pool("kernel_size: 2")), layer("type", "Convolution", ["forward"], ["import"], conv("num_output: 2 kernel_size: 1"))),
    net("several_outputs", "Convolution", {"data": PICTURE}, layer("a", "Convolution", ["data"], ["z"], conv("num_output: 4 kernel_size: 3")), layer("b", "Convolution", ["data"], ["b"], conv("num_output: 2 kernel_size: 1"))),
    net("same_names", "Crop", {"data": PICTURE, "to": (2, 6, 4, 5)}, layer("crop", "Crop", ["data", "to"], ["c1"]), layer("crop", "Crop", ["data", "to"], ["c2"], "crop_param { offset: 1 }"), layer("sum", "Eltwise", ["c1", "c2"], ["out"])),
]  # fmt: skip

NETS = [
    *CONVOLUTIONS, *POOLINGS, *NORMALISATIONS, *ACTIVATIONS, *ELEMENTWISE, *SHAPES, *RECURRENT,
    *WIRING,
]  # fmt: skip
