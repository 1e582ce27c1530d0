"""Convolution, Deconvolution, their depthwise forks, Im2col, InnerProduct, Embed.

Sources: layers/base_conv_layer.cpp, conv_layer.cpp, deconv_layer.cpp, im2col_layer.cpp,
inner_product_layer.cpp, embed_layer.cpp.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from decant.loader.layers.call import Argument, Call, arguments
from decant.loader.layers.rule import (
    TOO_SMALL,
    Params,
    Refused,
    Shape,
    Site,
    Written,
    count,
    same,
)


@dataclass(frozen=True)
class Geometry:
    """One value for each spatial axis."""

    axis: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pad: tuple[int, ...]
    dilation: tuple[int, ...]

    def forward(self, spatial: Shape) -> Shape:
        """(i + 2p - (d(k-1) + 1)) / s + 1, where C++ rounds towards zero."""
        return _positive(
            tuple(
                int((i - less) / s) + 1
                for i, less, s in zip(spatial, self.reach, self.stride, strict=True)
            )
        )

    @property
    def reach(self) -> tuple[int, ...]:
        """What a window covers beyond the padding: d(k-1) + 1 - 2p."""
        return tuple(
            d * (k - 1) + 1 - 2 * p
            for k, p, d in zip(self.kernel, self.pad, self.dilation, strict=True)
        )

    def padded(self, name: str, spatial: Shape) -> str:
        """The input with zeros behind it, where a stride lets Caffe's only window reach beyond it."""
        more = [max(0, less - i) for i, less in zip(spatial, self.reach, strict=True)]
        if not any(more):
            return name
        pads = ", ".join(f"0, {size}" for size in reversed(more))
        return f"nn.functional.pad({name}, ({pads}))"

    def backward(self, spatial: Shape) -> Shape:
        """s(i-1) + d(k-1) + 1 - 2p."""
        found = tuple(
            s * (i - 1) + d * (k - 1) + 1 - 2 * p
            for i, k, s, p, d in zip(
                spatial, self.kernel, self.stride, self.pad, self.dilation, strict=True
            )
        )
        return _positive(found)

    def literals(self) -> tuple[Argument, ...]:
        """Kernel, stride, padding and dilation as torch takes them, defaults left out."""
        return arguments(
            same(self.kernel),
            stride=None if set(self.stride) == {1} else same(self.stride),
            padding=None if set(self.pad) == {0} else same(self.pad),
            dilation=None if set(self.dilation) == {1} else same(self.dilation),
        )


def _positive(spatial: Shape) -> Shape:
    if spatial and min(spatial) < 1:
        raise Refused(TOO_SMALL)
    return spatial


def geometry(site: Site) -> Geometry:
    """base_conv_layer.cpp:27-98: each field not at all, once, or once for each spatial axis."""
    param = site.param("convolution_param")
    axis = site.axis(param.integer("axis", 1), site.bottom())
    axes = len(site.bottom()) - axis - 1
    if not 1 <= axes <= 3:
        raise Refused(f"{axes} spatial axes; torch has 1 to 3")
    return Geometry(
        axis,
        _repeated(site, "kernel_size", "kernel", axes, None),
        _repeated(site, "stride", "stride", axes, 1),
        _repeated(site, "pad", "pad", axes, 0),
        _repeated(site, "dilation", "", axes, 1),
    )


def _repeated(site: Site, name: str, prefix: str, axes: int, default: int | None) -> Shape:
    param = site.param("convolution_param")
    values = param.integers(name)
    if prefix and (param.has(f"{prefix}_h") or param.has(f"{prefix}_w")):
        if values or axes != 2:
            raise Refused(f"{prefix}_h and {prefix}_w with {name}, or not in two dimensions")
        # the one that is missing is 0 there, not the default
        values = [param.integer(f"{prefix}_h"), param.integer(f"{prefix}_w")]
    if not values and default is not None:
        values = [default]
    if len(values) not in (1, axes):
        raise Refused(f"{name}: {len(values)} values for {axes} spatial axes")
    least = 0 if name == "pad" else 1
    if min(values) < least:
        raise Refused(f"{name}: {min(values)} is less than {least}")
    return tuple(values * axes if len(values) == 1 else values)


def convolution(site: Site) -> Written:
    """Weight (out, in/group, k...), bias (out). Several bottoms: several tops, the same weights."""
    param = site.param("convolution_param")
    return convolved(site, geometry(site), param, param.integer("group", 1))


def depthwise(site: Site) -> Written:
    """Forks' DepthwiseConvolution and ConvolutionDepthwise: a convolution with a group a channel."""
    found = geometry(site)
    param = site.param("convolution_param")
    channels = site.bottom()[found.axis]
    group = param.integer("group", channels)
    outputs = param.integer("num_output", channels)
    if outputs % channels or group not in (1, channels):
        raise Refused(
            f"num_output {outputs}, group {group} over {channels} channels: not depthwise"
        )
    return convolved(site, found, param, channels, outputs)


def convolved(
    site: Site, found: Geometry, param: Params, group: int, outputs: int | None = None
) -> Written:
    """A convolution of any layer of its kind, whose fields `param` holds."""
    channels = site.bottom()[found.axis]
    outputs = outputs or param.integer("num_output")
    bias = param.boolean("bias_term", True)
    _check_groups(channels, outputs, group)
    weight = site.blob(0, outputs, channels // group, *found.kernel)
    literals = arguments(channels, outputs) + found.literals() + _options(group, bias)
    tensors = _tensors(site, weight, bias, outputs)
    shapes = [
        (*shape[: found.axis], outputs, *found.forward(shape[found.axis + 1 :]))
        for shape in site.bottoms
    ]
    module = Call(f"nn.Conv{len(found.kernel)}d", literals)
    call = _calls(site, found.axis, found)
    return Written(call, shapes, module, tensors)


def deconvolution(site: Site) -> Written:
    """Weight (in, out/group, k...): the layout of ConvTranspose, groups included."""
    param = site.param("convolution_param")
    bias = param.boolean("bias_term", True)
    return deconvolved(site, geometry(site), param, param.integer("group", 1), bias)


def deconvolved(site: Site, found: Geometry, param: Params, group: int, bias: bool) -> Written:
    """A deconvolution of any layer of its kind, whose fields `param` holds."""
    channels, outputs = site.bottom()[found.axis], param.integer("num_output")
    _check_groups(channels, outputs, group)
    weight = site.blob(0, channels, outputs // group, *found.kernel)
    literals = arguments(channels, outputs) + found.literals() + _options(group, bias)
    shapes = [
        (*shape[: found.axis], outputs, *found.backward(shape[found.axis + 1 :]))
        for shape in site.bottoms
    ]
    module = Call(f"nn.ConvTranspose{len(found.kernel)}d", literals)
    return Written(_calls(site, found.axis), shapes, module, _tensors(site, weight, bias, outputs))


def _check_groups(channels: int, outputs: int, group: int) -> None:
    if outputs < 1 or group < 1 or channels % group or outputs % group:
        raise Refused(f"{channels} channels, num_output {outputs}, group {group}: Caffe refuses it")


def _options(group: int, bias: bool) -> tuple[Argument, ...]:
    return arguments(groups=None if group == 1 else group, bias=None if bias else False)


def _tensors(site: Site, weight: np.ndarray, bias: bool, outputs: int) -> dict[str, np.ndarray]:
    site.expect(tops=len(site.bottoms), blobs=2 if bias else 1)
    return {"weight": weight, "bias": site.blob(1, outputs)} if bias else {"weight": weight}


def _calls(site: Site, axis: int, padded: Geometry | None = None) -> str | tuple[str, ...]:
    """One call for each bottom; axes before the channels are all batch, torch wants one."""
    before, after = "", ""
    if axis == 0:
        before, after = ".unsqueeze(0)", ".squeeze(0)"
    elif axis > 1:
        before = f".flatten(0, {axis - 1})"
    calls = []
    for number in range(len(site.bottoms)):
        if axis > 1:
            lead = ", ".join(f"{{{number}}}.size({i})" for i in range(axis))
            after = f".unflatten(0, ({lead}))"
        name = f"{{{number}}}{before}"
        if padded is not None:
            name = padded.padded(name, site.bottoms[number][axis + 1 :])
        calls.append(f"{{self}}({name}){after}")
    return calls[0] if len(calls) == 1 else tuple(calls)


def im2col(site: Site) -> Written:
    """Channels x kernel outputs, one column for each place (im2col_layer.cpp)."""
    found = geometry(site)
    site.expect(bottoms=1, tops=1, blobs=0)
    shape = site.bottom()
    if found.axis != 1 or len(found.kernel) != 2:
        raise Refused("im2col over other than the two last axes of N x C x H x W")
    places = found.forward(shape[2:])
    out = (shape[0], shape[1] * count(found.kernel), *places)
    literals = found.literals()
    sizes = [
        _places("{0}" + f".size({axis + 2})", *values)
        for axis, values in enumerate(
            zip(found.kernel, found.stride, found.pad, found.dilation, strict=True)
        )
    ]
    name = found.padded("{0}", shape[2:])
    if name != "{0}":
        sizes = list(map(str, places))
    return Written(
        f"{{self}}({name}).unflatten(2, ({', '.join(sizes)}))", [out], Call("nn.Unfold", literals)
    )


def _places(size: str, kernel: int, stride: int, pad: int, dilation: int) -> str:
    """How often a kernel fits, as an expression."""
    less = dilation * (kernel - 1) + (1 if stride != 1 else 0) - 2 * pad
    text = f"{size} - {less}" if less > 0 else f"{size} + {-less}" if less else size
    return f"({text}) // {stride} + 1" if stride != 1 else text


def inner_product(site: Site) -> Written:
    """Flattens from `axis`; weight (N, K), or (K, N) with `transpose`."""
    site.expect(bottoms=1, tops=1, blobs=2 if _bias(site) else 1)
    param = site.param("inner_product_param")
    shape, outputs = site.bottom(), param.integer("num_output")
    axis = site.axis(param.integer("axis", 1), shape)
    inputs = count(shape[axis:])
    if param.boolean("transpose"):
        # a view: in order only where it is written
        weight = site.blob(0, inputs, outputs).T
    else:
        weight = site.blob(0, outputs, inputs)
    tensors = {"weight": weight}
    if _bias(site):
        tensors["bias"] = site.blob(1, outputs)
    flat = "" if len(shape) == axis + 1 else f".flatten({axis})"
    bias = None if _bias(site) else False
    module = Call("nn.Linear", arguments(inputs, outputs, bias=bias))
    return Written(f"{{self}}({{0}}{flat})", [(*shape[:axis], outputs)], module, tensors)


def _bias(site: Site) -> bool:
    return site.param("inner_product_param").boolean("bias_term", True)


def embed(site: Site) -> Written:
    """Rows by index, which is cast from float; the bias is on unless it is switched off."""
    param = site.param("embed_param")
    bias = param.boolean("bias_term", True)
    site.expect(bottoms=1, tops=1, blobs=2 if bias else 1)
    rows, outputs = param.integer("input_dim"), param.integer("num_output")
    tensors = {"weight": site.blob(0, rows, outputs)}
    shapes = [(*site.bottom(), outputs)]
    if not bias:
        call = "{self}({0}.long())"
        return Written(call, shapes, Call("nn.Embedding", arguments(rows, outputs)), tensors)
    tensors["bias"] = site.blob(1, outputs)
    return Written(
        "{self}({0})", shapes, Call("Embed", arguments(rows, outputs)), tensors, ("Embed",)
    )
