"""Pooling and SPP. Sources: layers/pooling_layer.cpp:17-235, layers/spp_layer.cpp."""

from __future__ import annotations

import numpy as np

from decant.loader.layers.call import Call, arguments
from decant.loader.layers.rule import TOO_SMALL, Refused, Shape, Site, Written, same

POOLS = ("MAX", "AVE", "STOCHASTIC")


def pooling(site: Site) -> Written:
    """torch's pools with ceil_mode, where they are Caffe's; the file's own where they are not."""
    site.expect(bottoms=1, blobs=0)
    if len(site.layer.tops) not in (1, 2):
        raise Refused(f"makes one or two tops, and has {len(site.layer.tops)}")
    shape = site.bottom()
    if len(shape) != 4:
        raise Refused(f"an input of {len(shape)} axes; Caffe pools N x C x H x W only")
    param = site.param("pooling_param")
    pool = param.choice("pool", POOLS, "MAX")
    if pool == "STOCHASTIC":
        raise Refused("pool: STOCHASTIC; Caffe itself cannot compute it on the CPU")
    mask = len(site.layer.tops) == 2
    if mask and pool != "MAX":
        raise Refused("a second top; only pool: MAX has one")
    up = param.choice("round_mode", ("CEIL", "FLOOR"), "CEIL") == "CEIL"
    if param.has("ceil_mode"):
        up = param.boolean("ceil_mode", True)  # a field of forks (SSD's Caffe, Intel's)
    if param.boolean("global_pooling"):
        return _global(site, pool, mask)
    kernel, stride, pad = _geometry(site)
    out = (
        *shape[:2],
        *(
            output_size(*values, up)
            for values in zip(shape[2:], kernel, stride, pad, [pad] * 2, strict=True)
        ),
    )
    return _window(kernel, stride, pad, up, pool, mask, out)


def _global(site: Site, pool: str, mask: bool) -> Written:
    """The kernel is the picture: whatever its size, one value a channel is left."""
    param = site.param("pooling_param")
    for name in ("kernel_size", "kernel_h", "kernel_w"):
        if param.has(name):
            raise Refused(f"global_pooling with {name}; Caffe refuses it")
    pads = [param.integer(name) for name in ("pad", "pad_h", "pad_w")]
    strides = [param.integer(name, 1) for name in ("stride", "stride_h", "stride_w")]
    if any(pads) or any(stride != 1 for stride in strides):
        raise Refused("global_pooling with pad or stride; Caffe refuses it")
    out = (*site.bottom()[:2], 1, 1)
    if mask:
        call = "{self}({0})"
        return Written(call, [out, out], Call("GlobalMaxPoolMask"), ops=("GlobalMaxPoolMask",))
    kind = "Max" if pool == "MAX" else "Avg"
    return Written("{self}({0})", [out], Call(f"nn.Adaptive{kind}Pool2d", arguments(1)))


def _geometry(site: Site) -> tuple[Shape, Shape, Shape]:
    kernel = _pair(site, "kernel_size", "kernel", None)
    stride, pad = _pair(site, "stride", "stride", 1), _pair(site, "pad", "pad", 0)
    if min(kernel) < 1 or min(stride) < 1 or min(pad) < 0:
        raise Refused("a kernel or a stride of 0")
    if any(p >= k for p, k in zip(pad, kernel, strict=True)):
        raise Refused("a pad that is not smaller than the kernel; Caffe refuses it")
    return kernel, stride, pad


def _pair(site: Site, name: str, prefix: str, default: int | None) -> Shape:
    """`kernel_size` xor both of `kernel_h`, `kernel_w`; the same for stride and pad."""
    param = site.param("pooling_param")
    height, width = param.has(f"{prefix}_h"), param.has(f"{prefix}_w")
    if height or width:
        if param.has(name) or not (height and width):
            raise Refused(f"{prefix}_h and {prefix}_w with {name}, or one without the other")
        return param.integer(f"{prefix}_h"), param.integer(f"{prefix}_w")
    if default is None and not param.has(name):
        raise Refused(f"no {name}")
    value = param.integer(name, default or 0)
    return value, value


def output_size(size: int, kernel: int, stride: int, pad: int, pads: Shape, up: bool = True) -> int:
    """ceil((size + 2 pad - kernel) / stride) + 1, clipped where either axis is padded (:94-116)."""
    quotient = np.float32(size + 2 * pad - kernel) / np.float32(stride)
    out = int(np.ceil(quotient) if up else np.floor(quotient)) + 1
    if any(pads) and (out - 1) * stride >= size + pad:
        out -= 1
    if out < 1:
        raise Refused(TOO_SMALL)
    return out


def _window(
    kernel: Shape, stride: Shape, pad: Shape, up: bool, pool: str, mask: bool, out: Shape
) -> Written:
    # torch drops a last window that begins outside the picture, and refuses pads above half a kernel
    plain = all(s <= k and 2 * p <= k for k, s, p in zip(kernel, stride, pad, strict=True))
    literals = arguments(
        same(kernel),
        same(stride),
        padding=same(pad) if any(pad) else None,
        ceil_mode=True if up else None,
    )
    if plain and not mask:
        kind = "Max" if pool == "MAX" else "Avg"
        return Written("{self}({0})", [out], Call(f"nn.{kind}Pool2d", literals))
    if plain:
        return Written(
            "{self}({0})", [out, out], Call("MaxPoolMask", literals), ops=("MaxPoolMask",)
        )
    kind = "WideMaxPoolMask" if mask else "MaxPool" if pool == "MAX" else "AvgPool"
    exact = arguments(kernel, stride, pad, None if up else False)
    return Written("{self}({0})", [out] * (1 + mask), Call(kind, exact), ops=(kind,))


def spp(site: Site) -> Written:
    """Level l has 2^l bins an axis, pooled, flattened, concatenated; one level is not flattened."""
    site.expect(bottoms=1, tops=1, blobs=0)
    param = site.param("spp_param")
    levels, pool = param.integer("pyramid_height"), param.choice("pool", POOLS, "MAX")
    if pool == "STOCHASTIC":
        raise Refused("pool: STOCHASTIC; Caffe itself cannot compute it on the CPU")
    shape = site.bottom()
    if len(shape) != 4 or levels < 1:
        raise Refused("an input of other than N x C x H x W, or pyramid_height 0")
    total, sizes = 0, []
    for level in range(levels):
        bins = 2**level
        kernel = [-(-size // bins) for size in shape[2:]]
        pad = [(k * bins - size + 1) // 2 for k, size in zip(kernel, shape[2:], strict=True)]
        if any(p >= k for p, k in zip(pad, kernel, strict=True)):
            raise Refused(f"level {level} is finer than the picture; Caffe refuses it")
        sizes = [
            output_size(n, k, k, p, tuple(pad))
            for n, k, p in zip(shape[2:], kernel, pad, strict=True)
        ]
        total += sizes[0] * sizes[1]
    out = (*shape[:2], *sizes) if levels == 1 else (shape[0], shape[1] * total)
    module = Call("SpatialPyramidPool", arguments(levels, pool == "MAX"))
    return Written("{self}({0})", [out], module, ops=("SpatialPyramidPool",))
