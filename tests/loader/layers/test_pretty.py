"""Statements broken over lines: what Python reads in them stays, and no line is too long."""

from __future__ import annotations

import ast

import pytest

from decant.loader.layers import pretty

LONG = [
    "self.conv(" + ", ".join(f"argument_{at}" for at in range(12)) + ")",
    " + ".join(f"self.part_number_{at}(x)" for at in range(9)),
    "torch.cat((" + ", ".join(f'self.block("a, (b{at}")' for at in range(9)) + "), 1)",
    "[" + ", ".join("1000000" for _ in range(40)) + "]",
]


@pytest.mark.parametrize("text", LONG)
@pytest.mark.parametrize("target", ["x", "return"])
def test_a_broken_statement_means_the_same(text: str, target: str) -> None:
    lines = pretty.statement(target, text, 8, "N x 3")
    assert max(map(len, lines)) <= pretty.WIDTH and len(lines) > 1
    whole = text if target == "x" else f"return {text}"
    source = "def f():\n" + "\n".join(lines)
    found = ast.parse(source).body[0].body[0]  # type: ignore[attr-defined]
    wanted = ast.parse(f"def f():\n  {'x = ' if target == 'x' else ''}{whole}").body[0].body[0]  # type: ignore[attr-defined]
    assert ast.dump(found) == ast.dump(wanted)


@pytest.mark.parametrize(
    "value", ["it's", 'a "b"', "both ' and \"", (1,), (1, "a"), [2, None], {"a": (1.5, True)}, ""]
)
def test_a_literal_is_read_back_by_python(value: object) -> None:
    assert ast.literal_eval(pretty.literal(value)) == value


def test_texts_are_in_double_quotes_where_that_needs_no_escaping() -> None:
    assert pretty.literal("it's") == '"it\'s"' and pretty.literal('"') == "'\"'"


def test_a_note_stands_behind_where_it_fits_and_before_where_it_does_not() -> None:
    assert pretty.statement("x", "f(y)", 4, "N x 3") == ["    x = f(y)  # N x 3"]
    found = pretty.statement("x", f"f({'y' * 88})", 4, "N x 3")
    assert found == ["    # N x 3", f"    x = f({'y' * 88})"]


def test_sums_are_cut_before_products_and_not_inside_brackets() -> None:
    assert pretty.operands("a * b + (c - d) - e") == ["a * b", "+ (c - d)", "- e"]
    assert pretty.operands("a * (b + c)") == ["a", "* (b + c)"]
    assert pretty.arguments('a, f(b, c), "d, e"') == ["a", "f(b, c)", '"d, e"']


def test_what_is_let_go_fits_too() -> None:
    assert pretty.forget(["a", "b"], 4) == ["    del a, b"]
    lines = pretty.forget([f"a_long_name_{at}" for at in range(9)], 4)
    assert len(lines) == 11 and max(map(len, lines)) <= pretty.WIDTH


def test_a_docstring_is_broken_at_spaces_but_for_firm_ones() -> None:
    assert pretty.comment("short", "    ", docstring=True) == ['    """short"""']
    words = ("word " * 40).strip() + f" 3{pretty.FIRM}x"
    lines = pretty.comment(words, "    ")
    assert max(map(len, lines)) <= pretty.WIDTH - 3
    assert " ".join(line.strip().removeprefix("# ") for line in lines).endswith("word 3 x")
    assert not any(line.strip() == "x" for line in lines)
