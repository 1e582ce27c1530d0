"""Definitions of several phases, stages and levels: which layers are taken, and what Caffe gets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from decant.loader.artifact.loading import module_from_source
from decant.loader.definition.graph import net_from_text, outputs, refuse_side_effects
from decant.loader.definition.reading import STOCK, Reading, ReadingOptions
from decant.loader.definition.schema import unknown_to_caffe
from decant.loader.errors import BadInput, UsageError
from decant.loader.plan.deploy import deploy
from decant.stages.dump import dump
from decant.stages.inputs import Source
from decant.stages.load import load
from decant.stages.options import Options
from tests.helpers.converting import conv, converted, input_layer, layer, random, write_pair
from tests.helpers.training_nets import ALL_IN_ONE, WEIGHTS, data

TRAIN, TEST = "include { phase: TRAIN }", "include { phase: TEST }"
LOSS = layer("loss", "SoftmaxWithLoss", "c label", "loss")


TRAIN_FILE = data(TRAIN) + conv("c", "data", "c") + LOSS

HINTS = [
    (TRAIN_FILE, STOCK, "line 1 makes it for TRAIN only (--phase train takes it)"),
    (ALL_IN_ONE, STOCK, "line 1 makes it in another state (--stage val takes it), "
                        "line 2 makes it in another state (--stage deploy takes it)"),
    (data(TEST) + conv("c", "data", "c"), Reading("TRAIN"), "for TEST only (--phase test takes it)"),
    (data("exclude { phase: TEST }") + conv("c", "data", "c"), STOCK, "TRAIN only (--phase train"),
    (data("include { min_level: 3 }") + conv("c", "data", "c"), STOCK, "(--level 3 takes it)"),
    (data("include { max_level: -1 }") + conv("c", "data", "c"), STOCK, "(--level -1 takes it)"),
    (data("include { phase: TRAIN stage: 'a' stage: 'b' min_level: 1 }") + conv("c", "data", "c"),
     STOCK, "(--phase train --stage a --stage b --level 1 takes it)"),
    # the nearer of two rules
    (data("include { phase: TRAIN stage: 'a' } include { stage: 'b' }") + conv("c", "data", "c"),
     STOCK, "(--stage b takes it)"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "reading", "said"), HINTS)
def test_who_makes_a_blob_in_another_state_is_said(text: str, reading: Reading, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        net_from_text(text, "net.prototxt", reading)
    assert said in caught.value.message and f"at {reading.phase}: line" in caught.value.message


def test_what_no_option_brings_back_is_not_offered() -> None:
    text = data("include { not_stage: 'own' }") + conv("c", "data", "c") + "state { stage: 'own' }"
    with pytest.raises(BadInput) as caught:
        net_from_text(text, "net.prototxt")
    assert "--" not in caught.value.message


def test_with_the_option_it_is_taken() -> None:
    net = deploy(net_from_text(TRAIN_FILE, "net", Reading("TRAIN")), {}, {})
    assert [layer.type for layer in net.layers] == ["Input", "Convolution", "Softmax"]
    assert net.inputs == {"data": (1, 3, 16, 16)}
    assert net.notes[0] == "the layers are those of --phase train, computed as at TEST"


@pytest.mark.parametrize(
    ("stage", "kinds", "ends"),
    [("deploy", ["Input", "Convolution", "Softmax"], ["p"]),
     ("val", ["Input", "Convolution", "Softmax"], ["l"])],
)  # fmt: skip
def test_a_stage_of_an_all_in_one_file(stage: str, kinds: list[str], ends: list[str]) -> None:
    net = deploy(net_from_text(ALL_IN_ONE, "net", Reading(stages=(stage,))), {}, {})
    assert [layer.type for layer in net.layers] == kinds and outputs(net) == ends


def test_a_stage_that_nobody_names_is_refused() -> None:
    with pytest.raises(UsageError, match="--stage deploi: no layer .* its stages: deploy, val"):
        net_from_text(ALL_IN_ONE, "net", Reading(stages=("deploi",)))


NET = input_layer("data", 1, 3, 16, 16) + conv("c", "data", "c")
# each is in the way of real Caffe, and of TRAIN alone
IN_THE_WAY = [
    layer("l", "SmoothL1Loss", "c c", "l", f"{TRAIN} smooth_l1_loss_param {{ sigma: 3 }}"),
    layer("l", "MadeUp", "c", "l", TRAIN),
    layer("l", "Convolution", "c", "l", f"{TRAIN} convolution_param {{ num_output: 1 kernel_size: 1 fork: 2 }}"),
    layer("l", "Convolution", "c", "l", f"{TRAIN} fork_param {{ sigma: 3 }}"),
    layer("l", "Python", "c", "l", f"{TRAIN} python_param {{ module: 'm' layer: 'L' }}"),
    layer("l", "HDF5Output", "c", "", f"{TRAIN} hdf5_output_param {{ file_name: 'x' }}"),
    layer("l", "Data", "", "l", f"{TRAIN} data_param {{ source: 'x' }}"),
    layer("l", "SoftmaxWithLoss", "c c", "l", f"{TRAIN} infogain_loss_param {{ source: 'x' }}"),
    layer("l", "MadeUp", "c", "l", "include { stage: 'deploy' }"),
    layer("l", "MadeUp", "c", "l", "exclude { phase: TEST }"),
]  # fmt: skip


@pytest.mark.parametrize("more", IN_THE_WAY)
def test_what_is_not_included_never_reaches_caffe(more: str) -> None:
    net = net_from_text(NET + more, "net")
    assert not unknown_to_caffe(net)
    refuse_side_effects(net)
    again = net_from_text(net.run_text, "again")
    assert [(x.name, x.type) for x in again.layers] == [("data", "Input"), ("c", "Convolution")]
    assert not again.run_text and '"l"' not in net.run_text


def test_what_is_included_still_counts() -> None:
    wrong = conv("d", "c", "d", "kernel_size: 1 fork: 3") + IN_THE_WAY[0]
    assert unknown_to_caffe(net_from_text(NET + wrong, "net")) == [
        "line 3: layer 'd': field fork (a fork's)"
    ]
    assert "field fork" in unknown_to_caffe(net_from_text(NET + wrong + "fork: 1", "net"))[-1]


def test_a_text_that_caffe_takes_is_given_verbatim() -> None:
    more = layer("l", "EuclideanLoss", "c c", "l", TRAIN)
    for text in (NET, NET + more, 'input: "data"\n' + conv("c", "data", "c")):
        assert net_from_text(text, "net").run_text == ""


def test_rules_are_gone_from_what_caffe_gets_and_bare_inputs_are_there() -> None:
    text = 'input: "x"\n' + conv("c", "x", "c", rule="include { stage: 'deploy' }")
    found = net_from_text(text, "net", Reading(stages=("deploy",))).run_text
    assert "include" not in found and 'input: "x"' in found
    assert net_from_text(found, "again").inputs == {"x": None}


def test_a_bare_input_of_a_training_definition_stays() -> None:
    text = (
        'input: "x"\n'
        + layer("e", "Eltwise", "x data", "e")
        + data("")
        + layer("l", "SoftmaxWithLoss", "e label", "l")
    )
    lines = text.splitlines()
    net = deploy(net_from_text("\n".join([lines[0], lines[2], lines[1], lines[3]]), "net"), {}, {})
    assert set(net.inputs) == {"x", "data"} and 'input: "x"' in net.run_text


def test_parameters_of_what_is_not_included_are_passed_over(tmp_path: Path) -> None:
    head = conv("head", "c", "head", rule=TRAIN)
    write_pair(tmp_path, NET + head, [*WEIGHTS, ("head", "Convolution", [random(4, 4, 3, 3)])])
    assert converted(tmp_path)["left_out"] == {"head": "not included at TEST"}
    write_pair(tmp_path, NET + head, [*WEIGHTS, ("other", "Convolution", [random(4, 4, 3, 3)])])
    with pytest.raises(BadInput, match="'other' of the caffemodel has no place"):
        converted(tmp_path)


def test_the_reading_goes_with_the_dump_and_the_artifact(tmp_path: Path) -> None:
    write_pair(tmp_path, ALL_IN_ONE, WEIGHTS)
    manifest = converted(tmp_path, ReadingOptions(stages=["deploy"]))
    assert manifest["reading"] == {"stages": ["deploy"]}
    options = Options(out=tmp_path / "other", engine="reader", parity=False)
    source = Source(None, tmp_path / "net.prototxt", tmp_path / "net.caffemodel")
    dump(source, tmp_path / "net.npz", replace(options, reading=ReadingOptions(stages=["deploy"])))
    load(tmp_path / "net.npz", options, name="net")
    for file in ("manifest.json", "model.py", "model.safetensors"):
        one, other = (tmp_path / place / "net" / file for place in ("artifacts", "other"))
        assert one.read_bytes() == other.read_bytes()
    module_from_source((tmp_path / "other/net/model.py").read_text())
