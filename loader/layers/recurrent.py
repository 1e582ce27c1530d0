"""RNN, LSTM and LSTMUnit; of the forks Lstm (caffe-lstm, CTPN) and ContinuationIndicator.

Sources: layers/{recurrent,rnn,lstm,lstm_unit}_layer.cpp; the forks' lstm_layer.cu and
continuation_indicator_layer.cpp. The state lives between forwards, as in Caffe: only `cont` = 0
resets it.
"""

from __future__ import annotations

from decant.loader.layers.call import Call, arguments
from decant.loader.layers.rule import Refused, Shape, Site, Written, count, shown


def _sequence(site: Site, states: int) -> tuple[Shape, int, bool, bool]:
    """(shape of x, outputs, static input?, expose_hidden?) after the checks of recurrent_layer.cpp."""
    param = site.param("recurrent_param")
    outputs, expose = param.integer("num_output"), param.boolean("expose_hidden")
    hidden = states if expose else 0
    static = len(site.bottoms) == 3 + hidden
    if len(site.bottoms) not in (2 + hidden, 3 + hidden) or len(site.layer.tops) != 1 + hidden:
        raise Refused(f"{len(site.bottoms)} bottoms and {len(site.layer.tops)} tops")
    x, cont = site.bottom(0), site.bottom(1)
    if len(x) < 2 or cont != x[:2] or outputs < 1:
        raise Refused(f"x of shape {shown(x)} with cont of shape {shown(cont)}")
    if static and site.bottom(2)[:1] != x[1:2]:
        raise Refused(f"x of shape {shown(x)} with a static input of shape {shown(site.bottom(2))}")
    for state in site.bottoms[2 + static :]:
        if state[-2:] != (x[1], outputs) or count(state) != x[1] * outputs:
            raise Refused(f"a state of shape {shown(state)}, not 1 x {x[1]} x {outputs}")
    return x, outputs, static, expose


def lstm(site: Site) -> Written:
    """Blobs: W_xc (4H, I), b_c, [W_xc_static], W_hc (4H, H); the gates are i, f, o, g."""
    x, outputs, static, expose = _sequence(site, 2)
    site.expect(blobs=4 if static else 3)
    inputs = count(x[2:])
    tensors = {"weight_x": site.blob(0, 4 * outputs, inputs), "bias": site.blob(1, 4 * outputs)}
    fixed = count(site.bottom(2)[1:]) if static else 0
    if static:
        tensors["weight_static"] = site.blob(2, 4 * outputs, fixed)
    tensors["weight_h"] = site.blob(3 if static else 2, 4 * outputs, outputs)
    state = (1, x[1], outputs)
    shapes: list[Shape] = [(x[0], x[1], outputs), *[state, state] * expose]
    literals = arguments(inputs, outputs, static=fixed or None, expose=True if expose else None)
    return Written(site.on_all_bottoms(), shapes, Call("LSTM", literals), tensors, ("LSTM",))


def rnn(site: Site) -> Written:
    """Blobs: W_xh, b_h, [W_xh_static], W_hh, W_ho, b_o; h = tanh(...), o = tanh(W_ho h + b_o)."""
    x, outputs, static, expose = _sequence(site, 1)
    site.expect(blobs=6 if static else 5)
    inputs, first = count(x[2:]), 3 if static else 2
    tensors = {"weight_x": site.blob(0, outputs, inputs), "bias_h": site.blob(1, outputs)}
    fixed = count(site.bottom(2)[1:]) if static else 0
    if static:
        tensors["weight_static"] = site.blob(2, outputs, fixed)
    tensors["weight_h"] = site.blob(first, outputs, outputs)
    tensors["weight_o"] = site.blob(first + 1, outputs, outputs)
    tensors["bias_o"] = site.blob(first + 2, outputs)
    shapes: list[Shape] = [(x[0], x[1], outputs), *[(1, x[1], outputs)] * expose]
    literals = arguments(inputs, outputs, static=fixed or None, expose=True if expose else None)
    return Written(site.on_all_bottoms(), shapes, Call("RNN", literals), tensors, ("RNN",))


def lstm_unit(site: Site) -> Written:
    """One step: c_prev (1, N, H), gates (1, N, 4H), cont (1, N) -> c, h."""
    site.expect(bottoms=3, tops=2, blobs=0)
    c, gates, cont = site.bottoms
    if len(c) != 3 or c[0] != 1 or gates != (1, c[1], 4 * c[2]) or cont[:2] != (1, c[1]):
        raise Refused(f"bottoms of shapes {shown(c)}, {shown(gates)}, {shown(cont)}")
    return Written("{self}({0}, {1}, {2})", [c, c], Call("LSTMUnit"), ops=("LSTMUnit",))


def forks_lstm(site: Site) -> Written:
    """Blobs: W_x (4H, I), W_h (4H, H), b; without a second bottom it begins with zeros each time."""
    param, shape = site.param("lstm_param"), site.bottom()
    # it cuts gradients
    param.number("clipping_threshold")
    outputs = param.integer("num_output")
    if len(site.bottoms) not in (1, 2) or len(shape) < 2 or outputs < 1:
        raise Refused(f"{len(site.bottoms)} bottoms, the first of shape {shown(shape)}")
    steps, batch, sequence = _steps(site, shape)
    if len(site.bottoms) == 2 and (batch != 1 or count(site.bottom(1)) != steps):
        raise Refused(
            f"a second bottom of shape {shown(site.bottom(1))} for {steps} steps of {batch} sequences: "
            "the forks agree for one sequence alone"
        )
    site.expect(tops=1, blobs=3)
    inputs = count(shape) // (steps * batch)
    tensors = {
        "weight_x": site.blob(0, 4 * outputs, inputs),
        "weight_h": site.blob(1, 4 * outputs, outputs),
        "bias": site.blob(2, 4 * outputs),
    }
    out = (steps, batch, outputs) if sequence else (steps * batch, outputs)
    x = "{0}" if sequence else f"{{0}}.reshape(-1, {batch}, {inputs})"
    after = "" if sequence else ".flatten(0, 1)"
    if len(site.bottoms) == 1:
        module = Call("FreshLSTM", arguments(inputs, outputs))
        return Written(f"{{self}}({x}){after}", [out], module, tensors, ("FreshLSTM",))
    call = f"{{self}}({x}, {{1}}.reshape(-1, 1)){after}"
    return Written(call, [out], Call("LSTM", arguments(inputs, outputs)), tensors, ("LSTM",))


def _steps(site: Site, shape: Shape) -> tuple[int, int, bool]:
    """(T, N, whether the bottom is T x N x ..., as CTPN's layer has it).

    caffe-lstm takes (T N) x ... and a batch_size instead; of a bottom of four axes, which it had when
    all blobs had four, the weights say whose it is.
    """
    param = site.param("lstm_param")
    batch, axes = param.integer("batch_size", 1), len(shape)
    apart = axes == 3
    if axes > 3 and site.blobs:
        apart = count(site.blobs[0].shape[1:]) != count(shape[1:])
    if apart and not param.has("batch_size"):
        return shape[0], shape[1], True
    if batch < 1 or shape[0] % batch:
        raise Refused(f"batch_size {batch} of shape {shown(shape)}")
    return shape[0] // batch, batch, False


def continuation_indicator(site: Site) -> Written:
    """time_step x batch: 0 in the first step, 1 in all others; the batch is that of a bottom, if any."""
    site.expect(tops=1, blobs=0)
    param = site.param("continuation_indicator_param")
    steps, batch = param.integer("time_step"), param.integer("batch_size")
    if len(site.bottoms) > 1 or (site.bottoms and param.has("batch_size")):
        raise Refused("a bottom with batch_size: forks take one or the other for the batch")
    axis = site.axis(param.integer("axis"), site.bottom()) if site.bottoms else 0
    batch = site.bottom()[axis] if site.bottoms else batch
    if min(steps, batch) < 1:
        raise Refused(f"time_step {steps}, batch_size {batch}")
    call = f"continuation({steps}, {batch})"
    if site.bottoms:
        call = f"continuation({steps}, {{0}}.size({axis})).to({{0}})"
    return Written(call, [(steps, batch)], ops=("continuation",))
