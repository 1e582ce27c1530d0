"""Repeats of well-known nets: which become classes, what they are called, and that nothing else changes."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch

from decant.loader.artifact.recording import activations
from decant.loader.layers.call import Call, arguments
from decant.loader.layers.rule import Written
from decant.loader.plan.steps import Plan, Step, Value
from decant.loader.source import codegen
from decant.loader.source.blocks import fold
from tests.helpers.structures import Builder
from tests.helpers.well_known import NETS
from tests.helpers.work import lines_run
from tests.loader.source.test_codegen import built, made, picture, tensors

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow

# (classes and how often each is used, in others too; the most lines of these and of Model)
FOLDED: dict[str, tuple[dict[str, int], int]] = {
    "dpn92": ({"Dpn": 4, "Dpn2": 26}, 175),
    "pspnet": ({}, 80),
    "pspnet_of_two": ({"PyramidPooling": 2}, 95),
    "shufflenet_v1": ({"Branches": 3, "Residual": 13}, 110),
    "shufflenet_v2": ({"Branches": 3, "Branches2": 13}, 130),
    "densenet121": ({"Dense": 58}, 180),
    "se_resnet50": ({"Residual": 4, "Residual2": 12}, 145),
    "se_resnet50_scale": ({"Residual": 4, "Residual2": 12}, 155),
    "inception_v4": ({"Inception": 4, "Inception2": 7, "Inception3": 3}, 280),
    "mobilenet_v2": ({"Depthwise": 17}, 105),
    "hourglass": ({"Residual": 15, "Hourglass": 4}, 145),
    "openpose": ({"Branches": 5}, 145),
    "ssd300": ({}, 315),
    "fpn": ({"Branch": 1}, 105),
    "siamese": ({"Branch": 1}, 40),
    "triplet": ({"Branch": 1}, 45),
    "siamese_residual": ({"Residual": 5, "Branch": 1}, 60),
}  # fmt: skip
Activations = Mapping[str, torch.Tensor | list[torch.Tensor]]
SEVERAL = ["dpn92", "openpose", "hourglass", "fpn", "triplet", "siamese_residual", "pspnet_of_two"]


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    return {name: made(make(), name)[1].source for name, make in NETS.items()}


@pytest.mark.parametrize("name", list(FOLDED))
def test_the_repeats_of_well_known_nets_become_classes(name: str, sources: dict[str, str]) -> None:
    source = sources[name]
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    own = [node for node in classes if node.name not in codegen.RESERVED]
    wanted, lines = FOLDED[name]
    counts = {node.name: source.count(f" = {node.name}(") for node in own}
    assert counts == {**wanted, "Model": 1}
    assert sum((node.end_lineno or 0) - node.lineno + 1 for node in own) <= lines


def test_every_source_is_as_ruff_would_write_it(sources: dict[str, str], tmp_path: Path) -> None:
    for name, text in sources.items():
        (tmp_path / f"{name}.py").write_text(text)
    ruff = [sys.executable, "-m", "ruff"]
    done = subprocess.run(
        [*ruff, "format", "--isolated", "--line-length", "100", "--check", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    subprocess.run([*ruff, "check", "--isolated", "."], cwd=tmp_path, check=True)


def same_activations(found: Activations, wanted: Activations) -> None:
    assert list(found) == list(wanted)
    for key, tops in wanted.items():
        one, other = (x if isinstance(x, list) else [x] for x in (found[key], tops))
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True)), key


@torch.no_grad()
@pytest.mark.parametrize("name", SEVERAL)
def test_blocks_compute_what_their_layers_do(name: str) -> None:
    net, folded, module, blobs = made(NETS[name](), name)
    with patch.object(codegen, "fold", lambda planned: planned.steps):
        _, flat = built(net, blobs, name)
    x = picture(net)
    for one, other in zip(tensors(module(x)), tensors(flat(x)), strict=True):
        assert torch.equal(one, other)
    same_activations(activations(module, x), activations(flat, x))


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:.torch.jit.trace.*deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", ["dpn92", "openpose", "triplet"])
def test_blocks_of_several_values_go_through_fx_export_and_jit(name: str) -> None:
    net, _, module, _ = made(NETS[name](), name)
    x = picture(net)
    wanted = tensors(module(x))
    for other in (
        torch.fx.symbolic_trace(module),
        torch.jit.trace(module, x, strict=False, check_trace=False),
        torch.export.export(module, (x,)).module(),
    ):
        for one, want in zip(tensors(other(x)), wanted, strict=True):
            assert torch.allclose(one, want, rtol=1e-5, atol=1e-6)


def test_a_dual_path_reads_as_one_would_write_it(sources: dict[str, str]) -> None:
    source = sources["dpn92"]
    assert "self.dpn5 = Dpn2(76, 24, 68, (64,))" in source
    first = "        x, y = self.dpn6(x, y)  # N x 64 x 9 x 9, N x 20 x 9 x 9\n"
    assert f"{first}        x, y = self.dpn7(x, y)  # N x 64 x 9 x 9, N x 24 x 9 x 9\n" in source
    assert "points: tuple[int, ...]" in source
    assert "conv3_split1, conv3_split2 = x.tensor_split(self.points, 1)" in source


def test_tied_branches_are_one_module_under_their_own_names() -> None:
    net, found, module, blobs = made(NETS["triplet"](), "triplet")
    assert found.source.count("self.conv1(x)") == 1
    assert "self.branch_p = self.branch_a\n        self.branch_n = self.branch_a\n" in found.source
    assert module.get_submodule("branch_n") is module.get_submodule("branch_a")
    # as many keys as Caffe has blobs, each once among the parameters
    assert len(module.state_dict()) == 30
    assert len(list(module.parameters())) == 10
    assert found.modules["conv1_p"] == "branch_p.conv1"
    acts = activations(module, picture(net))
    ends = [acts[f"feat_{branch}"] for branch in "apn"]
    assert not torch.equal(ends[0], ends[1]) and not torch.equal(ends[1], ends[2])


def test_what_is_tied_elsewhere_too_stays_one_parameter() -> None:
    """A third layer with the weights of both branches, alone."""
    text = NETS["siamese"]()
    own = " ".join(f'param {{ name: "conv1_{part}" }}' for part in ("w", "b"))
    text += f'layer {{ name: "again" type: "Convolution" bottom: "left" top: "again" {own} convolution_param {{ num_output: 4 kernel_size: 5 }} }}\n'
    net, found, module, blobs = made(text)
    assert "self.again.weight = self.branch.conv1.weight" in found.source
    assert module.get_parameter("again.weight") is module.get_parameter("branch_p.conv1.weight")
    assert set(activations(module, picture(net))) >= {"conv1", "conv1_p", "again"}


def test_branches_that_differ_in_a_parameter_are_two_modules_of_one_class() -> None:
    text = NETS["siamese"]()
    at = text.index('name: "conv2_p"')
    other = text[:at] + text[at:].replace('"conv2_w"', '"other_w"', 1)
    net, found, module, blobs = made(other)
    assert "self.branch_p = Branch()" in found.source
    assert "self.branch_p.conv1.weight = self.branch.conv1.weight" in found.source
    paths = {name: str(found.modules[name]) for name in ("conv1", "conv1_p", "conv2", "conv2_p")}
    own = {name: module.get_parameter(f"{path}.weight") for name, path in paths.items()}
    assert own["conv1"] is own["conv1_p"] and own["conv2"] is not own["conv2_p"]


def siamese_with_statistics(shared: bool) -> str:
    """Convolution, BatchNorm and Scale, twice; whether the statistics are shared as well."""
    net, ends = Builder("Pair", (1, 4, 16, 16)), []
    halves = net.add("pair", "Slice", ["data"], tops=["left", "right"]), "right"
    for half, mark in zip(halves, "ab", strict=True):
        blob = half
        for number in range(3):

            def own(kind: str, count: int, number: int = number) -> str:
                return " ".join(f'param {{ name: "{kind}{number}_{at}" }}' for at in range(count))

            name = f"conv{number}_{mark}"
            conv = "convolution_param { num_output: 2 kernel_size: 3 pad: 1 }"
            net.add(name, "Convolution", [blob], f"{own('conv', 2)} {conv}")
            net.add(
                f"bn{number}_{mark}", "BatchNorm", [name], own("bn", 3) if shared else "", [name]
            )
            scale = f"{own('scale', 2)} scale_param {{ bias_term: true }}"
            net.add(f"scale{number}_{mark}", "Scale", [name], scale, [name])
            blob = net.relu(f"relu{number}_{mark}", name)
        ends.append(blob)
    net.total("sum", ends)
    return net.text


@torch.no_grad()
@pytest.mark.parametrize("shared", [True, False])
def test_statistics_are_shared_where_all_of_their_blobs_are(shared: bool) -> None:
    net, found, module, blobs = made(siamese_with_statistics(shared))
    assert found.source.count("self.conv0(x)") == 1
    assert ("self.branch_b = self.branch_a\n" in found.source) == shared
    assert module.get_parameter("branch_b.bn0.weight") is module.get_parameter(
        "branch_a.bn0.weight"
    )
    mean, other = (module.get_buffer(f"branch_{x}.bn0.running_mean") for x in "ab")
    assert (mean is other) == shared
    assert len(module.state_dict()) == 2 * 3 * 7
    with patch.object(codegen, "fold", lambda planned: planned.steps):
        _, flat = built(net, blobs)
    x = picture(net)
    assert torch.equal(module(x), flat(x))
    same_activations(activations(module, x), activations(flat, x))


def test_strides_of_each_axis_are_annotated() -> None:
    net, top = Builder("Strides", (1, 4, 64, 64)), "data"
    for number in range(6):
        stride = "stride_h: 2 stride_w: 1" if number % 2 else "stride: 1"
        param = f"num_output: 4 kernel_size: 3 pad: 1 {stride}"
        ends = [
            net.relu(
                f"b{number}_{side}_relu",
                net.add(
                    f"b{number}_{side}", "Convolution", [top], f"convolution_param {{ {param} }}"
                ),
            )
            for side in ("l", "r")
        ]
        top = net.total(f"b{number}_sum", ends)
    source = made(net.text)[1].source
    assert "def __init__(self, stride: int | tuple[int, ...]) -> None:" in source
    assert "= Residual((2, 1))" in source


def power(name: str, inputs: list[Value], call: str = "2.0 * {0}", outputs: int = 1) -> Step:
    tops = [Value(f"{name}_{at}" if outputs > 1 else name, (1, 4, 8, 8)) for at in range(outputs)]
    return Step(name, "Power", 1, inputs, tops, "", Written(call, [(1, 4, 8, 8)] * outputs), {})


def chain(number: int) -> list[Step]:
    steps, top = [], Value("data", (1, 4, 8, 8))
    for at in range(number):
        steps.append(power(f"p{at}", [top]))
        top = steps[-1].outputs[0]
    return steps


def residual(number: int) -> list[Step]:
    steps, top = [], Value("data", (1, 4, 8, 8))
    for at in range(number // 5):
        part = [power(f"b{at}_0", [top])]
        for inner in range(1, 4):
            part.append(power(f"b{at}_{inner}", part[-1].outputs, f"{inner}.0 * {{0}}"))
        steps += [*part, power(f"b{at}_sum", [top, *part[-1].outputs], "{0} + {1}")]
        top = steps[-1].outputs[0]
    return steps


def dual(number: int) -> list[Step]:
    steps, ends = [], [Value("one", (1, 4, 8, 8)), Value("two", (1, 4, 8, 8))]
    for at in range(number // 5):
        part = [power(f"d{at}_in", ends, "{0} * {1}")]
        part.append(power(f"d{at}_work", part[-1].outputs))
        part.append(power(f"d{at}_cut", part[-1].outputs, "{0}.chunk(2, 1)", 2))
        part += [
            power(f"d{at}_{word}", [old, new], "{0} + {1}")
            for word, old, new in zip("ab", ends, part[-1].outputs, strict=True)
        ]
        steps, ends = (
            steps + part if at == 0 else [*steps, *part],
            [x.outputs[0] for x in part[-2:]],
        )
    return steps


def twins(number: int) -> list[Step]:
    """Many blocks, each twice."""
    steps, top = [], Value("data", (1, 4, 8, 8))
    for at in range(number // 28):
        for half in "ab":
            part = [power(f"t{at}{half}", [top], f"{at}.0 * {{0}}")]
            for inner in range(12):
                call = f"{at}.5 * {{0}} + {inner}.0"
                part.append(power(f"t{at}{half}_{inner}", part[-1].outputs, call))
            steps += [*part, power(f"t{at}{half}_sum", [top, *part[-1].outputs], "{0} + {1}")]
            top = steps[-1].outputs[0]
    return steps


def fan(number: int) -> list[Step]:
    data = Value("data", (1, 4, 8, 8))
    steps = [power(f"f{at}", [data]) for at in range(number - 1)]
    tops = [step.outputs[0] for step in steps]
    names = ", ".join(f"{{{at}}}" for at in range(len(tops)))
    return [*steps, power("cat", tops, f"torch.cat(({names}), 1)")]


@pytest.mark.parametrize("steps_of", [chain, residual, dual, twins, fan])
def test_folding_grows_with_the_layers_not_with_their_square(
    steps_of: Callable[[int], list[Step]],
) -> None:
    assert lines_run(lambda: fold(whole(steps_of(4000)))) < 6 * lines_run(
        lambda: fold(whole(steps_of(1000)))
    )


@pytest.mark.parametrize("steps_of", [chain, residual, dual, twins, fan])
def test_ten_thousand_layers_are_folded(steps_of: Callable[[int], list[Step]]) -> None:
    steps = steps_of(10_000)
    units = fold(whole(steps))
    assert (len(units) < len(steps) / 2) == (steps_of in (residual, dual, twins))


def whole(steps: list[Step]) -> Plan:
    """A plan of these steps: what none of them makes is an input, the last one's value the output."""
    made = {x for step in steps for x in step.outputs}
    outside = {x for step in steps for x in step.inputs} - made
    return Plan("net", {x.blob: x for x in outside}, {"end": steps[-1].outputs[0]}, steps)


def test_shared_weights_are_folded_layer_by_layer_not_pair_by_pair() -> None:
    few, many = siamese(500), siamese(2000)
    assert lines_run(lambda: fold(many)) < 6 * lines_run(lambda: fold(few))
    assert len(fold(siamese(5000))) == 2


def siamese(layers: int) -> Plan:
    """Two branches of so many layers each, whose weights are the same ones."""
    data = Value("data", (1, 4))
    weight = np.ones((4, 4), np.float32)
    linear = Call("nn.Linear", arguments(4, 4, bias=False))
    steps, ends, tied = [], [], []
    for branch in "ab":
        top = data
        for at in range(layers):
            written = Written("{self}({0})", [(1, 4)], linear, {"weight": weight})
            name = f"fc{at}_{branch}"
            steps.append(
                Step(name, "InnerProduct", 1, [top], [Value(name, (1, 4))], name, written, {})
            )
            top = steps[-1].outputs[0]
            if branch == "b":
                tied.append((f"{name}.weight", f"fc{at}_a.weight"))
        ends.append(top)
    return Plan("net", {"data": data}, {x.blob: x for x in ends}, steps, tied)
