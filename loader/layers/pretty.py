"""Python statements, broken to 100 columns as the usual formatters break them."""

from __future__ import annotations

import re

WIDTH = 100
# a space at which no line is broken
FIRM = "\N{NO-BREAK SPACE}"
_OPEN, _CLOSE = "([{", ")]}"


def statement(target: str, text: str, indent: int, note: str = "") -> list[str]:
    """`target = text  # note` (`return text` for target "return"), in as many lines as it takes."""
    space = " " * indent
    head = f"{space}return " if target == "return" else f"{space}{target} = "
    line = head + text
    if note and len(line) + len(note) + 4 <= WIDTH:
        return [f"{line}  # {note}"]
    before = [f"{space}# {note}"] if note else []
    return [*before, *_fit(head, text, "", indent)]


def comment(text: str, space: str, docstring: bool = False) -> list[str]:
    """A docstring; broken at spaces where it is long, but for FIRM ones."""
    words, lines, line = text.split(" "), [], space + ('"""' if docstring else "# ")
    start = len(line)
    for word in words:
        if len(line) + len(word) > WIDTH - 3 and len(line) > start:
            lines.append(line.rstrip())
            line, start = space, len(space)
        line += word.replace(FIRM, " ") + " "
    lines.append(line.rstrip())
    if docstring and len(lines) == 1:
        return [lines[0] + '"""']
    return [*lines, f'{space}"""'] if docstring else lines


def literal(value: object) -> str:
    """repr, with texts in double quotes unless that means more escaping."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(k)}: {literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(literal, value)) + ("," if len(value) == 1 else "") + ")"
    plain = repr(value)
    if isinstance(value, str) and plain[0] == "'" and '"' not in value:
        return '"' + plain[1:-1].replace("\\'", "'") + '"'
    return plain


def forget(names: list[str], indent: int) -> list[str]:
    """`del a, b`."""
    space = " " * indent
    line = f"{space}del {', '.join(names)}"
    if len(line) <= WIDTH:
        return [line]
    return [f"{space}del (", *(f"{space}    {name}," for name in names), f"{space})"]


def _fit(head: str, text: str, tail: str, indent: int) -> list[str]:
    """One line if it fits; else broken at the last bracket, or at the operators."""
    if len(head) + len(text) + len(tail) <= WIDTH:
        return [head + text + tail]
    parts = operands(text)
    if len(parts) > 1:
        return _operators(head, text, tail, parts, indent)
    opened = _last_bracket(text)
    if opened < 0:
        return [head + text + tail]
    inner = text[opened + 1 : -1]
    space = " " * (indent + 4)
    first, last = head + text[: opened + 1], " " * indent + text[-1] + tail
    items = arguments(inner)
    if len(space) + len(inner) <= WIDTH and not inner.endswith(","):
        return [first, space + inner, last]
    lines = [first]
    for item in items:
        lines += _fit(space, item, ",", indent + 4)
    return [*lines, last]


def _operators(head: str, text: str, tail: str, parts: list[str], indent: int) -> list[str]:
    """`(` one line, or one operand a line `)`."""
    space = " " * (indent + 4)
    fits = len(space) + len(text) <= WIDTH
    inner = [space + part for part in ([text] if fits else parts)]
    return [head + "(", *inner, " " * indent + ")" + tail]


def operands(text: str) -> list[str]:
    """`a + b - c` -> `a`, `+ b`, `- c`: cut at the sums outside of brackets, else at the products."""
    for marks in ((" + ", " - "), (" * ", " / ")):
        depth, start, found = 0, 0, []
        plain = _without_strings(text)
        for at, letter in enumerate(plain):
            depth += (letter in _OPEN) - (letter in _CLOSE)
            if depth == 0 and plain[at : at + 3] in marks:
                found.append(text[start:at])
                start = at + 1
        if found:
            return [*found, text[start:]]
    return [text]


def arguments(text: str) -> list[str]:
    """Cut at the commas outside of brackets and strings."""
    depth, start, found, quote = 0, 0, [], ""
    for at, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote and text[at - 1] != "\\" else quote
        elif letter in "\"'":
            quote = letter
        elif letter == "," and depth == 0:
            found.append(text[start:at].strip())
            start = at + 1
        else:
            depth += (letter in _OPEN) - (letter in _CLOSE)
    rest = text[start:].strip()
    return [*found, rest] if rest else found


def _without_strings(text: str) -> str:
    """Of the same length, with nothing in its strings that looks like a bracket or a sum."""
    return re.sub(r"(['\"])(?:\\.|(?!\1).)*\1", lambda found: "_" * len(found[0]), text)


def _last_bracket(text: str) -> int:
    """Where the bracket opens that closes at the end; -1 if none does."""
    if text[-1:] not in _CLOSE or not text:
        return -1
    depth, plain = 0, _without_strings(text)
    for at in range(len(text) - 1, -1, -1):
        depth += (plain[at] in _CLOSE) - (plain[at] in _OPEN)
        if depth == 0:
            return at
    return -1
