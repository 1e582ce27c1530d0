"""RNN, LSTM and LSTMUnit. Sources: layers/{recurrent,rnn,lstm,lstm_unit}_layer.cpp.

The state lives between forwards, as in Caffe: only `cont` = 0 resets it.
"""

from __future__ import annotations

from loader.layers.rule import Refused, Shape, Site, Written, arguments, count, shown


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


def _call(site: Site) -> str:
    names = ", ".join(f"{{{number}}}" for number in range(len(site.bottoms)))
    return f"{{self}}({names})"


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
    return Written(_call(site), shapes, f"LSTM({literals})", tensors, ("LSTM",))


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
    return Written(_call(site), shapes, f"RNN({literals})", tensors, ("RNN",))


def lstm_unit(site: Site) -> Written:
    """One step: c_prev (1, N, H), gates (1, N, 4H), cont (1, N) -> c, h."""
    site.expect(bottoms=3, tops=2, blobs=0)
    c, gates, cont = site.bottoms
    if len(c) != 3 or c[0] != 1 or gates != (1, c[1], 4 * c[2]) or cont[:2] != (1, c[1]):
        raise Refused(f"bottoms of shapes {shown(c)}, {shown(gates)}, {shown(cont)}")
    return Written("{self}({0}, {1}, {2})", [c, c], "LSTMUnit()", ops=("LSTMUnit",))
