"""What forward's variables are called: x and y, or as Caffe calls the blob, never after another layer."""

from __future__ import annotations

import ast
import re

import pytest
import torch

from decant.loader.definition.naming import identifier
from tests.helpers.nets import inputs_text, layer
from tests.helpers.odd_structures import ODD
from tests.helpers.well_known import NETS
from tests.loader.source.test_codegen import TEXTS, made

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow

ALL = {**TEXTS, **{name: make() for name, make in {**ODD, **NETS}.items()}}


def forward_of(source: str, of: str = "Model") -> list[str]:
    """The statements of a class's forward, without their shapes."""
    tree = ast.parse(source)
    node = next(x for x in tree.body if isinstance(x, ast.ClassDef) and x.name == of)
    body = next(x for x in node.body if isinstance(x, ast.FunctionDef) and x.name == "forward").body
    return [ast.unparse(statement) for statement in body]


@pytest.mark.parametrize("name", list(ALL))
def test_a_variable_is_never_called_after_another_layer(name: str) -> None:
    """`name = self.attribute(...)`: a name other than x, y, z is the blob of that layer."""
    net, found, _, _ = made(ALL[name], name)
    tops: dict[str, set[str]] = {}
    for item in net.layers:
        attribute = (found.modules.get(item.name) or "").split(".")
        if len(attribute) == 1:
            tops.setdefault(attribute[0], set()).update(map(identifier, item.tops))
    for statement in forward_of(found.source):
        written = re.match(r"(\w+) = self\.(\w+)\(", statement)
        if written and written[1] not in "xyz" and written[2] in tops:
            stem = re.sub(r"_\d+$", "", written[1])
            assert {written[1], stem} & tops[written[2]], statement


@pytest.mark.parametrize("name", list(ALL))
def test_nothing_is_read_that_was_let_go(name: str) -> None:
    """Straight through: every name is filled when it is read, and no `del` is of nothing."""
    source = made(ALL[name], name)[1].source
    for of in [x for x in ast.parse(source).body if isinstance(x, ast.ClassDef)]:
        forward = next((x for x in of.body if getattr(x, "name", "") == "forward"), None)
        if forward is None or of.name not in re.findall(r"= (\w+)\(", source) + ["Model"]:
            continue
        there = {item.arg for item in forward.args.args}
        for statement in forward.body:
            names = [x for x in ast.walk(statement) if isinstance(x, ast.Name)]
            read = {x.id for x in names if isinstance(x.ctx, ast.Load)} - {
                "torch",
                "nn",
                "OrderedDict",
            }
            gone = {x.id for x in names if isinstance(x.ctx, ast.Del)}
            if of.name == "Model":
                assert read | gone <= there, ast.unparse(statement)
            there |= {x.id for x in names if isinstance(x.ctx, ast.Store)}
            there -= gone


def test_what_is_behind_a_kept_input_is_y() -> None:
    """VDSR: the input is added at the end."""
    text, blob = inputs_text({"data": (1, 2, 8, 8)}), "data"
    for number in range(3):
        name = f"conv{number}"
        text += layer(
            name,
            "Convolution",
            [blob],
            [name],
            "convolution_param { num_output: 2 kernel_size: 1 }",
        )
        text += layer(f"relu{number}", "ReLU", [name], [name])
        blob = name
    source = made(text + layer("sum", "Eltwise", ["data", blob], ["sum"]))[1].source
    assert forward_of(source) == [
        "y = self.conv0(x)", "y = self.relu0(y)", "y = self.conv1(y)", "y = self.relu1(y)",
        "y = self.conv2(y)", "y = self.relu2(y)", "return x + y",
    ]  # fmt: skip


def test_what_has_to_wait_has_its_own_name() -> None:
    text = inputs_text({"data": (1, 2, 8, 8)})
    conv = "convolution_param { num_output: 2 kernel_size: 1 }"
    text += layer("left", "Convolution", ["data"], ["left"], conv)
    text += layer("lrelu", "ReLU", ["left"], ["left"]) + layer(
        "up", "Power", ["left"], ["upscore"], "power_param { scale: 2 }"
    )
    text += layer("right", "Convolution", ["data"], ["right"], conv) + layer(
        "rrelu", "ReLU", ["right"], ["right"]
    )
    text += layer("third", "Convolution", ["data"], ["third"], conv)
    text += layer("cat", "Concat", ["upscore", "right", "third"], ["cat"])
    assert forward_of(made(text)[1].source) == [
        "y = self.left(x)", "y = self.lrelu(y)", "upscore = 2.0 * y", "del y",
        "right = self.right(x)", "right = self.rrelu(right)", "x = self.third(x)",
        "return torch.cat((upscore, right, x), 1)",
    ]  # fmt: skip


def test_a_chain_inside_a_class_has_the_name_of_its_end() -> None:
    source = made(TEXTS["googlenet"], "googlenet")[1].source
    forward = forward_of(source, "Inception")
    assert forward[2:6] == [
        "y = self.conv_3x3_reduce(x)", "y = self.relu_3x3_reduce(y)", "y = self.conv_3x3(y)",
        "conv_3x3 = self.relu_3x3(y)",
    ]  # fmt: skip
    assert forward[-1] == "return torch.cat((conv_1x1, conv_3x3, conv_5x5, x), 1)"


def test_no_name_is_deleted_where_all_of_them_end() -> None:
    for name, text in ALL.items():
        lines = [
            line for line in made(text, name)[1].source.split("\n") if line.startswith("        ")
        ]
        assert not any(
            a.startswith("        del ")
            for a, b in zip(lines, lines[1:], strict=False)
            if "return OrderedDict" in b
        ), name


def test_inputs_called_x_and_y() -> None:
    """Names that the writer uses itself."""
    text = inputs_text({"y": (1, 2), "x": (1, 2)})
    for number, bottom in enumerate("yxyx"):
        text += layer(f"a{number}", "Power", [bottom], [f"a{number}"], "power_param { scale: 2 }")
        text += layer(
            f"b{number}", "Power", [f"a{number}"], [f"b{number}"], "power_param { shift: 1 }"
        )
    text += layer("sum", "Eltwise", [f"b{number}" for number in range(4)], ["sum"])
    _, _, module, _ = made(text)
    y, x = torch.ones(1, 2), torch.full((1, 2), 10.0)
    assert torch.equal(module(y, x), 4 * y + 4 * x + 4)
