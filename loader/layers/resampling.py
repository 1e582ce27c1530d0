"""Upsample, Unpooling, Interp and Resize, which only forks have.

Sources: SegNet's and YOLO's upsample_layer.cpp (two layers of one name), DeepLab's interp_layer.cpp,
the resize_layer.cpp of caffe-windows, DeconvNet's unpooling_layer.cpp, brocolli-caffe's
maxunpool_layer.cpp and bilinear_interpolate_layer.cpp.
"""

from __future__ import annotations

from decant.loader.layers.call import Call, arguments
from decant.loader.layers.rule import Params, Refused, Shape, Site, Written, shown


def _picture(site: Site) -> Shape:
    shape = site.bottom()
    if len(shape) != 4:
        raise Refused(f"an input of {len(shape)} axes; it takes N x C x H x W")
    return shape


def upsample(site: Site) -> Written:
    """One bottom: every place `scale` times. Two: SegNet's unpooling by a pooling's mask."""
    shape, param = _picture(site), site.param("upsample_param")
    if len(site.bottoms) == 2:
        return _unpool(site, param, shape)
    site.expect(bottoms=1, tops=1, blobs=0)
    scale = param.integer("scale", 1)
    if scale < 1:
        raise Refused(f"scale {scale}")
    out = (*shape[:2], shape[2] * scale, shape[3] * scale)
    return Written("{self}({0})", [out], Call("nn.Upsample", arguments(scale_factor=scale)))


def _unpool(site: Site, param: Params, shape: Shape) -> Written:
    site.expect(bottoms=2, tops=1, blobs=0)
    if site.bottom(1) != shape:
        raise Refused(f"a mask of shape {shown(site.bottom(1))} for {shown(shape)}")
    return _unpooled(shape, *_unpooled_size(param, shape))


def _unpooled_size(param: Params, shape: Shape) -> tuple[int, int]:
    """As it is written, and the scale beside it is unused; or the scale's, one less where padded."""
    sized = [param.has("upsample_h"), param.has("upsample_w")]
    scaled = [param.has("scale_h"), param.has("scale_w")]
    both = param.integer("scale", 2)
    scales = [param.integer("scale_h"), param.integer("scale_w")] if all(scaled) else [both] * 2
    padded = [param.boolean("pad_out_h"), param.boolean("pad_out_w")]
    size = [param.integer("upsample_h"), param.integer("upsample_w")]
    if not all(sized):
        if any(scaled) and (not all(scaled) or param.has("scale")):
            raise Refused("scale_h and scale_w with scale, or one without the other")
        if min(scales) < 2 or any(p and s != 2 for p, s in zip(padded, scales, strict=True)):
            raise Refused(f"scale {shown(scales)}; it takes 2 and more, and 2 with pad_out")
        size = [n * s - p for n, s, p in zip(shape[2:], scales, padded, strict=True)]
    elif min(size) < 2:
        raise Refused(f"to {shown(size)}; it takes sizes above 1")
    return size[0], size[1]


def _unpooled(shape: Shape, high: int, wide: int) -> Written:
    if high < shape[2] or wide < shape[3]:
        raise Refused(f"from {shown(shape)} to {high} x {wide}")
    module = Call("Unpool", arguments(high, wide))
    return Written("{self}({0}, {1})", [(*shape[:2], high, wide)], module, ops=("Unpool",))


def unpooling(site: Site) -> Written:
    """DeconvNet's: every value to the place that a pooling's mask names."""
    shape, param = _picture(site), site.param("unpooling_param")
    method = param.choice("unpool", ("MAX", "AVE", "TILE"), "MAX")
    if method != "MAX" or len(site.bottoms) != 2:
        raise Refused(
            f"unpool: {method} of {len(site.bottoms)} bottoms; MAX with a mask is converted"
        )
    site.expect(bottoms=2, tops=1, blobs=0)
    if site.bottom(1) != shape:
        raise Refused(f"a mask of shape {shown(site.bottom(1))} for {shown(shape)}")
    kernel, stride, pads = (
        _size(param, "kernel_size", "kernel", 0),
        _size(param, "stride", "stride", 1),
        _size(param, "pad", "pad", 0),
    )
    size = _size(param, "unpool_size", "unpool", 0)
    if min(size) < 1:
        size = [
            (inner - 1) * step + window - 2 * edge
            for inner, step, window, edge in zip(shape[2:], stride, kernel, pads, strict=True)
        ]
    return _unpooled(shape, *size)


def _size(param: Params, both: str, stem: str, default: int) -> list[int]:
    """(height, width): `both`, or the stem with _h and _w."""
    if param.has(f"{stem}_h") or param.has(f"{stem}_w"):
        return [param.integer(f"{stem}_h"), param.integer(f"{stem}_w")]
    return [param.integer(both, default)] * 2


def max_unpool(site: Site) -> Written:
    """Every value to the place that a pooling's mask names, in a picture of the size given."""
    shape, param = _picture(site), site.param("max_unpool_param")
    site.expect(bottoms=2, tops=1, blobs=0)
    if site.bottom(1) != shape:
        raise Refused(f"a mask of shape {shown(site.bottom(1))} for {shown(shape)}")
    return _unpooled(shape, param.integer("dst_h"), param.integer("dst_w"))


def bilinear_interpolate(site: Site) -> Written:
    """Bilinear to a size or by a factor, corner to corner unless align_corners is false."""
    site.expect(bottoms=1, tops=1, blobs=0)
    shape, param = _picture(site), site.param("bilinear_interpolate_param")
    corners = param.boolean("align_corners", True)
    factor = param.number("scale_factor", 1.0)
    sized = param.has("dst_h") or param.has("dst_w")
    if sized == param.has("scale_factor"):
        raise Refused("dst_h and dst_w, or scale_factor: one of both")
    size = [param.integer("dst_h", shape[2]), param.integer("dst_w", shape[3])]
    if not sized:
        size = [int(side * factor) for side in shape[2:]]
    if min(size) < 1 or min(shape[2:]) < 2 or (corners and min(size) < 2):
        raise Refused(f"{shown(shape)} to {shown(size)}")
    literals = f'({size[0]}, {size[1]}), mode="bilinear", align_corners={corners}'
    call = f"nn.functional.interpolate({{0}}, {literals})"
    return Written(call, [(*shape[:2], *size)])


def interp(site: Site) -> Written:
    """DeepLab's: bilinear, corner to corner; the size from factors, from numbers, or from a blob."""
    site.expect(tops=1, blobs=0)
    shape, param = _picture(site), site.param("interp_param")
    before, after = param.integer("pad_beg"), param.integer("pad_end")
    if before > 0 or after > 0:
        raise Refused("pad_beg or pad_end above 0; Caffe refuses it")
    inner = [size + before + after for size in shape[2:]]
    given = [
        name for name in ("shrink_factor", "zoom_factor", "height", "width") if param.has(name)
    ]
    if len(site.bottoms) == 2 and not given:
        out = list(site.bottom(1)[2:])
        size = "({1}.size(2), {1}.size(3))"
    else:
        site.expect(bottoms=1, tops=1, blobs=0)
        out = _interp_size(param, inner, given)
        size = f"({out[0]}, {out[1]})"
        if "height" not in given:
            size = _interp_words(param, before + after, given)
    if min(inner) < 1 or min(out) < 1:
        raise Refused(f"{shown(shape)} cut by {-before} and {-after} is nothing")
    picture = "{0}"
    if before or after:
        cut = f"{-before or ''}:{after or ''}"
        picture += f"[:, :, {cut}, {cut}]"
    call = f'nn.functional.interpolate({picture}, {size}, mode="bilinear", align_corners=True)'
    return Written(call, [(*shape[:2], *out)])


def _interp_size(param: Params, inner: list[int], given: list[str]) -> list[int]:
    shrink, zoom = param.integer("shrink_factor", 1), param.integer("zoom_factor", 1)
    if min(shrink, zoom) < 1:
        raise Refused(f"shrink_factor {shrink}, zoom_factor {zoom}")
    if "shrink_factor" in given or "zoom_factor" in given:
        small = [(size - 1) // shrink + 1 for size in inner]
        return [size + (size - 1) * (zoom - 1) for size in small]
    if "height" not in given or "width" not in given:
        raise Refused("no shrink_factor, no zoom_factor, no height and width; Caffe refuses it")
    return [param.integer("height"), param.integer("width")]


def _interp_words(param: Params, pads: int, given: list[str]) -> str:
    """The size as an expression, so that other pictures work as well."""
    shrink, zoom = param.integer("shrink_factor", 1), param.integer("zoom_factor", 1)
    words = []
    for axis in (2, 3):
        less = pads - 1
        steps = f"({{0}}.size({axis}) - {-less})"
        steps = f"{steps} // {shrink}" if shrink > 1 else steps
        words.append(f"{steps} * {zoom} + 1" if zoom > 1 else f"{steps} + 1")
    return f"({', '.join(words)})"


def resize(site: Site) -> Written:
    """caffe-windows: to a size, or by factors with is_pyramid_test."""
    site.expect(bottoms=1, tops=1, blobs=0)
    shape, param = _picture(site), site.param("resize_param")
    high, wide = param.integer("height"), param.integer("width")
    if param.boolean("is_pyramid_test"):
        high = int(param.number("out_height_scale") * shape[2])
        wide = int(param.number("out_width_scale") * shape[3])
    if min(high, wide) < 1:
        raise Refused(f"to {high} x {wide}")
    return Written(
        "{self}({0})",
        [(*shape[:2], high, wide)],
        Call("Resize", arguments(high, wide)),
        ops=("Resize",),
    )
