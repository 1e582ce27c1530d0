"""The text format: what protobuf's own C++ parser accepts, checked once against Caffe's binary."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decant.loader.definition.prototxt import MAX_DEPTH, Message, integer, parse
from decant.loader.errors import BadInput
from tests.helpers.work import lines_run

ROOT = Path(__file__).resolve().parents[3]

Tree = list[tuple[str, "str | Tree"]]


def tree(message: Message) -> Tree:
    """Names and values alone, without a recursion that deep texts could break."""
    root: Tree = []
    stack = [(message, root)]
    while stack:
        inner, into = stack.pop()
        for item in inner.fields:
            if isinstance(item.value, Message):
                below: Tree = []
                into.append((item.name, below))
                stack.append((item.value, below))
            else:
                into.append((item.name, item.value))
    return root


def read(text: str) -> Tree:
    return tree(parse(text, "net.prototxt"))


SAME = [
    ("", []),
    ("# only a comment", []),
    ("# a comment\r\n\ta: 1\r\n", [("a", "1")]),
    ("\f\va: 1", [("a", "1")]),
    ("a: 1 b: 2", [("a", "1"), ("b", "2")]),
    ("a:1;b:2,c:3", [("a", "1"), ("b", "2"), ("c", "3")]),
    ("a: 1 # 'no' \"end\"\nb: 2", [("a", "1"), ("b", "2")]),
    ("m {}", [("m", [])]),
    ("m { a: 1 }", [("m", [("a", "1")])]),
    ("m: { a: 1 }", [("m", [("a", "1")])]),
    ("m < a: 1 >", [("m", [("a", "1")])]),
    ("m: < n { a: 1 } >;", [("m", [("n", [("a", "1")])])]),
    ("m{a:1}m{a:2}", [("m", [("a", "1")]), ("m", [("a", "2")])]),
    ("dim: [1, 3, 5]", [("dim", "1"), ("dim", "3"), ("dim", "5")]),
    ("dim: [0x3]", [("dim", "0x3")]),
    ("dim: []", []),
    ("name: ['a' 'b', \"c\"]", [("name", "ab"), ("name", "c")]),
    ("a: -1", [("a", "-1")]),
    ("a: - 1.5f", [("a", "-1.5f")]),
    ("a: -inf b: nan", [("a", "-inf"), ("b", "nan")]),
    ("a: .5 b: 1. c: 1e-5 d: 1E+5", [("a", ".5"), ("b", "1."), ("c", "1e-5"), ("d", "1E+5")]),
    ("pool: MAX", [("pool", "MAX")]),
    ("bias_term: false", [("bias_term", "false")]),
]


@pytest.mark.parametrize(("text", "expected"), SAME, ids=[text for text, _ in SAME])
def test_each_form_of_the_text_format_is_read(text: str, expected: Tree) -> None:
    assert read(text) == expected


STRINGS = [
    ("'it is \"so\"'", 'it is "so"'),
    ("\"it is 'so'\"", "it is 'so'"),
    ('"a" "b"\n  \'c\'', "abc"),
    ('"a" # between\n "b"', "ab"),
    (r'"\n\t\r\a\b\f\v"', "\n\t\r\a\b\f\v"),
    (r'"\\ \" \' \?"', "\\ \" ' ?"),
    (r'"\x63\143\x4a"', "ccJ"),
    (r'"\x4142"', "A42"),
    (r'"\1012"', "A2"),
    (r'"\303\251 \xc3\xa9 é"', "é é é"),
    (r'"\ud83d\ude00 \U0001F600"', "\U0001f600 \U0001f600"),
    (r'"\u00e9\7"', "é\7"),
    ('""', ""),
    ('"{ # : [ <"', "{ # : [ <"),
]


@pytest.mark.parametrize(("text", "expected"), STRINGS, ids=[text for text, _ in STRINGS])
def test_strings_are_unquoted_as_protobuf_does(text: str, expected: str) -> None:
    assert read(f"name: {text} after: 1") == [("name", expected), ("after", "1")]


def test_whether_a_value_was_quoted_is_kept() -> None:
    quoted = {item.name: item.quoted for item in parse("a: \"1\" b: 1 c: 'x' d: x", "x").fields}
    assert quoted == {"a": True, "b": False, "c": True, "d": False}


def test_fields_that_no_schema_knows_are_kept() -> None:
    text = "layer { type: 'Foo' foo_param { deep { er: 1 } } Another_Field: YES }"
    assert read(text) == [
        (
            "layer",
            [("type", "Foo"), ("foo_param", [("deep", [("er", "1")])]), ("Another_Field", "YES")],
        )
    ]


@pytest.mark.parametrize(
    "text", ["m: [{ a: 1 }, < a: 2 >]", "m [{ a: 1 }, { a: 2 }]", "m: [{ a: 1 }] m { a: 2 }"]
)
def test_the_short_form_holds_messages_too(text: str) -> None:
    assert read(text) == [("m", [("a", "1")]), ("m", [("a", "2")])]


@pytest.mark.parametrize("text", [r'"\u0041"', r'"\U00000041"'])
def test_escapes_of_code_points_are_read(text: str) -> None:
    assert read(f"name: {text}") == [("name", "A")]


LINES = """# 1
layer { # 2
  name: 'a'

  param: [1,
    2] inner {
    x: "a"
       "b" }
}
\ttail: 1"""


def test_every_field_knows_its_line() -> None:
    root = parse(LINES, "x")
    layer = root.messages("layer")[0]
    lines = {item.name: item.line for message in (root, layer) for item in message.fields}
    assert lines == {"layer": 2, "name": 3, "param": 5, "inner": 6, "tail": 10}
    assert layer.line == 2
    assert layer.message("inner").fields[0].line == 7


BAD = [
    ("layer", 1, "found the end of the file"),
    ("layer {", 1, "found the end of the file"),
    ("\nlayer {\n\n", 4, "found the end of the file"),
    ("layer { name: 'a'\n>", 2, "'>'"),
    ("a: 1 }", 1, "'}'"),
    ("a: 1\nb 2", 2, "':' or '{'"),
    ("a:\nb: 1", 2, "':'"),
    ("a: [1 2]", 1, "',' or ']'"),
    ("a: [1,]", 1, "a value"),
    ("a: -'x'", 1, "a value"),
    ("a: --", 1, "a value"),
    ("a: 1;;b: 2", 1, "';'"),
    ("1: 2", 1, "a field's name"),
    ("a: 'open\nb: 1", 1, "no prototxt syntax"),
    ('\n\na: "open', 3, "no prototxt syntax"),
    ('a: "two\\\nlines"', 1, "no prototxt syntax"),
    ("a: @", 1, "'@'"),
    ("a: 1\0", 1, r"'\x00'"),
    ("a: 1 / 2", 1, "'/ 2'"),
    ("a: +1", 1, "'+1'"),
    ("a: 08", 1, "'08'"),
    ("a: 1_0", 1, "'1_0'"),
    ("a: 12abc", 1, "'12abc'"),
    ("a: 1.5.5", 1, "'1.5.5'"),
    ("a: 1e", 1, "'1e'"),
    ("a: 0x", 1, "'0x'"),
    ("a: b/c", 1, "'/c'"),
    ("# a\n# zero \0 byte", 2, r"'\x00 byte'"),
    (r'a: "\ud83d"', 1, "UTF-8"),
    (r'a: "\U00110000"', 1, "no character"),
    (r'a: "\q"', 1, r"\q: no escape"),
    (r'a: "\X41"', 1, r"\X: no escape"),
    (r'a: "\u12"', 1, r"\u: no escape"),
    (r'a: "\xff"', 1, "UTF-8"),
    ("<!DOCTYPE html>\n<html>", 1, "'<'"),
    ('{"json": 1}', 1, "'{'"),
]


@pytest.mark.parametrize(("text", "line", "found"), BAD, ids=[repr(text) for text, _, _ in BAD])
def test_bad_syntax_is_one_line_with_file_and_line(text: str, line: int, found: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(text, "net.prototxt")
    assert caught.value.message.startswith(f"net.prototxt:{line}: ")
    assert found in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("text", [r'"\8"', r'"\9"'])
def test_an_octal_escape_of_no_octal_digit_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(BadInput, match="^net.prototxt:2: "):
        parse(f"\na: {text}", "net.prototxt")


def test_the_last_scalar_counts_and_messages_merge() -> None:
    message = parse("a: 1 a: 2 m { x: 1 } m { x: 2 y: 3 }", "x")
    assert (message.text("a"), message.texts("a"), message.text("b", "7")) == ("2", ["1", "2"], "7")
    assert tree(message.message("m")) == [("x", "1"), ("x", "2"), ("y", "3")]
    assert not message.message("none").fields
    assert message.has("m") and not message.has("none")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-0", 0),
        ("12", 12),
        ("-12", -12),
        ("0x1F", 31),
        ("-0x1f", -31),
        ("010", 8),
        ("4294967295", 4294967295),
    ],
)
def test_whole_numbers_are_decimal_hex_or_octal(text: str, value: int) -> None:
    assert integer(text) == value


@pytest.mark.parametrize(
    "text", ["", "-", "1.0", "1e3", "08", "0x", "x", "٣", "1_000", " 1", "inf"]
)
def test_what_is_no_whole_number_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        integer(text)


@pytest.mark.parametrize("text", ["true", "True", "t", "1"])
def test_true_is_written_in_four_ways(text: str) -> None:
    assert parse(f"a: {text}", "x").boolean("a") is True


@pytest.mark.parametrize("text", ["false", "False", "f", "0"])
def test_false_is_written_in_four_ways(text: str) -> None:
    assert parse(f"a: {text}", "x").boolean("a", True) is False


@pytest.mark.parametrize(("text", "value"), [("01", True), ("0x1", True), ("00", False)])
def test_a_truth_may_be_a_number_in_any_base(text: str, value: bool) -> None:
    assert parse(f"a: {text}", "x").boolean("a", not value) is value


@pytest.mark.parametrize("text", ["maybe", "TRUE", "False_", "2", "-0", "1.0"])
def test_other_words_are_no_truth(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        parse(f"a: {text}", "x").boolean("a")


def test_the_short_form_is_remembered_for_the_schema() -> None:
    found = parse("a: [1, 2]\nb: [{ }] c: []", "x")
    assert found.lists == [("a", 1), ("b", 2), ("c", 2)]


# ----------------------------------------------------------------------------------- hostile texts


@pytest.mark.parametrize("opening", ["a {", "a: <", "a{b<"])
def test_hostile_nesting_is_an_error_not_a_crash(opening: str) -> None:
    with pytest.raises(BadInput, match=f"nested deeper than {MAX_DEPTH}"):
        parse(opening * 200_000, "net.prototxt")


def test_the_nesting_of_real_nets_is_far_below_the_bound() -> None:
    depth = MAX_DEPTH - 1
    assert len(parse("a {" * depth + "}" * depth, "x").fields) == 1


def test_too_many_fields_are_refused_before_they_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("decant.loader.definition.prototxt.MAX_FIELDS", 20_000)
    assert parse("a{" + "b:1 " * 19_999 + "}", "net.prototxt").fields
    with pytest.raises(BadInput, match="no net has so many"):
        parse("a{" + "b:1 " * 20_000 + "}", "net.prototxt")


@pytest.mark.parametrize(
    "text",
    ["# " + "x" * 1_000_000, "\n" * 1_000_000, "x" * 1_000_000],
    ids=["comment", "newlines", "word"],
)
def test_a_long_token_takes_memory_in_proportion(text: str) -> None:
    assert peak(text) < 20 * len(text)


@pytest.mark.parametrize(
    "text",
    ['a: "' + "x" * 300_000 + '"', 'a: "' + "x" * 300_000, "a: " + "1" * 300_000],
    ids=["string", "string without an end", "number"],
)
def test_a_long_value_takes_memory_in_proportion(text: str) -> None:
    assert peak(text) < 20 * len(text)


def peak(text: str) -> int:
    """Bytes allocated at most while `text` is parsed, or refused."""
    tracemalloc.start()
    try:
        parse(text, "x")
    except BadInput:
        pass
    finally:
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return most


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece",
    ["a: 1 ", "a{} ", "a: 'x' ", "'x' ", "# c\n", "1, "],
    ids=["fields", "messages", "strings", "adjacent strings", "comments", "list"],
)
def test_work_grows_with_the_length_not_with_its_square(piece: str) -> None:
    start, end = {"'x' ": ("a: ", ""), "1, ": ("a: [", "1]")}.get(piece, ("", ""))

    def work(count: int) -> int:
        return lines_run(lambda: parse(start + piece * count + end, "x"))

    # a square would be 16 times
    assert work(8000) < 6 * work(2000)
    parse(start + piece * 80_000 + end, "x")


# ---------------------------------------------------------------------------------------- generated

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
PLAIN = st.sampled_from(["1", "-2", "0x1F", "017", "1.5", "-1e-5", "2.f", "inf", "MAX", "true"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@st.composite
def trees(draw: st.DrawFn, depth: int = 3) -> list[tuple[str, object]]:
    kinds = ["plain", "text"] + (["message"] if depth else [])
    values = {
        "plain": PLAIN.map(lambda value: ("plain", value)),
        "text": TEXTS.map(lambda value: ("text", value)),
        "message": trees(depth=depth - 1).map(lambda value: ("message", value)) if depth else None,
    }
    pairs = st.tuples(NAMES, st.sampled_from(kinds).flatmap(lambda kind: values[kind]))
    return draw(st.lists(pairs, max_size=4))


SPACE = st.sampled_from([" ", "\n", "\t ", " # note: { [ ' \"\n", "\r\n"])
END = st.sampled_from([" ", ";", ",", "\n", " ; "])


def quote(draw: st.DrawFn, text: str) -> str:
    """A string, escaped at random, sometimes in two pieces."""
    mark = draw(st.sampled_from("'\""))
    pieces = []
    for letter in text:
        how = draw(st.sampled_from(["plain", "octal", "hex"]))
        if letter in "\\'\"\n\0" or how != "plain":
            form = "\\%03o" if how != "hex" else "\\x%02x"
            pieces.append("".join(form % byte for byte in letter.encode()))
        else:
            pieces.append(letter)
    half = draw(st.integers(0, len(pieces)))
    space = draw(SPACE)
    return f"{mark}{''.join(pieces[:half])}{mark}{space}{mark}{''.join(pieces[half:])}{mark}"


def render(draw: st.DrawFn, items: list[tuple[str, object]]) -> str:
    """The tree in a form chosen field by field."""
    text = ""
    for name, (kind, value) in items:  # type: ignore[misc]
        space = draw(SPACE)
        if kind == "message":
            opening, closing = draw(st.sampled_from(["{}", "<>"]))
            colon = draw(st.sampled_from(["", ":", " :"]))
            text += f"{name}{colon}{space}{opening}{space}{render(draw, value)}{closing}"
        elif kind == "text":
            text += f"{name}:{space}{quote(draw, value)}"
        else:
            text += f"{name}:{space}{value}"
        text += draw(END)
    return text


def stripped(items: list[tuple[str, object]]) -> Tree:
    return [
        (name, stripped(value) if kind == "message" else value)  # type: ignore[misc]
        for name, (kind, value) in items  # type: ignore[misc]
    ]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_tree_in_any_form_is_read_back(data: st.DataObject) -> None:
    items = data.draw(trees())
    text = render(data.draw, items)
    assert read(text) == stripped(items)
    for item in parse(text, "x").fields:
        line = text.split("\n")[item.line - 1]
        assert item.name in line


@settings(max_examples=400, deadline=2000)
@given(st.text(max_size=200))
def test_any_text_is_a_tree_or_bad_input(text: str) -> None:
    only_bad_input(text)


TOKENS = st.sampled_from(
    ["{", "}", "<", ">", "[", "]", ":", ",", ";", "-", "#", "\n", "a", "layer", "1", "0x", "1e", ".5",
     "'x'", '"', "'", "\\", "\\x", "\\77", "\0", "é", "inf", " "]
)  # fmt: skip


@settings(max_examples=600, deadline=2000)
@given(st.lists(TOKENS, max_size=60).map("".join))
def test_any_run_of_tokens_is_a_tree_or_bad_input(text: str) -> None:
    only_bad_input(text)


@settings(max_examples=150, deadline=2000)
@given(st.data())
def test_a_damaged_definition_is_a_tree_or_bad_input(data: st.DataObject) -> None:
    text = (ROOT / "models" / "lenet_digits" / "deploy.prototxt").read_text()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 20)))
    only_bad_input(text[:start] + data.draw(st.text(max_size=5)) + text[end:])


def only_bad_input(text: str) -> None:
    try:
        parse(text, "net.prototxt")
    except BadInput as error:
        assert error.message.startswith("net.prototxt:")
        assert "\n" not in error.message
