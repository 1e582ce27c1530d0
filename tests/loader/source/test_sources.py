"""Every model.py stands alone: nothing undefined, nothing imported but torch and the standard library."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from decant.loader.definition.graph import net_from_text
from decant.loader.layers.rule import Written
from decant.loader.ops import OPS
from decant.loader.plan.planning import plan
from decant.loader.plan.steps import Plan, Step, Value
from decant.loader.source.codegen import generate
from tests.helpers.forks import FORKS
from tests.helpers.nets import inputs_text, layer
from tests.helpers.odd_structures import ODD
from tests.helpers.random_weights import shapes_of
from tests.loader.source.test_codegen import made


def of_op(name: str) -> str:
    """A file with this op's source, and what that needs."""
    x = Value("data", (1, 2))
    step = Step(
        "l", "L", 1, [x], [Value("l", (1, 2))], "", Written("-{0}", [(1, 2)], ops=(name,)), {}
    )
    return generate(Plan("net", {"data": x}, {"l": step.outputs[0]}, [step]), name).source


def of_fork(name: str) -> str:
    fork = FORKS[name]
    tops = [f"out{number}" for number in range(fork.tops)]
    text = inputs_text(fork.inputs) + layer("it", fork.kind, list(fork.inputs), tops, fork.param)
    net = net_from_text(text, name)
    random = np.random.default_rng(0)
    blobs = [random.uniform(0.5, 1.5, shape).astype(np.float32) for shape in fork.blobs]
    ends = [[] for _ in net.layers[:-1]]
    return generate(plan(net, [*ends, blobs], shapes_of(net)), name).source


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    # the classes; functions go with those that need them
    found = {f"op_{name}": of_op(name) for name in OPS if name[0].isupper()}
    found |= {f"fork_{name}": of_fork(name) for name in FORKS}
    return found | {f"odd_{name}": made(make(), name)[1].source for name, make in ODD.items()}


def test_ruff_finds_nothing(sources: dict[str, str], tmp_path: Path) -> None:
    for name, text in sources.items():
        (tmp_path / f"{name}.py").write_text(text)
    ruff = [sys.executable, "-m", "ruff"]
    check = [*ruff, "check", "--isolated", "--extend-select", "I", "."]
    done = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    form = [*ruff, "format", "--isolated", "--line-length", "100", "--check", "."]
    done = subprocess.run(form, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_torch_and_the_standard_library_are_all_that_is_imported(sources: dict[str, str]) -> None:
    for name, text in sources.items():
        tree = ast.parse(text)
        imported = {
            item.name for x in ast.walk(tree) if isinstance(x, ast.Import) for item in x.names
        }
        imported |= {str(x.module) for x in ast.walk(tree) if isinstance(x, ast.ImportFrom)}
        roots = {module.split(".")[0] for module in imported}
        assert roots <= {"torch", *sys.stdlib_module_names}, name
        compile(text, f"{name}.py", "exec")


def test_what_an_op_imports_is_imported_with_it_alone() -> None:
    assert "\nfrom collections.abc import Sequence\n" in of_op("PriorBox")
    assert "Sequence" not in of_op("Scale")
    both = made(
        inputs_text({"data": (1, 2, 8, 8)})
        + layer("a", "Power", ["data"], ["a"])
        + layer("p", "PriorBox", ["data", "data"], ["p"], "prior_box_param { min_size: 3 }")
    )[1].source
    assert (
        "from collections import OrderedDict\nfrom collections.abc import Sequence\n\nimport torch"
        in both
    )
