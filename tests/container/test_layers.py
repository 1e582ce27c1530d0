"""The table of small nets through real Caffe, now; and geometries that nobody chose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from decant.loader.errors import DecantError
from tests.helpers.caffe_answers import ask, unpack
from tests.helpers.golden import check
from tests.helpers.nets import NETS, SmallNet, one

pytestmark = pytest.mark.container


def test_real_caffe_agrees_on_every_small_net(image: str, tmp_path: Path) -> None:
    dumps = unpack(ask(NETS), tmp_path)
    assert set(dumps) == {net.name for net in NETS}
    for net in NETS:
        check(net, dumps[net.name])


# type, parameters, inputs
Geometry = tuple[str, str, dict[str, tuple[int, ...]]]

SMALL = st.integers(1, 4)
SIZES = st.tuples(
    st.integers(1, 2), st.sampled_from([2, 4]), st.integers(1, 11), st.integers(1, 11)
)


@st.composite
def geometry(draw: st.DrawFn) -> Geometry:
    """A layer that may be impossible: then both Caffe and Decant refuse it."""
    kind = draw(st.sampled_from(["Convolution", "Deconvolution", "Pooling", "Crop", "Reshape"]))
    shape = draw(SIZES)
    inputs = {"data": shape}
    pad = draw(st.integers(0, 3))
    if kind == "Pooling":
        param = (
            f"pooling_param {{ pool: {draw(st.sampled_from(['MAX', 'AVE']))} kernel_h: {draw(SMALL)} "
            f"kernel_w: {draw(SMALL)} stride_h: {draw(SMALL)} stride_w: {draw(SMALL)} pad_h: {pad} "
            f"pad_w: {draw(st.integers(0, 3))} }}"
        )
    elif kind == "Crop":
        inputs["size"] = draw(SIZES)
        offsets = draw(st.lists(st.integers(0, 3), max_size=3))
        axis = draw(st.sampled_from([-1, 1, 2, 3]))
        param = f"crop_param {{ axis: {axis} {' '.join(f'offset: {n}' for n in offsets)} }}"
    elif kind == "Reshape":
        dims = draw(st.lists(st.sampled_from([-1, 0, 1, 2, 4]), max_size=4))
        axis, axes = draw(st.integers(-3, 4)), draw(st.integers(-1, 3))
        param = (
            f"reshape_param {{ shape {{ {' '.join(f'dim: {n}' for n in dims)} }} axis: {axis} "
            f"num_axes: {axes} }}"
        )
    else:
        param = (
            f"convolution_param {{ num_output: {draw(st.sampled_from([2, 4]))} kernel_h: {draw(SMALL)} "
            f"kernel_w: {draw(SMALL)} stride_h: {draw(SMALL)} stride_w: {draw(SMALL)} pad_h: {pad} "
            f"pad_w: {draw(st.integers(0, 3))} dilation: {draw(st.integers(1, 2))} "
            f"group: {draw(st.sampled_from([1, 2]))} }}"
        )
    return kind, param, inputs


@settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],  # each example is a container: not to be shrunk
)
@given(drawn=st.lists(geometry(), min_size=100, max_size=100))
def test_caffe_and_we_agree_on_any_geometry(
    image: str, tmp_path_factory: pytest.TempPathFactory, drawn: list[Geometry]
) -> None:
    """What Caffe computes we compute; what Caffe refuses we refuse."""
    nets = [
        one(f"n{number}", kind, param, inputs=inputs)
        for number, (kind, param, inputs) in enumerate(drawn)
    ]
    dumps = unpack(ask(nets), tmp_path_factory.mktemp("answers"))
    wrong = []
    for net in nets:
        if net.name not in dumps:
            if not refused(net):
                wrong.append(f"Caffe refuses this, and we do not: {net.text}")
            continue
        try:
            check(net, dumps[net.name])
        except (AssertionError, DecantError) as error:
            wrong.append(f"{str(error)[:300]}: {net.text}")
    assert not wrong, "\n".join(wrong)


def refused(net: SmallNet) -> bool:
    from decant.loader.definition.graph import net_from_text
    from decant.loader.plan.planning import plan

    graph = net_from_text(net.text, net.name)
    weights = _weights(net)
    try:
        plan(graph, weights, dict(net.inputs))
    except DecantError:
        return True
    return False


def _weights(net: SmallNet) -> list[list[np.ndarray]]:
    """Blobs that fit the definition, where it has any."""
    from decant.loader.definition.graph import net_from_text

    found: list[list[np.ndarray]] = []
    for item in net_from_text(net.text, net.name).layers:
        if item.type not in ("Convolution", "Deconvolution"):
            found.append([])
            continue
        param = item.fields.message("convolution_param")
        outputs, group = param.integer("num_output"), param.integer("group", 1)
        channels = net.inputs["data"][1]
        kernel = (param.integer("kernel_h"), param.integer("kernel_w"))
        ends = (outputs, channels) if item.type == "Convolution" else (channels, outputs)
        shape = (ends[0], ends[1] // group, *kernel)
        found.append([np.ones(shape, np.float32), np.ones(outputs, np.float32)])
    return found
