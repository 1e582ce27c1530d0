"""Convolution3D, Deconvolution3D and Pooling3D over length, height and width, which only forks have.

Two families, told apart by the names that they have for what goes along the length. Sources: C3D
(convolution3d_layer.cpp, deconvolution3d_layer.cpp, pool3d_layer.cpp of v1.0, whose fields stand in
convolution_param and pooling_param, and of v1.1) with kernel_depth, temporal_stride, temporal_pad; the
authors of P3D (base_conv3d_layer.cpp, pooling3d_layer.cpp) with kernel_l, stride_l, pad_l.
"""

from __future__ import annotations

import math

import numpy as np

from decant.loader.layers.call import Call, arguments
from decant.loader.layers.convolution import Geometry, convolved, deconvolved
from decant.loader.layers.pooling import POOLS
from decant.loader.layers.rule import (
    TOO_SMALL,
    Params,
    Refused,
    Shape,
    Site,
    Written,
    same,
    shown,
)


def convolution3d(site: Site) -> Written:
    """Weight (out, in/group, length, height, width). C3D's filter_group only cuts the work in parts."""
    _volume(site)
    param = _param(site, "convolution3d_param", "convolution_param")
    if not _is_c3d(param):
        return convolved(site, _p3d(param), param, param.integer("group", 1))
    site.expect(bottoms=1, tops=1, blobs=len(site.blobs))
    # its code never looks at group
    param.integer("group", 1)
    parts, outputs = param.integer("filter_group", 1), param.integer("num_output")
    if parts < 1 or outputs % parts:
        raise Refused(f"num_output {outputs} in {parts} parts; C3D refuses it")
    return convolved(site, _c3d(param), param, 1)


def deconvolution3d(site: Site) -> Written:
    """Weight (in, out/group, length, height, width)."""
    _volume(site)
    param = _param(site, "convolution3d_param", "convolution_param")
    if not _is_c3d(param):
        bias = param.boolean("bias_term", True)
        return deconvolved(site, _p3d(param), param, param.integer("group", 1), bias)
    site.expect(bottoms=1, tops=1, blobs=len(site.blobs))
    for name in ("group", "filter_group", "bias_term"):
        param.has(name)
    # v1.1 too asks convolution_param for the bias
    bias = site.param("convolution_param").boolean("bias_term", True)
    return deconvolved(site, _c3d(param), param, 1, bias)


def _volume(site: Site) -> Shape:
    shape = site.bottom()
    if len(shape) != 5:
        raise Refused(f"an input of {len(shape)} axes; it takes N x C x length x height x width")
    return shape


def _param(site: Site, name: str, of_v1_0: str) -> Params:
    return site.param(name if site.layer.fields.has(name) else of_v1_0)


def _is_c3d(param: Params) -> bool:
    """Whether it is C3D's. Raises Refused where nothing says so."""
    c3d, p3d = param.has("kernel_depth"), param.has("kernel_l")
    if c3d == p3d:
        raise Refused(
            "kernel_depth (C3D) with kernel_l (P3D)"
            if c3d
            else "neither kernel_depth (C3D) nor kernel_l (P3D): this fork's layer is not known"
        )
    return c3d


def _c3d(param: Params) -> Geometry:
    kernel, stride = _c3d_steps(param)
    return _geometry(kernel, stride, _along(param, "temporal_pad", "pad", 0), (1, 1, 1))


def _c3d_steps(param: Params) -> tuple[Shape, Shape]:
    return (
        _along(param, "kernel_depth", "kernel_size", 0),
        _along(param, "temporal_stride", "stride", 1),
    )


def _p3d(param: Params) -> Geometry:
    return _geometry(
        _along(param, "kernel_l", "kernel_size", 0),
        _along(param, "stride_l", "stride", 1),
        _along(param, "pad_l", "pad", 0),
        _along(param, "filter_stride_l", "filter_stride", 1),
    )


def _along(param: Params, length: str, side: str, default: int) -> Shape:
    """One number for the length, one for height and width."""
    both = param.integer(side, default)
    return param.integer(length, default), both, both


def _geometry(kernel: Shape, stride: Shape, pad: Shape, dilation: Shape) -> Geometry:
    if min(*kernel, *stride, *dilation) < 1 or min(pad) < 0:
        sizes = f"kernel {shown(kernel)}, stride {shown(stride)}, dilation {shown(dilation)}"
        raise Refused(f"{sizes}, pad {shown(pad)}")
    return Geometry(1, kernel, stride, pad, dilation)


def pooling3d(site: Site) -> Written:
    """Rounded up; P3D's windows end as stock Caffe's do, C3D's may lie in the padding alone."""
    _volume(site)
    param = _param(site, "pooling3d_param", "pooling_param")
    pool = param.choice("pool", POOLS, "MAX")
    if pool == "STOCHASTIC":
        raise Refused("pool: STOCHASTIC; it has no code for the CPU")
    if param.boolean("global_pooling"):
        return _global(site, param, pool)
    if _is_c3d(param):
        pad = param.integer("pad")
        if pad and pool != "AVE":
            raise Refused("pad; C3D pads only averages")
        return _pooled(site, pool, *_c3d_steps(param), (0, pad, pad), clip=False)
    kernel = (param.integer("kernel_l"), *_sides(param, "kernel_size", "kernel", 0))
    stride, pads = _p3d_steps(param)
    if any(p >= k for p, k in zip(pads, kernel, strict=True)):
        raise Refused(f"a pad of {shown(pads)} for {shown(kernel)}; P3D's Caffe refuses it")
    return _pooled(site, pool, kernel, stride, pads, clip=True)


def _p3d_steps(param: Params) -> tuple[Shape, Shape]:
    """Stride and pad."""
    stride = (param.integer("stride_l", 1), *_sides(param, "stride", "stride", 1))
    return stride, (param.integer("pad_l"), *_sides(param, "pad", "pad", 0))


def _sides(param: Params, both: str, stem: str, default: int) -> tuple[int, int]:
    """Of height and width: `both`, xor one field for each."""
    high, wide = param.has(f"{stem}_h"), param.has(f"{stem}_w")
    if not (high or wide):
        return (param.integer(both, default),) * 2
    if param.has(both) or not (high and wide):
        raise Refused(f"{stem}_h and {stem}_w with {both}, or one without the other")
    return param.integer(f"{stem}_h"), param.integer(f"{stem}_w")


def _global(site: Site, param: Params, pool: str) -> Written:
    """P3D's: the kernel is the volume."""
    for name in ("kernel_size", "kernel_h", "kernel_w"):
        if param.has(name):
            raise Refused(f"global_pooling with {name}; P3D's Caffe refuses it")
    param.has("kernel_l")
    stride, pad = _p3d_steps(param)
    if stride != (1, 1, 1) or pad != (0, 0, 0):
        raise Refused("global_pooling with pad or stride; P3D's Caffe refuses it")
    shape = site.bottom()
    if len(site.layer.tops) == 2:
        return _pooled(site, pool, shape[2:], stride, pad, clip=True)
    site.expect(bottoms=1, tops=1, blobs=0)
    kind = "Max" if pool == "MAX" else "Avg"
    return Written(
        "{self}({0})", [(*shape[:2], 1, 1, 1)], Call(f"nn.Adaptive{kind}Pool3d", arguments(1))
    )


def _pooled(site: Site, pool: str, kernel: Shape, stride: Shape, pad: Shape, clip: bool) -> Written:
    """torch's pools where they are the fork's, the file's own where they are not."""
    mask = len(site.layer.tops) == 2
    if mask and (pool != "MAX" or not clip):
        raise Refused("a second top; only P3D's pool: MAX has one")
    site.expect(bottoms=1, tops=2 if mask else 1, blobs=0)
    _geometry(kernel, stride, pad, (1, 1, 1))
    shape = site.bottom()
    out = (*shape[:2], *_outputs(shape[2:], kernel, stride, pad, clip))
    # torch drops a last window that begins outside, and refuses pads above half a kernel, and
    # averages over more than there is
    plain = all(s <= k and 2 * p <= k for k, s, p in zip(kernel, stride, pad, strict=True))
    if pool == "AVE":
        plain = plain and all(k <= size for k, size in zip(kernel, shape[2:], strict=True))
    if plain and not mask and (clip or not any(pad)):
        literals = arguments(
            same(kernel), same(stride), padding=same(pad) if any(pad) else None, ceil_mode=True
        )
        kind = "Max" if pool == "MAX" else "Avg"
        return Written("{self}({0})", [out], Call(f"nn.{kind}Pool3d", literals))
    kind = "VolumeMaxPoolMask" if mask else "VolumeMaxPool" if pool == "MAX" else "VolumeAvgPool"
    literals = arguments(kernel, stride, pad, None if clip else False)
    return Written("{self}({0})", [out] * (1 + mask), Call(kind, literals), ops=(kind,))


def _outputs(spatial: Shape, kernel: Shape, stride: Shape, pad: Shape, clip: bool) -> Shape:
    """ceil((size + 2 pad - kernel) / stride) + 1; with `clip`, no window begins behind the padding."""
    found = []
    for size, k, s, p in zip(spatial, kernel, stride, pad, strict=True):
        count = math.ceil(np.float32(size + 2 * p - k) / np.float32(s)) + 1
        if clip and any(pad) and (count - 1) * s >= size + p:
            count -= 1
        found.append(count)
    if min(found) < 1:
        raise Refused(TOO_SMALL)
    return tuple(found)
