"""LRN, BatchNorm, Scale, Bias, MVN; the forks' BN, Normalize and GRN.

Sources: layers/lrn_layer.cpp, batch_norm_layer.cpp, scale_layer.cpp, bias_layer.cpp, mvn_layer.cpp.
"""

from __future__ import annotations

import numpy as np

from decant.loader.layers import nvcaffe
from decant.loader.layers.call import Call, arguments
from decant.loader.layers.normalised import check_batch, normalised
from decant.loader.layers.rule import Refused, Shape, Site, Written, WrongBlobs, count


def lrn(site: Site) -> Written:
    """Across channels, or within one: a region of another shape, where k is 1 whatever it says."""
    site.expect(bottoms=1, tops=1, blobs=0)
    param = site.param("lrn_param")
    size = param.integer("local_size", 5)
    alpha, beta = param.number("alpha", 1.0), param.number("beta", 0.75)
    k = param.number("k", 1.0)
    region = param.choice("norm_region", ("ACROSS_CHANNELS", "WITHIN_CHANNEL"), "ACROSS_CHANNELS")
    if size % 2 == 0 or size < 1:
        raise Refused(f"local_size {size}; Caffe takes odd numbers only")
    if len(site.bottom()) != 4:
        raise Refused(f"an input of {len(site.bottom())} axes; Caffe's LRN takes N x C x H x W")
    if region == "WITHIN_CHANNEL":
        literals = arguments(size, alpha=alpha, beta=beta)
        module = Call("LRNWithinChannel", literals)
        return Written("{self}({0})", [site.bottom()], module, ops=("LRNWithinChannel",))
    literals = arguments(size, alpha=alpha, beta=beta, k=None if k == 1.0 else k)
    return Written("{self}({0})", [site.bottom()], Call("LRN", literals), ops=("LRN",))


def batch_norm(site: Site) -> Written:
    """Statistics are stored multiplied by the third blob; 0 there makes both 0. Five: NVCaffe's."""
    site.expect(bottoms=1, tops=1, blobs=len(site.blobs))
    check_batch(site.bottom())
    if len(_batch_blobs(site)) == 5:
        return nvcaffe.batch_norm(site)
    stored = site.param("batch_norm_param").boolean("use_global_stats", True)
    eps = site.param("batch_norm_param").number("eps", 1e-5)
    check_batch(site.bottom(), stored, eps)
    return normalised(site.bottom(), eps, batch_statistics(site), stored)


def _batch_blobs(site: Site) -> list[np.ndarray]:
    """Three; NVCaffe's five, where the definition asks for them or the file has them."""
    channels = (site.bottom()[1],)
    more = (channels, channels) if nvcaffe.asks_for_scale_bias(site.layer) else ()
    return site.filed(channels, channels, (1,), *more)


def batch_statistics(site: Site) -> dict[str, np.ndarray]:
    """running_mean and running_var; nothing where the batch's own are used."""
    blobs, channels = _batch_blobs(site), site.bottom()[1]
    if len(blobs) != 3:
        raise WrongBlobs(f"takes 3 parameter blobs, and has {len(blobs)}")
    if nvcaffe.asks_for_scale_bias(site.layer):
        raise WrongBlobs("asks for a scale and a bias (NVCaffe), and has 3 parameter blobs, not 5")
    mean, variance, factor = site.blob(0, channels), site.blob(1, channels), site.blob(2, 1)
    if not site.param("batch_norm_param").boolean("use_global_stats", True):
        return {}
    scale = np.float32(0 if factor[0] == 0 else np.float32(1) / factor[0])
    return {
        "running_mean": mean * scale,
        "running_var": variance * scale,
        "num_batches_tracked": np.zeros((), np.int64),
    }


def fused_batch_norm(site: Site, scale: Site) -> Written | None:
    """BatchNorm and the Scale that alone reads it, as one affine module; None where that is not exact.

    `scale` is the Scale's site. The state's gamma and beta are the Scale's blobs.
    """
    param = scale.param("scale_param")
    axis = scale.axis(param.integer("axis", 1), scale.bottom())
    plain = axis == 1 and param.integer("num_axes", 1) == 1 and len(scale.bottoms) == 1
    stored = site.param("batch_norm_param").boolean("use_global_stats", True)
    if not plain or not stored or not 2 <= len(site.bottom()) <= 5 or len(_batch_blobs(site)) == 5:
        return None
    channels = site.bottom()[1]
    bias = param.boolean("bias_term", False)
    scale.expect(bottoms=1, tops=1, blobs=2 if bias else 1)
    tensors = {
        "weight": scale.blob(0, channels),
        "bias": scale.blob(1, channels) if bias else np.zeros(channels, np.float32),
        **batch_statistics(site),
    }
    return normalised(site.bottom(), site.param("batch_norm_param").number("eps", 1e-5), tensors)


def scale(site: Site) -> Written:
    """One bottom: blob 0 is the scale, blob 1 the bias. Two: the second scales, blob 0 is the bias."""
    param = site.param("scale_param")
    bias = param.boolean("bias_term", False)
    own = len(site.bottoms) == 1
    site.expect(bottoms=1 if own else 2, tops=1, blobs=(1 if own else 0) + bias)
    shape, axis, by = _factor(site, "scale_param")
    after = len(shape) - axis - len(by)
    if not own:
        product = f"{{0}} * {_trailing('{1}', after)}"
        if not bias:
            return Written(product, [shape], ops=())
        literals = arguments(by, after)
        tensors = {"bias": site.blob(0, *by)}
        return Written(f"{{self}}({product})", [shape], Call("Bias", literals), tensors, ("Bias",))
    tensors = {"weight": site.blob(0, *by)}
    if bias:
        tensors["bias"] = site.blob(1, *by)
    literals = arguments(by, after, bias=None if bias else False)
    return Written("{self}({0})", [shape], Call("Scale", literals), tensors, ("Scale",))


def bias(site: Site) -> Written:
    """Blob 0, or the second bottom, is added along the axes that it has."""
    own = len(site.bottoms) == 1
    site.expect(bottoms=1 if own else 2, tops=1, blobs=1 if own else 0)
    shape, axis, by = _factor(site, "bias_param")
    after = len(shape) - axis - len(by)
    if not own:
        return Written(f"{{0}} + {_trailing('{1}', after)}", [shape])
    literals, tensors = arguments(by, after), {"bias": site.blob(0, *by)}
    return Written("{self}({0})", [shape], Call("Bias", literals), tensors, ("Bias",))


def _factor(site: Site, message: str) -> tuple[Shape, int, Shape]:
    """(bottom's shape, axis, the factor's shape): scale_layer.cpp:28-40, 80-110."""
    param, shape = site.param(message), site.bottom()
    axis, axes = param.integer("axis", 1), param.integer("num_axes", 1)
    if len(site.bottoms) == 2:
        by = site.bottom(1)
        start = site.axis(axis, shape) if by else 0
        if shape[start : start + len(by)] != by:
            raise Refused(f"a second bottom of shape {by} for one of {shape} from axis {axis}")
        return shape, start, by
    if axes == 0:
        return shape, 0, ()
    start = site.axis(axis, shape)
    if axes < -1 or (axes > 0 and start + axes > len(shape)):
        raise Refused(f"num_axes {axes} from axis {start} of a blob of {len(shape)} axes")
    return shape, start, shape[start:] if axes == -1 else shape[start : start + axes]


def _trailing(name: str, axes: int) -> str:
    """The same values with `axes` axes of size 1 behind them."""
    return f"{name}[...{', None' * axes}]" if axes else name


def mvn(site: Site) -> Written:
    """(x - mean) / (sqrt(var) + eps): eps stands outside the root."""
    site.expect(bottoms=1, tops=1, blobs=0)
    param, shape = site.param("mvn_param"), site.bottom()
    literals = arguments(
        normalize_variance=None if param.boolean("normalize_variance", True) else False,
        across_channels=True if param.boolean("across_channels") else None,
        eps=param.number("eps", 1e-9),
    )
    if len(shape) > 4:
        raise Refused(f"an input of {len(shape)} axes; Caffe's MVN takes up to 4")
    out = shape + (1,) * (4 - len(shape))
    lead = "" if len(shape) == 4 else f".reshape({{0}}.shape + (1,) * {4 - len(shape)})"
    return Written(f"{{self}}({{0}}{lead})", [out], Call("MVN", literals), ops=("MVN",))


def normalize(site: Site) -> Written:
    """SSD's L2 norm (norm_layer.cpp of that fork): x / sqrt(sum x^2 + eps) * scale."""
    site.expect(bottoms=1, tops=1, blobs=1)
    param, shape = site.param("norm_param"), site.bottom()
    spatial = param.boolean("across_spatial", True)
    shared = param.boolean("channel_shared", True)
    param.messages("scale_filler")
    if len(shape) != 4:
        raise Refused(f"an input of {len(shape)} axes; Normalize takes N x C x H x W")
    size = 1 if shared else shape[1]
    # a shared scale has no axes in files of the fork
    blob = site.blobs[0] if site.blobs else site.blob(0, size)
    if count(blob.shape) != size:
        raise WrongBlobs(f"a scale of {count(blob.shape)} values for {size}")
    literals = arguments(size, across_spatial=spatial, eps=param.number("eps", 1e-10))
    tensors = {"weight": blob.reshape(size)}
    return Written("{self}({0})", [shape], Call("Normalize", literals), tensors, ("Normalize",))


def fork_bn(site: Site) -> Written:
    """The fused BN of SegNet (two blobs) and of ENet, PSPNet, P3D and their kin (four).

    SegNet (bn_layer.cpp): scale and shift; at TEST bn_mode INFERENCE applies them alone, LEARN also
    takes the batch's own statistics. The others: slope, bias, mean and variance.
    """
    site.expect(bottoms=1, tops=1, blobs=len(site.blobs))
    param, shape = site.param("bn_param"), site.bottom()
    check_batch(shape)
    for name in _BN_TRAINING:
        param.has(name)
    segnet = any(param.has(name) for name in ("bn_mode", "scale_filler", "shift_filler"))
    found = site.filed(*[(1, shape[1], 1, 1)] * (2 if segnet else 4))
    if any(blob.size != shape[1] for blob in found) or len(found) not in (2, 4):
        raise WrongBlobs(f"{len(found)} blobs; BN has 2 or 4 of {shape[1]} values")
    blobs = [blob.reshape(-1) for blob in found]
    tensors = dict(zip(("weight", "bias", "running_mean", "running_var"), blobs, strict=False))
    if len(blobs) == 4:
        return _bn_of_four(site, tensors)
    if param.choice("bn_mode", ("LEARN", "INFERENCE"), "LEARN") == "INFERENCE":
        module = Call("Scale", arguments((shape[1],), len(shape) - 2))
        return Written("{self}({0})", [shape], module, tensors, ("Scale",))
    check_batch(shape, stored=False)
    return normalised(site.bottom(), 1e-9, tensors, stored=False)


# they steer training only
_BN_TRAINING = (
    "slope_filler", "bias_filler", "scale_filler", "shift_filler", "momentum", "decay", "frozen",
)  # fmt: skip


def _bn_of_four(site: Site, tensors: dict[str, np.ndarray]) -> Written:
    param = site.param("bn_param")
    older = param.has("decay") or param.has("moving_average")
    if older and not param.has("var_eps"):
        raise Refused("no var_eps: its default differs from fork to fork; write it down")
    if param.integer("axis", 1) != 1:
        raise Refused("axis other than 1")
    eps = param.number("var_eps") if param.has("var_eps") else param.number("eps", 1e-5)
    if not param.boolean("moving_average", True):
        del tensors["running_mean"], tensors["running_var"]
        check_batch(site.bottom(), stored=False, eps=eps)
        return normalised(site.bottom(), eps, tensors, stored=False)
    tensors["num_batches_tracked"] = np.zeros((), np.int64)
    return normalised(site.bottom(), eps, tensors)


def grn(site: Site) -> Written:
    """Intel's GRN: every place divided by its L2 norm over the channels (bias inside the root)."""
    site.expect(bottoms=1, tops=1, blobs=0)
    bias = site.param("grn_param").number("bias", 1.0)
    call = f"{{0}} * ({{0}}.square().sum(1, keepdim=True) + {bias!r}).rsqrt()"
    return Written(call, [site.bottom()])
