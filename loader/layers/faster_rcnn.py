"""The Python layers of Faster R-CNN and of CTPN, known by their module and class.

Sources: py-faster-rcnn's rpn/proposal_layer.py, rpn/generate_anchors.py, fast_rcnn/config.py and
nms/nms_kernel.cu; CTPN's layers/text_proposal_layer.py and anchor.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import yaml

from decant.loader.definition import rpn
from decant.loader.layers.call import Call, arguments
from decant.loader.layers.rule import Refused, Shape, Site, Written, count, shown

Box = tuple[float, float, float, float]

# heights of CTPN's anchors, which are 16 wide (anchor.py)
TEXT_HEIGHTS = (11, 16, 23, 33, 48, 68, 97, 139, 198, 283)


class _Yaml(yaml.SafeLoader):
    """YAML as it is written in param_str: plain, but with Python's tuples."""

    def sequence(self, node: yaml.SequenceNode) -> list[Any]:
        return self.construct_sequence(node)


_Yaml.add_constructor("tag:yaml.org,2002:python/tuple", _Yaml.sequence)


def proposal_layer(site: Site) -> Written:
    """py-faster-rcnn's proposals: anchors moved, cut, sorted, suppressed; rows depend on the data."""
    given = _param_str(site, ("feat_stride", "scales", "ratios"))
    anchors = _anchors(
        _numbers(given, "ratios", (0.5, 1, 2)), _numbers(given, "scales", (8, 16, 32))
    )
    rows, columns = _maps(site, 2 * len(anchors), 4 * len(anchors))
    both = len(site.layer.tops) == 2
    settings = {**rpn.DEFAULTS, **dict(site.reading.rpn)}
    literals = arguments(anchors, _stride(given), **settings, with_scores=True if both else None)
    limits = [int(settings[name]) for name in rpn.COUNTS if settings[name]]
    most = min([*limits, rows * columns * len(anchors)])
    shapes: list[Shape] = [(most, 5), *[(most, 1)] * both]
    module = Call("RegionProposal", literals)
    return Written("{self}({0}, {1}, {2})", shapes, module, ops=("RegionProposal",))


def text_proposal_layer(site: Site) -> Written:
    """CTPN's proposals: all anchors of 16 pixels' width, moved in y; every box with its score."""
    given = _param_str(site, ("feat_stride",))
    anchors = [_text_anchor(height) for height in TEXT_HEIGHTS]
    rows, columns = _maps(site, 2 * len(anchors), 2 * len(anchors))
    site.expect(tops=2, blobs=0)
    number = rows * columns * len(anchors)
    module = Call("TextProposal", arguments(anchors, _stride(given)))
    return Written(
        "{self}({0}, {1}, {2})", [(number, 4), (number, 1)], module, ops=("TextProposal",)
    )


def _param_str(site: Site, known: Sequence[str]) -> dict[str, Any]:
    """The layer's own parameters, which are YAML."""
    param = site.param("python_param")
    param.text("module"), param.text("layer")
    text = param.text("param_str")
    try:
        # of SafeLoader
        found = yaml.load(text, _Yaml)
    except (yaml.YAMLError, ValueError) as error:
        raise Refused(f"param_str {text!r} is not YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(found, dict):
        raise Refused(f"param_str {text!r}; expected 'feat_stride': 16")
    for name in found:
        if name not in known:
            raise Refused(f"param_str: {name!r} is not supported")
    return found


def _stride(given: dict[str, Any]) -> int:
    stride = given.get("feat_stride")
    if type(stride) is not int or stride < 1:
        raise Refused(f"param_str: feat_stride {stride!r}")
    return stride


def _numbers(given: dict[str, Any], name: str, default: Sequence[float]) -> list[float]:
    """A list of positive numbers."""
    values = given.get(name, default)
    if not isinstance(values, list | tuple) or not values:
        raise Refused(f"param_str: {name} {values!r} is not a list of numbers")
    for value in values:
        if type(value) not in (int, float) or not 0 < value < math.inf:
            raise Refused(f"param_str: {name} {values!r}")
    return list(values)


def _maps(site: Site, scores: int, offsets: int) -> tuple[int, int]:
    """(height, width) of the maps, of one picture and as many channels."""
    site.expect(bottoms=3, blobs=0)
    if len(site.layer.tops) not in (1, 2):
        raise Refused(f"makes 1 or 2 tops, and has {len(site.layer.tops)}")
    a, b, info = site.bottoms
    fit = len(a) == 4 and a[:2] == (1, scores) and b == (1, offsets, *a[2:])
    if not fit or len(info) < 2 or count(info[1:]) < 3:
        raise Refused(
            f"bottoms of shapes {shown(a)}, {shown(b)}, {shown(info)}; expected 1 x {scores} x H x W, "
            f"1 x {offsets} x H x W and 1 x 3"
        )
    return a[2], a[3]


def _anchors(ratios: Sequence[float], scales: Sequence[float], base: int = 16) -> list[Box]:
    """generate_anchors.py: each ratio of height to width in each scale, around a base of 16."""
    found = []
    middle = 0.5 * (base - 1)
    for ratio in ratios:
        # numpy rounds halves to even numbers, as Python does
        wide = float(round(math.sqrt(base * base / ratio)))
        high = float(round(wide * ratio))
        for scale in scales:
            x, y = 0.5 * (wide * scale - 1), 0.5 * (high * scale - 1)
            found.append((middle - x, middle - y, middle + x, middle + y))
    return found


def _text_anchor(height: int) -> tuple[int, int, int, int]:
    """anchor.py: half the height and width in whole numbers, the corners cut towards zero."""
    y, x = height // 2, 8
    return int(7.5 - x), int(7.5 - y), int(7.5 + x), int(7.5 + y)
