"""SSD's and R-CNN's layers, which only forks have.

Sources: SSD's prior_box_layer.cpp, detection_output_layer.cpp and bbox_util.cpp; Intel's
prior_box_clustered_layer.cpp; Fast R-CNN's roi_pooling_layer.cpp; R-FCN's psroi_pooling_layer.cpp;
PVANet's proposal_layer.cpp; ROIAlign as Mask R-CNN defines it; RefineDet's detection_output_layer.cpp.
"""

from __future__ import annotations

import math

from decant.loader.layers.call import Call, arguments
from decant.loader.layers.rule import Params, Refused, Shape, Site, Written, count, shown

CODES = ("", "CORNER", "CENTER_SIZE", "CORNER_SIZE")


def prior_box(site: Site) -> Written:
    """A box of each min_size, one between min and max, then one of each aspect ratio."""
    param = site.param("prior_box_param")
    smallest, largest = (_sizes(site, name) for name in ("min_size", "max_size"))
    if not smallest or len(largest) not in (0, len(smallest)):
        raise Refused(f"{len(smallest)} min_size and {len(largest)} max_size")
    ratios = _ratios(param)
    sizes = []
    for number, size in enumerate(smallest):
        sizes.append((size, size))
        if largest:
            between = math.sqrt(size * largest[number])
            sizes.append((between, between))
        sizes += [(size * math.sqrt(ratio), size / math.sqrt(ratio)) for ratio in ratios]
    return _boxes(site, param, sizes)


def _sizes(site: Site, name: str) -> list[float]:
    """SSD keeps both in whole numbers while it works (`int min_size_ = min_sizes_[s]`).

    It looks whether they are positive before that (prior_box_layer.cpp, LayerSetUp).
    """
    written = site.param("prior_box_param").numbers(name)
    if any(size <= 0 for size in written):
        raise Refused(f"{name} {min(written):g}: SSD wants more than 0")
    return (
        written if site.reading.prior_sizes == "exact" else [float(int(size)) for size in written]
    )


def _ratios(param: Params) -> list[float]:
    """Each once, with its reverse; 1 has its box already."""
    found: list[float] = [1.0]
    flip = param.boolean("flip", True)
    for ratio in param.numbers("aspect_ratio"):
        if ratio <= 0:
            raise Refused(f"aspect_ratio {ratio}")
        if all(abs(ratio - other) >= 1e-6 for other in found):
            found += [ratio, 1 / ratio] if flip else [ratio]
    return [ratio for ratio in found if abs(ratio - 1) >= 1e-6]


def prior_box_clustered(site: Site) -> Written:
    """Boxes of the widths and heights that are listed."""
    param = site.param("prior_box_param")
    widths, heights = param.numbers("width"), param.numbers("height")
    if not widths or len(widths) != len(heights):
        raise Refused(f"{len(widths)} width and {len(heights)} height")
    return _boxes(site, param, list(zip(widths, heights, strict=True)))


def _boxes(site: Site, param: Params, sizes: list[tuple[float, float]]) -> Written:
    site.expect(bottoms=2, tops=1, blobs=0)
    shape, image = site.bottom(), site.bottom(1)
    if len(shape) != 4 or len(image) != 4:
        raise Refused(f"bottoms of shapes {shown(shape)}, {shown(image)}")
    variance = param.numbers("variance") or [0.1]
    if len(variance) not in (1, 4):
        raise Refused(f"{len(variance)} values of variance")
    picture = _pair(param, "img_size", "img_h", "img_w")
    step = _pair(param, "step", "step_h", "step_w")
    offsets = _offsets(param)
    single = offsets[0][0] if len(set(offsets[0])) == len(offsets) == 1 else None
    literals = arguments(
        sizes,
        variance,
        step=tuple(step) if step else None,
        offset=single if single != 0.5 else None,
        clip=True if param.boolean("clip") else None,
        picture=tuple(int(size) for size in picture) if picture else None,
        offsets=offsets if single is None else None,
    )
    out = (1, 2, shape[2] * shape[3] * len(sizes) * len(offsets) * 4)
    return Written("{self}({0}, {1})", [out], Call("PriorBox", literals), ops=("PriorBox",))


def _offsets(param: Params) -> list[tuple[float, float]]:
    """(down, right) of the boxes' middles, in places; several in OpenCV's prior_box_layer.cpp alone."""
    down, right = param.numbers("offset_h"), param.numbers("offset_w")
    if not down and not right:
        return [(param.number("offset", 0.5),) * 2]
    if len(down) != len(right):
        raise Refused(f"{len(down)} offset_h and {len(right)} offset_w")
    return list(zip(down, right, strict=True))


def _pair(param: Params, both: str, high: str, wide: str) -> list[float]:
    """(height, width), [] where neither is given."""
    if param.has(high) or param.has(wide):
        if param.has(both):
            raise Refused(f"{both} with {high} or {wide}; Caffe refuses it")
        return [param.number(high), param.number(wide)]
    return [param.number(both)] * 2 if param.has(both) else []


def detection_output(site: Site) -> Written:
    """Decode, suppress, keep the best; with RefineDet's first stage or without; rows depend on data."""
    # RefineDet's fourth bottom is the objectness of each prior, its fifth moves the priors
    refined = len(site.bottoms) in (4, 5)
    site.expect(bottoms=None if refined else 3, tops=1, blobs=0)
    param = site.param("detection_output_param")
    # what is drawn, and what is written to files besides
    for name in ("save_output_param", "visualize", "visualize_threshold", "save_file"):
        param.has(name)
    nms = param.message("nms_param")
    classes, share = param.integer("num_classes"), param.boolean("share_location", True)
    code = param.choice("code_type", CODES, "CORNER")
    threshold, eta = nms.number("nms_threshold", 0.3), nms.number("eta", 1.0)
    background = param.integer("background_label_id", 0)
    encoded = param.boolean("variance_encoded_in_target")
    objectness = param.number("objectness_score", 0.01)
    least = param.number("confidence_threshold") if param.has("confidence_threshold") else None
    literals = arguments(
        classes,
        code,
        threshold,
        objectness=objectness if refined else None,
        background=None if background == 0 else background,
        share_location=None if share or refined else False,
        variance_encoded=True if encoded else None,
        confidence=least,
        eta=None if eta == 1 else eta,
        top_k=nms.integer("top_k") if nms.has("top_k") else None,
        keep=None if param.integer("keep_top_k", -1) < 0 else param.integer("keep_top_k", -1),
        # of OpenCV's detection_output_layer.cpp alone
        clip=True if len(site.bottoms) == 3 and param.boolean("clip") else None,
    )
    if nms.unread():
        raise Refused(f"nms_param.{nms.unread()[0]} is not supported")
    _check_priors(site, classes, share)
    names = ", ".join(f"{{{number}}}" for number in range(len(site.bottoms)))
    op = "RefinedDetectionOutput" if refined else "DetectionOutput"
    return Written(f"{{self}}({names})", [(1, 1, 1, 7)], Call(op, literals), ops=(op,))


def _check_priors(site: Site, classes: int, share: bool) -> None:
    offsets, scores, priors, *first_stage = site.bottoms
    if len(priors) < 3 or priors[0] != 1 or priors[1] != 2 or classes < 1:
        raise Refused(f"priors of shape {shown(priors)} for {classes} classes")
    number = priors[2] // 4
    kinds = 1 if share else classes
    if count(offsets[1:]) != 4 * number * kinds or count(scores[1:]) != number * classes:
        raise Refused(
            f"offsets {shown(offsets)} and scores {shown(scores)} for {number} boxes, {classes} classes"
        )
    if first_stage and not share:
        raise Refused(
            "share_location: false with a first stage, which moves the priors of all classes"
        )
    for shape, each in zip(first_stage, (2, 4), strict=False):
        if shape[:1] != offsets[:1] or count(shape[1:]) != each * number:
            raise Refused(f"a first stage of shape {shown(shape)} for {number} boxes")


def _rois(site: Site, param: Params) -> tuple[Shape, int, float]:
    site.expect(bottoms=2, tops=1, blobs=0)
    shape, rois = site.bottom(), site.bottom(1)
    if len(shape) != 4 or count(rois[1:]) != 5:
        raise Refused(f"bottoms of shapes {shown(shape)}, {shown(rois)}")
    return shape, rois[0], param.number("spatial_scale", 1.0)


def roi_pooling(site: Site) -> Written:
    """Fast R-CNN: the largest value of each part of a region whose corners are rounded."""
    param = site.param("roi_pooling_param")
    shape, number, scale = _rois(site, param)
    high, wide = param.integer("pooled_h"), param.integer("pooled_w")
    if min(high, wide) < 1:
        raise Refused(f"pooled_h {high}, pooled_w {wide}")
    out = (number, shape[1], high, wide)
    module = Call("ROIPooling", arguments(high, wide, scale))
    return Written("{self}({0}, {1})", [out], module, ops=("ROIPooling",))


def psroi_pooling(site: Site) -> Written:
    """R-FCN: the mean of each part, from channels of its own."""
    param = site.param("psroi_pooling_param")
    shape, number, scale = _rois(site, param)
    outputs, group = param.integer("output_dim"), param.integer("group_size")
    if min(outputs, group) < 1 or shape[1] != outputs * group**2:
        raise Refused(f"output_dim {outputs}, group_size {group} of {shape[1]} channels")
    module = Call("PSROIPooling", arguments(outputs, group, scale))
    return Written(
        "{self}({0}, {1})", [(number, outputs, group, group)], module, ops=("PSROIPooling",)
    )


def roi_align(site: Site) -> Written:
    """Mask R-CNN: means of interpolated points."""
    param = site.param("roi_align_param")
    shape, number, scale = _rois(site, param)
    high, wide = param.integer("pooled_h"), param.integer("pooled_w")
    if min(high, wide) < 1:
        raise Refused(f"pooled_h {high}, pooled_w {wide}")
    if not param.has("sampling_ratio"):
        raise Refused("no sampling_ratio: forks without it compute other things under this name")
    literals = arguments(high, wide, scale, param.integer("sampling_ratio", -1))
    out = (number, shape[1], high, wide)
    return Written("{self}({0}, {1})", [out], Call("ROIAlign", literals), ops=("ROIAlign",))


def proposal(site: Site) -> Written:
    """PVANet's: anchors moved by the offsets, cut to the picture, and suppressed."""
    site.expect(bottoms=3, blobs=0)
    param = site.param("proposal_param")
    scores, offsets, info = site.bottoms
    ratios, scales = param.numbers("ratio"), param.numbers("scale")
    base, stride = param.integer("base_size", 16), param.integer("feat_stride", 16)
    anchors = _anchors(base, ratios, scales)
    number = len(anchors)
    if not number or scores[:2] != (1, 2 * number) or offsets[:2] != (1, 4 * number):
        raise Refused(
            f"{len(ratios)} ratio and {len(scales)} scale for bottoms of shapes {shown(scores)}, "
            f"{shown(offsets)}"
        )
    if scores[2:] != offsets[2:] or count(info) < 3 or len(site.layer.tops) not in (1, 2):
        raise Refused(f"bottoms of shapes {shown(scores)}, {shown(offsets)}, {shown(info)}")
    after, both = param.integer("post_nms_topn", 300), len(site.layer.tops) == 2
    literals = arguments(
        anchors,
        stride,
        param.number("min_size", 16.0),
        param.integer("pre_nms_topn", 6000),
        after,
        param.number("nms_thresh", 0.7),
        with_scores=True if both else None,
    )
    shapes: list[Shape] = [(after, 5), *[(after,)] * both]
    call = "{self}({0}, {1}, {2})"
    return Written(call, shapes, Call("Proposal", literals), ops=("Proposal",))


def _anchors(
    base: int, ratios: list[float], scales: list[float]
) -> list[tuple[float, float, float, float]]:
    middle = 0.5 * (base - 1)
    found = []
    for ratio in ratios:
        wide = float(int(math.sqrt(base * base / ratio) + 0.5))
        high = float(int(wide * ratio + 0.5))
        for scale in scales:
            x, y = 0.5 * (wide * scale - 1), 0.5 * (high * scale - 1)
            found.append((middle - x, middle - y, middle + x, middle + y))
    return found
