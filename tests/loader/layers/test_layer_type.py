"""The records of layer types are whole, and all there is."""

from __future__ import annotations

import ast
from pathlib import Path

from decant.loader.definition.schema import FIELDS, TYPES
from decant.loader.layers import LAYER_TYPES, PYTHON, layer_type
from decant.loader.layers.layer_type import CAFFE

ROOT = Path(__file__).resolve().parents[3]


def test_the_records_are_those_of_caffes_own_types() -> None:
    assert {of.name for of in LAYER_TYPES.values() if of.origin == CAFFE} == TYPES
    fields = FIELDS["Layer"]
    assert all(not of.message or of.message in fields for of in map(layer_type, TYPES))


def test_a_record_says_what_becomes_of_its_type() -> None:
    for of in (*LAYER_TYPES.values(), *PYTHON.values()):
        assert of.rule or of.refused or of.transparent or of.in_training_only, of.name
        assert not of.fillers or of.message, of.name
        assert not of.contains or layer_type(of.contains).rule, of.name


# names of types, and not facts about them: how they are spelt, numbered, wired, called in a source
NAMES = ("loader/definition", "loader/weights", "loader/layers/__init__.py", "loader/ops/__init__.py",
         "loader/source/block_names.py")  # fmt: skip


def test_nowhere_else_is_a_table_of_layer_types() -> None:
    tables = []
    for place in ("loader", "engines", "commands"):
        for path in sorted((ROOT / place).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            if name.startswith(NAMES):
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Set | ast.Dict | ast.List | ast.Tuple):
                    parts = node.keys if isinstance(node, ast.Dict) else node.elts
                    texts = [part.value for part in parts if isinstance(part, ast.Constant)]
                    if sum(isinstance(x, str) and x in LAYER_TYPES for x in texts) > 2:
                        tables.append(f"{name}:{node.lineno}")
    assert tables == []
