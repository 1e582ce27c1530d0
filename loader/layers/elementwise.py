"""Several values to one: Eltwise, Softmax, ArgMax, Reduction, and the forks' Axpy.

Sources: layers/eltwise_layer.cpp, softmax_layer.cpp, argmax_layer.cpp, reduction_layer.cpp.
"""

from __future__ import annotations

from decant.loader.layers.call import Call, arguments
from decant.loader.layers.rule import Refused, Site, Written, count


def eltwise(site: Site) -> Written:
    """SUM with a coefficient for each bottom, PROD, or MAX; shapes are equal, nothing is broadcast."""
    param = site.param("eltwise_param")
    operation = param.choice("operation", ("PROD", "SUM", "MAX"), "SUM")
    coefficients = param.numbers("coeff")
    number = len(site.bottoms)
    site.expect(tops=1, blobs=0)
    if number < 2 or len(set(site.bottoms)) != 1:
        raise Refused(
            f"{number} bottoms of shapes {sorted(set(site.bottoms))}; Caffe wants equal ones"
        )
    if coefficients and (len(coefficients) != number or operation == "PROD"):
        raise Refused(f"{len(coefficients)} coefficients for {operation} of {number} bottoms")
    shapes = [site.bottom()]
    names = [f"{{{index}}}" for index in range(number)]
    if operation == "PROD":
        return Written(" * ".join(names), shapes)
    if operation == "MAX":
        call = names[0]
        for name in names[1:]:
            call = f"torch.maximum({call}, {name})"
        return Written(call, shapes)
    return Written(_sum(names, coefficients or [1.0] * number), shapes)


def _sum(names: list[str], coefficients: list[float]) -> str:
    text = ""
    for name, coefficient in zip(names, coefficients, strict=True):
        size = abs(coefficient)
        part = name if size == 1 else f"{size!r} * {name}"
        if not text:
            text = part if coefficient >= 0 else f"-{part}"
        else:
            text += f" + {part}" if coefficient >= 0 else f" - {part}"
    return text


def softmax(site: Site) -> Written:
    """Over one axis, 1 unless it says otherwise."""
    site.expect(bottoms=1, tops=1, blobs=0)
    axis = site.axis(site.param("softmax_param").integer("axis", 1), site.bottom())
    return Written("{self}({0})", [site.bottom()], Call("nn.Softmax", arguments(axis)))


def argmax(site: Site) -> Written:
    """Without an axis: over all but the first, N x 1 x k or N x 2 x k; ties go to the larger index."""
    site.expect(bottoms=1, tops=1, blobs=0)
    param, shape = site.param("argmax_param"), site.bottom()
    values, k = param.boolean("out_max_val"), param.integer("top_k", 1)
    if not param.has("axis"):
        if not 1 <= k <= count(shape[1:]):
            raise Refused(f"top_k {k} of {count(shape[1:])} values")
        out = (shape[0], 2 if values else 1, k) + (1,) * (len(shape) - 3)
        literals = arguments(k, trailing=max(0, len(shape) - 3) or None, values=values or None)
        return Written("{self}({0})", [out], Call("ArgMax", literals), ops=("ArgMax",))
    axis = site.axis(param.integer("axis"), shape)
    if not 1 <= k <= shape[axis]:
        raise Refused(f"top_k {k} of {shape[axis]} values")
    out = (*shape[:axis], k, *shape[axis + 1 :])
    literals = arguments(k, axis, values=values or None)
    return Written("{self}({0})", [out], Call("ArgMax", literals), ops=("ArgMax",))


def reduction(site: Site) -> Written:
    """All axes from `axis` to the end; from axis 0 a scalar is left."""
    site.expect(bottoms=1, tops=1, blobs=0)
    param, shape = site.param("reduction_param"), site.bottom()
    operation = param.choice("operation", ("", "SUM", "ASUM", "SUMSQ", "MEAN"), "SUM")
    axis, coefficient = site.axis(param.integer("axis"), shape), param.number("coeff", 1.0)
    call = {
        "SUM": "{0}.flatten(%d).sum(%d)",
        "ASUM": "{0}.abs().flatten(%d).sum(%d)",
        "SUMSQ": "{0}.square().flatten(%d).sum(%d)",
        "MEAN": "{0}.flatten(%d).mean(%d)",
    }[operation] % (axis, axis)
    times = "" if coefficient == 1 else f" * {coefficient!r}"
    return Written(call + times, [shape[:axis]])


def axpy(site: Site) -> Written:
    """SENet's Axpy: a (N x C x 1 x 1) times x, plus y."""
    site.expect(bottoms=3, tops=1, blobs=0)
    scale, x, y = site.bottoms
    if x != y or scale[:2] != x[:2] or count(scale[2:]) != 1:
        raise Refused(f"bottoms of shapes {scale}, {x}, {y}")
    by = "{0}" if len(scale) == len(x) else "{0}[..., None, None]"
    return Written(f"{by} * {{1}} + {{2}}", [x])
