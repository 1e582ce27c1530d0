"""What `inspect` shows: totals against those that real Caffe gave for the published nets."""

from __future__ import annotations

from pathlib import Path

import pytest

from decant.loader import listing
from decant.loader.definition.graph import net_from_text
from decant.loader.errors import UsageError
from tests.commands.test_cli import run
from tests.commands.test_convert import write
from tests.helpers import definitions
from tests.helpers.nets import inputs_text, layer

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow

# parameters and multiply-adds at batch 1, as real Caffe builds the published deploy files
TOTALS = {
    "googlenet": (definitions.googlenet(), 6_998_552, 1_582_671_872),
    "places365": (definitions.googlenet(365), 6_347_677, 1_582_021_632),
    "caffenet": (definitions.caffenet(), 60_965_224, 724_406_816),
    "alexnet": (definitions.alexnet(), 60_965_224, 724_406_816),
    "vgg16": (definitions.vgg((2, 2, 3, 3, 3)), 138_357_544, 15_470_264_320),
    "vgg19": (definitions.vgg((2, 2, 4, 4, 4)), 143_667_240, 19_632_062_464),
}


@pytest.mark.parametrize("name", list(TOTALS))
def test_totals_are_those_of_the_published_nets(name: str) -> None:
    text, parameters, macs = TOTALS[name]
    net = net_from_text(text, name)
    one = {blob: (1, *shape[1:]) for blob, shape in net.inputs.items() if shape}
    found = listing.definition(net, one)
    assert found.parameters == parameters
    assert found.macs == macs
    ten = listing.definition(net, {})
    assert ten.macs == 10 * macs
    assert ten.lines[0].outputs[0] == net.inputs["data"]


def test_lines_are_what_net_blobs_and_net_params_show() -> None:
    found = listing.definition(net_from_text(definitions.caffenet(), "caffenet"), {})
    lines = {line.name: line for line in found.lines}
    assert lines["conv1"].blobs == [(96, 3, 11, 11), (96,)]
    assert lines["conv1"].outputs == [(10, 96, 55, 55)]
    assert lines["conv2"].blobs == [(256, 48, 5, 5), (256,)]
    assert lines["fc6"].blobs == [(4096, 9216), (4096,)]
    assert lines["conv1"].bytes == 10 * 96 * 55 * 55 * 4
    assert lines["relu1"].bytes == 0, "in place"


def test_deconvolutions_and_batch_norms_are_counted() -> None:
    text = inputs_text({"data": (1, 4, 5, 6)})
    text += layer(
        "up",
        "Deconvolution",
        ["data"],
        ["up"],
        "convolution_param { num_output: 2 kernel_size: 3 stride: 2 }",
    )
    text += layer("bn", "BatchNorm", ["up"], ["up"]) + layer(
        "sc", "Scale", ["up"], ["up"], "scale_param { bias_term: true }"
    )
    lines = {line.name: line for line in listing.definition(net_from_text(text, "net"), {}).lines}
    assert lines["up"].macs == 4 * 2 * 9 * 5 * 6
    assert lines["bn"].blobs == [(2,), (2,), (1,)]
    assert lines["sc"].blobs == [(2,), (2,)]


def test_shared_weights_count_once_and_unknown_layers_are_said() -> None:
    share = 'param { name: "w" } inner_product_param { num_output: 3 bias_term: false }'
    text = inputs_text({"a": (1, 4), "b": (1, 4)})
    text += layer("one", "InnerProduct", ["a"], ["one"], share) + layer(
        "two", "InnerProduct", ["b"], ["two"], share
    )
    text += layer("odd", "Correlation", ["one", "two"], ["odd"]) + layer(
        "after", "ReLU", ["odd"], ["after"]
    )
    found = listing.definition(net_from_text(text, "net"), {})
    assert found.parameters == 12
    assert [line.outputs for line in found.lines][-2:] == [[None], [None]]
    assert any("Correlation" in note for note in found.notes)


def test_an_artifact_counts_a_tied_weight_once(tmp_path: Path) -> None:
    share = 'param { name: "w" } inner_product_param { num_output: 4 bias_term: false }'
    text = inputs_text({"data": (1, 4)})
    text += layer("one", "InnerProduct", ["data"], ["one"], share)
    text += layer("two", "InnerProduct", ["one"], ["two"], share)
    run("convert", *write(tmp_path, text), "--no-report", cwd=tmp_path)
    found = listing.read(tmp_path / "artifacts/net")
    assert [line.blobs for line in found.lines[-2:]] == [[(4, 4)], [(4, 4)]]
    assert found.parameters == listing.read(tmp_path / "net.prototxt").parameters == 16
    assert found.macs == 32


def test_work_of_depthwise_layers_and_of_several_tops(tmp_path: Path) -> None:
    from tests.helpers.nets import inputs_text, layer

    inputs = inputs_text({"a": (1, 4, 6, 6), "b": (1, 4, 6, 6)})
    depthwise = "convolution_param { num_output: 4 kernel_size: 3 pad: 1 group: 4 }"
    plain = "convolution_param { num_output: 2 kernel_size: 3 pad: 1 }"
    text = inputs + layer("d", "DepthwiseConvolution", ["a"], ["d"], depthwise)
    text += layer("c", "Convolution", ["d", "b"], ["c1", "c2"], plain)
    # without an ending in its name
    (tmp_path / "deploy").write_text(text)
    lines = {line.name: line for line in listing.read(tmp_path / "deploy").lines}
    assert lines["d"].macs == 4 * 9 * 36
    assert lines["c"].macs == 2 * (2 * 4 * 9 * 36)
    with pytest.raises(UsageError, match="nosuch"):
        listing.read(tmp_path / "deploy", {"nosuch": (1, 3)})
