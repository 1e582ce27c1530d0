"""One value in, one value out. Sources: layers/{relu,prelu,elu,sigmoid,tanh,absval,bnll,power,exp,log,
threshold,dropout}_layer.cpp; clip and swish of Caffe's master; the forks' mish (caffe-yolov3),
hardsigmoid and hardswish (brocolli-caffe), hsigmoid, selu and sin.
"""

from __future__ import annotations

import math

import numpy as np

from decant.loader.layers.call import Call, arguments
from decant.loader.layers.rule import LARGEST, Params, Refused, Site, Written


def _module(site: Site, module: Call) -> Written:
    site.expect(bottoms=1, tops=1, blobs=0)
    return Written("{self}({0})", [site.bottom()], module)


def _expression(site: Site, call: str) -> Written:
    site.expect(bottoms=1, tops=1, blobs=0)
    return Written(call, [site.bottom()])


def relu(site: Site) -> Written:
    """negative_slope * x below 0."""
    slope = site.param("relu_param").number("negative_slope", 0.0)
    return _module(site, Call("nn.LeakyReLU", arguments(slope)) if slope else Call("nn.ReLU"))


def relu6(site: Site) -> Written:
    """The fork's ReLU cut at 6."""
    param = site.param("relu_param")
    if param.number("negative_slope", 0.0):
        raise Refused("negative_slope")
    threshold = site.param("relu6_param").number("threshold", 6.0)
    return _module(
        site, Call("nn.ReLU6") if threshold == 6 else Call("nn.Hardtanh", arguments(0.0, threshold))
    )


def prelu(site: Site) -> Written:
    """One slope a channel, or one for all (a blob without axes)."""
    site.expect(bottoms=1, tops=1, blobs=1)
    shared = site.param("prelu_param").boolean("channel_shared")
    shape = site.bottom()
    if len(shape) < 2:
        raise Refused(f"an input of {len(shape)} axes; Caffe's PReLU takes at least 2")
    weight = site.blob(0).reshape(1) if shared else site.blob(0, shape[1])
    literals = arguments(None if shared else shape[1])
    return Written("{self}({0})", [shape], Call("nn.PReLU", literals), {"weight": weight})


def elu(site: Site) -> Written:
    """alpha * (e^x - 1) below 0."""
    alpha = site.param("elu_param").number("alpha", 1.0)
    return _module(site, Call("nn.ELU", arguments(None if alpha == 1 else alpha)))


def sigmoid(site: Site) -> Written:
    """1 / (1 + exp(-x))."""
    site.param("sigmoid_param")
    return _module(site, Call("nn.Sigmoid"))


def tanh(site: Site) -> Written:
    """tanh(x)."""
    site.param("tanh_param")
    return _module(site, Call("nn.Tanh"))


def absval(site: Site) -> Written:
    """|x|."""
    return _expression(site, "{0}.abs()")


def bnll(site: Site) -> Written:
    """log(1 + e^x), stable."""
    return _module(site, Call("nn.Softplus"))


def _line(param: Params, value: str) -> str:
    """shift + scale * x, without what is 1 or 0."""
    scale, shift = param.number("scale", 1.0), param.number("shift", 0.0)
    text = value if scale == 1 else f"{scale!r} * {value}"
    return text if shift == 0 else f"{text} + {shift!r}" if shift > 0 else f"{text} - {-shift!r}"


def _bracketed(text: str) -> str:
    return f"({text})" if " " in text else text


def power(site: Site) -> Written:
    """(shift + scale * x) ^ power; a constant where power * scale is 0 (power_layer.cpp:9-40)."""
    param = site.param("power_param")
    exponent, scale, shift = (
        param.number("power", 1.0), param.number("scale", 1.0), param.number("shift", 0.0),
    )  # fmt: skip
    if exponent * scale == 0:
        try:
            value = 1.0 if exponent == 0 else shift**exponent
        except ArithmeticError:
            value = math.inf
        if isinstance(value, complex) or not abs(value) <= LARGEST:
            raise Refused(f"power {exponent:g} of the constant {shift:g} is not a finite number")
        return _expression(site, f"torch.full_like({{0}}, {value!r})")
    line = _line(param, "{0}")
    if exponent == 1:
        return _expression(site, line if line != "{0}" else "{0} * 1.0")
    if exponent == 2:
        return _expression(site, f"{_bracketed(line)}.square()")
    return _expression(site, f"{_bracketed(line)} ** {exponent!r}")


def exp(site: Site) -> Written:
    """base ^ (shift + scale * x); base -1 means e."""
    param = site.param("exp_param")
    base = _base(param)
    scale, shift = _float32(param, "scale", 1.0), _float32(param, "shift", 0.0)
    # in float32, as exp_layer.cpp has both factors: to the power of 80 a rounding is 8e-6
    with np.errstate(all="ignore"):
        inner = scale if base is None else np.log(base) * scale
        outer = np.exp(shift) if base is None else base**shift
    if not (np.isfinite(inner) and np.isfinite(outer)):
        raise Refused(f"scale {scale:g}, shift {shift:g}: Caffe's factors of them are infinite")
    found = f"torch.exp({'' if inner == 1 else f'{float(inner)!r} * '}{{0}})"
    return _expression(site, found if outer == 1 else f"{float(outer)!r} * {found}")


def log(site: Site) -> Written:
    """log_base(shift + scale * x); base -1 means e."""
    param = site.param("log_param")
    base = _base(param)
    if base == 1:
        raise Refused("base 1; Caffe takes -1 or a positive number other than 1")
    found = f"torch.log({_line(param, '{0}')})"
    over = "" if base is None else f"{float(1 / np.log(base))!r} * "
    return _expression(site, over + found)


def _base(param: Params) -> np.float32 | None:
    """Of a power or a logarithm; None stands for e."""
    base = _float32(param, "base", -1.0)
    if base == -1:
        return None
    if not (base > 0 and np.isfinite(base)):
        raise Refused(f"base {base:g}; Caffe takes -1 or a positive number")
    return base


def _float32(param: Params, name: str, default: float) -> np.float32:
    with np.errstate(over="ignore"):
        return np.float32(param.number(name, default))


def threshold(site: Site) -> Written:
    """1 above the threshold, 0 at it and below."""
    value = site.param("threshold_param").number("threshold", 0.0)
    return _expression(site, f"({{0}} > {value!r}).to({{0}}.dtype)")


def dropout(site: Site) -> Written:
    """The identity at TEST."""
    param = site.param("dropout_param")
    ratio = param.number("dropout_ratio", 0.5)
    if not param.boolean("scale_train", True):
        raise Refused("scale_train: false scales at TEST in the forks that have it")
    return _module(site, Call("nn.Dropout", arguments(None if ratio == 0.5 else ratio)))


def clip(site: Site) -> Written:
    """Between min and max."""
    param = site.param("clip_param")
    if not (param.has("min") and param.has("max")):
        raise Refused("without min and max; Caffe requires both")
    low, high = param.number("min"), param.number("max")
    if low > high:
        # clip_layer.cpp: max(min, min(x, max)); torch's clamp would give max
        return _expression(site, f"{{0}}.clamp(max={high!r}).clamp(min={low!r})")
    return _expression(site, f"{{0}}.clamp({low!r}, {high!r})")


def swish(site: Site) -> Written:
    """x * sigmoid(beta * x)."""
    beta = site.param("swish_param").number("beta", 1.0)
    if beta == 1:
        return _module(site, Call("nn.SiLU"))
    return _expression(site, f"{{0}} * torch.sigmoid({beta!r} * {{0}})")


def crelu(site: Site) -> Written:
    """ReLU of x and of -x, one behind the other (crelu of PVANet's kind: concatenated)."""
    site.expect(bottoms=1, tops=1, blobs=0)
    param = site.param("crelu_param")
    slope = param.number("negative_slope", 0.0)
    axis = site.axis(param.integer("concat_axis", param.integer("axis", 1)), site.bottom())
    shape = list(site.bottom())
    shape[axis] *= 2
    both = f"torch.cat(({{0}}, -{{0}}), {axis})"
    module = Call("nn.LeakyReLU", arguments(slope)) if slope else Call("nn.ReLU")
    return Written(f"{{self}}({both})", [tuple(shape)], module)


def mish(site: Site) -> Written:
    """x * tanh(log(1 + e^x))."""
    return _module(site, Call("nn.Mish"))


def hard_sigmoid(site: Site) -> Written:
    """alpha * x + beta, between 0 and 1."""
    site.expect(bottoms=1, tops=1, blobs=0)
    # two forks, two names of the message
    names = [
        name for name in ("hardsigmoid_param", "hard_sigmoid_param") if site.layer.fields.has(name)
    ]
    param = site.param(names[0] if names else "hardsigmoid_param")
    alpha, beta = param.number("alpha", 0.2), param.number("beta", 0.5)
    return _expression(site, f"({{0}} * {alpha!r} + {beta!r}).clamp(0, 1)")


def hsigmoid(site: Site) -> Written:
    """(x + 3) / 6, between 0 and 1."""
    return _module(site, Call("nn.Hardsigmoid"))


def hard_swish(site: Site) -> Written:
    """x times (x + 3) / 6, which is cut to 0 and 1."""
    return _module(site, Call("nn.Hardswish"))


def selu(site: Site) -> Written:
    """lambda * x, below 0 lambda * alpha * (e^x - 1)."""
    param = site.param("selu_param")
    # the defaults are not the same in all forks
    if not (param.has("alpha") and param.has("lambda")):
        raise Refused("without alpha and lambda")
    scale, alpha = param.number("lambda"), param.number("alpha")
    return _expression(site, f"{scale!r} * nn.functional.elu({{0}}, {alpha!r})")


def sin(site: Site) -> Written:
    """sin(x)."""
    return _expression(site, "torch.sin({0})")
