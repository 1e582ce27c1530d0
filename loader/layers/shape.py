"""Values stay, their places change: Concat, Slice, Crop, Reshape, Flatten, Tile, Permute, Reorg ...

Sources: layers/{concat,slice,crop,reshape,flatten,tile,batch_reindex,filter,parameter}_layer.cpp; the
forks' transpose and reverse (CTPN), mergecrop (Caffe for OpenCL), pixelshuffle and pad (brocolli-caffe).
"""

from __future__ import annotations

from decant.loader.layers.call import Call, arguments, listed
from decant.loader.layers.rule import Refused, Shape, Site, Written, count, shown


def _axis(site: Site, message: str, old: str) -> int:
    """`axis`, or the name it had before; both together Caffe refuses."""
    param = site.param(message)
    if param.has(old):
        if param.has("axis"):
            raise Refused(f"axis and {old}; Caffe refuses both together")
        return site.axis(param.integer(old, 1), site.bottom())
    return site.axis(param.integer("axis", 1), site.bottom())


def concat(site: Site) -> Written:
    """Along one axis; all others are equal."""
    axis = _axis(site, "concat_param", "concat_dim")
    site.expect(tops=1, blobs=0)
    first = site.bottom()
    for other in site.bottoms:
        if (
            len(other) != len(first)
            or other[:axis] + other[axis + 1 :] != first[:axis] + first[axis + 1 :]
        ):
            raise Refused(f"bottoms of shapes {shown(first)} and {shown(other)} along axis {axis}")
    out = (*first[:axis], sum(shape[axis] for shape in site.bottoms), *first[axis + 1 :])
    names = ", ".join(f"{{{number}}}" for number in range(len(site.bottoms)))
    comma = "," if len(site.bottoms) == 1 else ""
    return Written(f"torch.cat(({names}{comma}), {axis})", [out])


def slice_(site: Site) -> Written:
    """At the points that are given, or in equal parts."""
    axis = _axis(site, "slice_param", "slice_dim")
    given = tuple(site.param("slice_param").integers("slice_point"))
    points = list(given)
    tops, shape = len(site.layer.tops), site.bottom()
    site.expect(bottoms=1, blobs=0)
    if not points:
        if shape[axis] % tops:
            raise Refused(f"{tops} equal parts of {shape[axis]}")
        points = [shape[axis] // tops * number for number in range(1, tops)]
        call = f"{{0}}.chunk({tops}, {axis})"
    else:
        call = f"{{0}}.tensor_split({{points}}, {axis})"
    ends = [*points, shape[axis]]
    sizes = [end - start for start, end in zip([0, *points], ends, strict=True)]
    if len(sizes) != tops or min(sizes) < 1:
        raise Refused(f"slice_point {points} of {shape[axis]} for {tops} tops")
    shapes = [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes]
    return Written("{0}.clone()" if tops == 1 else call, shapes, points=given)


def crop(site: Site) -> Written:
    """From `axis` on, to the size of the second bottom, beginning at the offsets."""
    site.expect(bottoms=2, tops=1, blobs=0)
    param, shape, size = site.param("crop_param"), site.bottom(), site.bottom(1)
    axis, offsets = site.axis(param.integer("axis", 2), shape), param.integers("offset")
    if len(shape) != len(size):
        raise Refused(f"bottoms of {len(shape)} and {len(size)} axes")
    cropped = len(shape) - axis
    if len(offsets) not in (0, 1, cropped):
        raise Refused(f"{len(offsets)} offsets for {cropped} axes")
    offsets = (offsets or [0]) * cropped if len(offsets) < 2 else offsets
    parts = [":"] * axis
    for number, offset in enumerate(offsets):
        at = axis + number
        if offset + size[at] > shape[at]:
            raise Refused(f"{size[at]} values from {offset} of {shape[at]} along axis {at}")
        end = f"{{1}}.size({at})"
        parts.append(f"{offset} : {offset} + {end}" if offset else f": {end}")
    call = f"{{0}}[{', '.join(parts)}]"
    return Written(call, [shape[:axis] + size[axis:]])


def reshape(site: Site) -> Written:
    """0 keeps a size, one -1 takes the rest; only `num_axes` axes from `axis` are replaced."""
    site.expect(bottoms=1, tops=1, blobs=0)
    param, shape = site.param("reshape_param"), site.bottom()
    dims = param.message("shape").integers("dim")
    axis, axes = param.integer("axis", 0), param.integer("num_axes", -1)
    start = axis if axis >= 0 else len(shape) + axis + 1
    end = len(shape) if axes == -1 else start + axes
    if not 0 <= start <= len(shape) or axes < -1 or end > len(shape):
        raise Refused(f"axis {axis} with num_axes {axes} of a blob of {len(shape)} axes")
    if dims.count(-1) > 1 or min(dims, default=0) < -1:
        raise Refused(f"dims {dims}")
    sizes, words = list(shape[:start]), [f"{{0}}.size({at})" for at in range(start)]
    for number, dim in enumerate(dims):
        if dim == 0:
            if start + number >= len(shape):
                raise Refused(f"dim 0 at {start + number} of a blob of {len(shape)} axes")
            sizes.append(shape[start + number])
            words.append(f"{{0}}.size({start + number})")
        else:
            sizes.append(dim)
            words.append(str(dim))
    sizes += shape[end:]
    words += [f"{{0}}.size({at})" for at in range(end, len(shape))]
    out = _inferred(sizes, shape)
    return Written(f"{{0}}.reshape({', '.join(words) or '()'})", [out])


def _inferred(sizes: list[int], shape: Shape) -> Shape:
    if -1 in sizes:
        rest = count([size for size in sizes if size != -1])
        if rest < 1 or count(shape) % rest:
            raise Refused(f"{shown(shape)} into {sizes}")
        sizes[sizes.index(-1)] = count(shape) // rest
    if count(sizes) != count(shape):
        raise Refused(f"{shown(shape)} into {sizes}")
    return tuple(sizes)


def flatten(site: Site) -> Written:
    """Axes `axis` to `end_axis`, both included."""
    site.expect(bottoms=1, tops=1, blobs=0)
    param, shape = site.param("flatten_param"), site.bottom()
    start, end = (
        site.axis(param.integer("axis", 1), shape),
        site.axis(param.integer("end_axis", -1), shape),
    )
    if end < start:
        raise Refused(f"axis {start} to end_axis {end}")
    out = (*shape[:start], count(shape[start : end + 1]), *shape[end + 1 :])
    last = "" if end == len(shape) - 1 else f", {end}"
    return Written(f"{{0}}.flatten({start}{last})", [out])


def tile(site: Site) -> Written:
    """The whole block again and again along the axis."""
    site.expect(bottoms=1, tops=1, blobs=0)
    param, shape = site.param("tile_param"), site.bottom()
    axis, tiles = site.axis(param.integer("axis", 1), shape), param.integer("tiles")
    if tiles < 1:
        raise Refused(f"tiles {tiles}")
    times = [tiles if at == axis else 1 for at in range(len(shape))]
    out = tuple(size * time for size, time in zip(shape, times, strict=True))
    return Written(f"{{0}}.repeat({', '.join(map(str, times))})", [out])


def batch_reindex(site: Site) -> Written:
    """Rows by index, which is cast from float."""
    site.expect(bottoms=2, tops=1, blobs=0)
    rows = site.bottom(1)
    if len(rows) != 1:
        raise Refused(f"indices of shape {shown(rows)}; Caffe wants one axis")
    return Written("{0}[{1}.long()]", [(rows[0], *site.bottom()[1:])])


def filter_(site: Site) -> Written:
    """The rows for which the last bottom is not 0: how many depends on the data."""
    number = len(site.bottoms) - 1
    site.expect(tops=number, blobs=0)
    if number < 1 or count(site.bottoms[-1]) != site.bottoms[-1][0]:
        raise Refused("a selector of more than one value a row")
    if any(shape[0] != site.bottoms[-1][0] for shape in site.bottoms):
        raise Refused("bottoms of different numbers of rows")
    calls = tuple(f"{{{at}}}[{{{number}}}.flatten() != 0]" for at in range(number))
    return Written(calls if number > 1 else calls[0], site.bottoms[:-1])


def parameter(site: Site) -> Written:
    """The top is the blob itself."""
    site.expect(bottoms=0, tops=1, blobs=1)
    shape = tuple(site.param("parameter_param").message("shape").integers("dim"))
    blob = site.blob(0, *shape)
    return Written(
        "{self}", [shape], Call("nn.Parameter", (("", f"torch.zeros({shape!r})"),)), {"": blob}
    )


def permute(site: Site) -> Written:
    """SSD's Permute: the axes named come first, the others follow in their order."""
    site.expect(bottoms=1, tops=1, blobs=0)
    shape = site.bottom()
    order = site.param("permute_param").integers("order")
    order += [axis for axis in range(len(shape)) if axis not in order]
    if sorted(order) != list(range(len(shape))):
        raise Refused(f"order {order} of {len(shape)} axes")
    out = tuple(shape[axis] for axis in order)
    return Written(f"{{0}}.permute({', '.join(map(str, order))})", [out])


def shuffle_channel(site: Site) -> Written:
    """ShuffleNet: channels as group x rest, transposed."""
    site.expect(bottoms=1, tops=1, blobs=0)
    group, shape = site.param("shuffle_channel_param").integer("group", 1), site.bottom()
    if len(shape) != 4 or group < 1 or shape[1] % group:
        raise Refused(f"group {group} of shape {shown(shape)}")
    return Written("{self}({0})", [shape], Call("nn.ChannelShuffle", arguments(group)))


def reorg(site: Site) -> Written:
    """Darknet's reorg as its Caffe forks have it: stride x stride places into the channels."""
    site.expect(bottoms=1, tops=1, blobs=0)
    param, shape = site.param("reorg_param"), site.bottom()
    stride = param.integer("stride")
    if param.boolean("reverse"):
        raise Refused("reverse: true")
    if len(shape) != 4 or stride < 1 or shape[1] % (stride * stride):
        raise Refused(f"stride {stride} of shape {shown(shape)}")
    if shape[2] % stride or shape[3] % stride:
        raise Refused(f"stride {stride} of shape {shown(shape)}")
    out = (shape[0], shape[1] * stride**2, shape[2] // stride, shape[3] // stride)
    return Written("{self}({0})", [out], Call("Reorg", arguments(stride)), ops=("Reorg",))


def transpose(site: Site) -> Written:
    """CTPN's Transpose: all axes, in the order that `dim` names."""
    site.expect(bottoms=1, tops=1, blobs=0)
    shape = site.bottom()
    param = site.param("transpose_param")
    if not param.has("dim"):
        raise Refused("no dim: forks without it compute other things under this name")
    order = param.integers("dim")
    if sorted(order) != list(range(len(shape))):
        raise Refused(f"dim {order} of {len(shape)} axes")
    out = tuple(shape[axis] for axis in order)
    return Written(f"{{0}}.permute({', '.join(map(str, order))})", [out])


def reverse(site: Site) -> Written:
    """The axis (the first one where none is named), from its end to its beginning."""
    site.expect(bottoms=1, tops=1, blobs=0)
    shape = site.bottom()
    axes = [site.axis(axis, shape) for axis in site.param("reverse_param").integers("axis") or [0]]
    if len(set(axes)) < len(axes):
        raise Refused(f"axis {axes}")
    return Written(f"{{0}}.flip({', '.join(map(str, axes))})", [shape])


def merge_crop(site: Site) -> Written:
    """U-Net's: the middle of the second bottom, behind the first's channels or added to it."""
    site.expect(bottoms=2, tops=1, blobs=0)
    param, shape, other = site.param("mergecrop_param"), site.bottom(), site.bottom(1)
    param.integers("backward")
    if 0 in param.integers("forward"):
        raise Refused("forward: 0")
    stack = param.choice("operation", ("STACK", "ADD"), "STACK") == "STACK"
    # the published kernel mixes up channels of other numbers
    if len(shape) < 3 or shape[:2] != other[:2] or len(shape) != len(other):
        raise Refused(
            f"bottoms of shapes {shown(shape)}, {shown(other)}; the channels must be as many"
        )
    if any(small > large for small, large in zip(shape[2:], other[2:], strict=True)):
        raise Refused(f"{shown(other)} cropped to {shown(shape)}")
    if stack:
        out = (shape[0], 2 * shape[1], *shape[2:])
        return Written("torch.cat(({0}, middle_of({1}, {0})), 1)", [out], ops=("middle_of",))
    return Written("{0} + middle_of({1}, {0})", [shape], ops=("middle_of",))


def pixel_shuffle(site: Site) -> Written:
    """factor x factor channels become places."""
    site.expect(bottoms=1, tops=1, blobs=0)
    shape, factor = site.bottom(), site.param("pixelshuffle_param").integer("upscale_factor")
    if len(shape) != 4 or factor < 1 or shape[1] % factor**2:
        raise Refused(f"upscale_factor {factor} of shape {shown(shape)}")
    out = (shape[0], shape[1] // factor**2, shape[2] * factor, shape[3] * factor)
    return Written("{self}({0})", [out], Call("nn.PixelShuffle", arguments(factor)))


_PADS = {"CONSTANT": "constant", "REPLICATE": "replicate", "REFLECT": "reflect"}


def pad(site: Site) -> Written:
    """Values around the picture; cut off on all four sides where all four pads are below 0."""
    site.expect(bottoms=1, tops=1, blobs=0)
    param, shape = site.param("pad_param"), site.bottom()
    pads = [param.integer(name) for name in ("pad_l", "pad_r", "pad_u", "pad_d")]
    kind = param.choice("pad_type", tuple(_PADS), "CONSTANT")
    value = param.number("pad_value", 0.0)
    if len(shape) != 4 or not (min(pads) >= 0 or max(pads) < 0):
        raise Refused(f"pads {pads} of shape {shown(shape)}; all at least 0, or all below")
    high, wide = shape[2] + pads[2] + pads[3], shape[3] + pads[0] + pads[1]
    reflected = kind == "REFLECT" and (max(pads[:2]) >= shape[3] or max(pads[2:]) >= shape[2])
    if min(high, wide) < 1 or reflected:
        raise Refused(f"pads {pads} of shape {shown(shape)}")
    # Caffe looks at the kind only where there is something to fill
    mode = "constant" if max(pads) < 0 else _PADS[kind]
    literals = arguments(
        tuple(pads),
        mode=mode if mode != "constant" else None,
        value=value if value and mode == "constant" else None,
    )
    out = (*shape[:2], high, wide)
    return Written(f"nn.functional.pad({{0}}, {listed(literals)})", [out])
