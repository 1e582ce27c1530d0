"""Protobuf's text format, as Caffe's definitions use it: any message, with line numbers.

Knows the syntax only: no schema, so that the fields of forks are kept. Everything is a tree of
Message; scalars stay text (`Field.value: str`), quoted or not.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from decant.loader.errors import BadInput

# protobuf's default recursion limit in binary files: what nests deeper could not be in a caffemodel
MAX_DEPTH = 100
MAX_FIELDS = 2_000_000
TRUE, FALSE = ("true", "True", "t", "1"), ("false", "False", "f", "0")

# io/tokenizer.cc, as text_format.cc sets it: a number ends before a letter, a dot or nothing
_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\n\f\v]++ | \#[^\n\0]*+)
  | (?P<word>[A-Za-z_][A-Za-z0-9_]*+)
  | (?P<number>(?>0[xX][0-9a-fA-F]++ | 0[0-7]++
              | (?:\.[0-9]++ | (?:[1-9][0-9]*+|0)(?:\.[0-9]*+)?+)(?:[eE][-+]?+[0-9]++)?+[fF]?+)
              (?![A-Za-z0-9_.]))
  | (?P<string>"(?:[^"\\\n\0]++|\\.)*+" | '(?:[^'\\\n\0]++|\\.)*+')
  | (?P<mark>[{}<>\[\]:;,-])
    """,
    re.VERBOSE,
)
_SURROGATES = r"u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPE = re.compile(
    rf"""\\(?:(?P<letter>[abfnrtv\\?'"]) | (?P<octal>[0-7]{{1,3}}) | x(?P<hex>[0-9a-fA-F]{{1,2}})
       | (?P<pair>{_SURROGATES}) | (?P<point>u[0-9a-fA-F]{{4}} | U00[01][0-9a-fA-F]{{5}})
       | (?P<wrong>.))""",
    re.VERBOSE,
)
_LETTERS = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True))


@dataclass(frozen=True)
class Field:
    """`name: value` at `line`; `quoted` tells "1" from 1."""

    name: str
    value: str | Message
    line: int
    quoted: bool = False


@dataclass
class Message:
    """Fields in the order of the text; `lists`: names that were written as `name: [...]`, and lines."""

    fields: list[Field] = field(default_factory=list)
    line: int = 1
    lists: list[tuple[str, int]] = field(default_factory=list)

    @cached_property
    def _by_name(self) -> dict[str, list[Field]]:
        found: dict[str, list[Field]] = {}
        for item in self.fields:
            found.setdefault(item.name, []).append(item)
        return found

    def has(self, name: str) -> bool:
        """Whether the field was written at all."""
        return name in self._by_name

    def all(self, name: str) -> list[Field]:
        """Every occurrence of a field."""
        return self._by_name.get(name, [])

    def texts(self, name: str) -> list[str]:
        """The scalars of a repeated field."""
        return [item.value for item in self.all(name) if isinstance(item.value, str)]

    def text(self, name: str, default: str = "") -> str:
        """The last scalar of a field, as protobuf takes it."""
        return (self.texts(name) or [default])[-1]

    def messages(self, name: str) -> list[Message]:
        """The messages of a repeated field."""
        return [item.value for item in self.all(name) if isinstance(item.value, Message)]

    def message(self, name: str) -> Message:
        """All occurrences of a singular message merged, as protobuf does; empty if absent."""
        parts = self.messages(name)
        if len(parts) == 1:
            return parts[0]
        merged = [item for part in parts for item in part.fields]
        return Message(merged, parts[0].line if parts else self.line)

    def integer(self, name: str, default: int = 0) -> int:
        """A whole number, also hex or octal; ValueError for anything else."""
        return integer(self.text(name, str(default)))

    def integers(self, name: str) -> list[int]:
        """A repeated field of whole numbers."""
        return [integer(text) for text in self.texts(name)]

    def boolean(self, name: str, default: bool = False) -> bool:
        """true, True, t, 1 and their opposites."""
        text = self.text(name, str(default))
        if text in TRUE + FALSE:
            return text in TRUE
        if re.fullmatch(r"0[xX]?0*[01]", text):
            return integer(text) == 1
        raise ValueError(f"{name}: {text!r} is neither true nor false")


def integer(text: str) -> int:
    """Protobuf's whole numbers: decimal, 0x..., 0... (octal)."""
    sign, digits = (-1, text[1:]) if text[:1] == "-" else (1, text)
    if re.fullmatch(r"0[0-7]+", digits):
        return sign * int(digits, 8)
    if re.fullmatch(r"0[xX][0-9a-fA-F]+|[0-9]{1,20}", digits):
        return sign * int(digits, 0)
    raise ValueError(f"{text!r} is not a whole number")


def number(text: str) -> float:
    """Protobuf's floats: 1e-4, .5, 0.5f, inf, nan, and whole numbers in any base."""
    word = text.lower()
    try:
        return float(word.removesuffix("f") if word[:3] not in ("inf", "-in") else word)
    except ValueError:
        return float(integer(text))


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    line: int


def _tokens(text: str, file: str) -> Iterator[_Token]:
    position, line = 0, 1
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise BadInput(f"{file}:{line}: {_strange(text[position : position + 20])}")
        kind, found = str(match.lastgroup), match.group()
        if kind != "space":
            yield _Token(kind, found, line)
        line += found.count("\n")
        position = match.end()
    yield _Token("end", "", line)


def _strange(text: str) -> str:
    """What is wrong where no token begins."""
    if not text[0].isascii():
        name = unicodedata.name(text[0], "no character of Unicode")
        return (
            f"{text[0]!r} (U+{ord(text[0]):04X}, {name}) outside of quotes is not prototxt syntax"
        )
    if text[0] in "\"'":
        return f"{text!r}: the quotes are not closed in this line: no prototxt syntax"
    return f"{text!r} is not prototxt syntax"


def _unquote(token: _Token, file: str) -> str:
    """The text between the quotes: bytes as its escapes say, which must be UTF-8 in the end."""
    raw = token.text[1:-1]
    try:
        # one letter for each byte while escapes are written out
        bytewise = raw.encode().decode("latin-1")
        return _ESCAPE.sub(_escaped, bytewise).encode("latin-1").decode()
    except UnicodeError:
        raise BadInput(f"{file}:{token.line}: text that is not UTF-8") from None
    except ValueError:
        raise BadInput(f"{file}:{token.line}: an escape that stands for no character") from None


def _escaped(match: re.Match[str]) -> str:
    if match["letter"]:
        return _LETTERS.get(match["letter"], match["letter"])
    if match["octal"]:
        return chr(int(match["octal"], 8) & 255)
    if match["hex"]:
        return chr(int(match["hex"], 16))
    if match["pair"]:
        high, low = int(match["pair"][1:5], 16), int(match["pair"][-4:], 16)
        return _bytewise(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
    return _bytewise(int(match["point"][1:], 16)) if match["point"] else match["wrong"]


def _bytewise(point: int) -> str:
    return chr(point).encode().decode("latin-1")


def _wrong_escapes(token: _Token) -> list[str]:
    """A line if there are escapes that protobuf refuses; a path of Windows is full of them."""
    found = {match["wrong"]: None for match in _ESCAPE.finditer(token.text[1:-1]) if match["wrong"]}
    escapes = ", ".join(f"\\{letter}" for letter in found)
    advice = "no escape of the text format, Caffe refuses it: in a path write / or \\\\ for each \\"
    return [f"line {token.line}: {token.text}: {escapes}: {advice}"] if found else []


@dataclass(frozen=True)
class _Open:
    """A message that is being read; `list_of` is the field's name inside `[ ... ]`."""

    message: Message
    closing: str
    list_of: _Token | None


class _Parser:
    """A stack instead of recursion: hostile nesting ends in an error, not in a crash."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.tokens = _tokens(text, file)
        self.token = next(self.tokens)
        self.count = 0
        self.wrong: list[str] = []

    def fail(self, expected: str) -> BadInput:
        found = repr(self.token.text) if self.token.kind != "end" else "the end of the file"
        return BadInput(f"{self.file}:{self.token.line}: expected {expected}, found {found}")

    def advance(self) -> _Token:
        token, self.token = self.token, next(self.tokens, self.token)
        return token

    def accept(self, mark: str) -> bool:
        if self.token.kind == "mark" and self.token.text == mark:
            self.advance()
            return True
        return False

    def parse(self) -> Message:
        root = Message()
        stack = [_Open(root, "", None)]
        while True:
            inner = stack[-1]
            if inner.closing and self.accept(inner.closing):
                stack.pop()
                if inner.list_of is not None and not self.accept("]"):
                    if not self.accept(","):
                        raise self.fail("',' or ']'")
                    stack.append(self.open(stack[-1].message, inner.list_of, in_list=True))
                    continue
                _ = self.accept(";") or self.accept(",")
                continue
            if self.token.kind == "end" and not inner.closing:
                self.refuse_escapes()
                return root
            opened = self.field(inner.message)
            if opened is not None:
                if len(stack) > MAX_DEPTH:
                    raise BadInput(f"{self.file}:{self.token.line}: nested deeper than {MAX_DEPTH}")
                stack.append(opened)

    def refuse_escapes(self) -> None:
        if self.wrong:
            line, _, text = self.wrong[0].removeprefix("line ").partition(": ")
            raise BadInput(f"{self.file}:{line}: {text}", self.wrong)

    def field(self, message: Message) -> _Open | None:
        """One field; a message is returned open."""
        if self.token.kind != "word":
            raise self.fail("a field's name")
        name = self.advance()
        colon = self.accept(":")
        if self.opens():
            return self.open(message, name)
        if self.accept("["):
            message.lists.append((name.text, name.line))
            if self.opens():
                return self.open(message, name, in_list=True)
            if not colon:
                raise self.fail("'{'")
            self.repeated(message, name)
        elif not colon:
            raise self.fail("':' or '{'")
        else:
            self.add(message, self.scalar(name))
        _ = self.accept(";") or self.accept(",")
        return None

    def opens(self) -> bool:
        return self.token.kind == "mark" and self.token.text in ("{", "<")

    def open(self, message: Message, name: _Token, in_list: bool = False) -> _Open:
        """Begin a message in `message`; in a list, `name` begins the next one after it as well."""
        if not self.opens():
            raise self.fail("'{'")
        closing = "}" if self.advance().text == "{" else ">"
        inner = Message(line=name.line)
        self.add(message, Field(name.text, inner, name.line))
        return _Open(inner, closing, name if in_list else None)

    def add(self, message: Message, field: Field) -> None:
        self.count += 1
        if self.count > MAX_FIELDS:
            raise BadInput(f"{self.file}: more than {MAX_FIELDS} fields; no net has so many")
        message.fields.append(field)

    def repeated(self, message: Message, name: _Token) -> None:
        """The short form of scalars, `dim: [1, 3]`."""
        if self.accept("]"):
            return
        while True:
            self.add(message, self.scalar(name))
            if self.accept("]"):
                return
            if not self.accept(","):
                raise self.fail("',' or ']'")

    def scalar(self, name: _Token) -> Field:
        sign = "-" if self.accept("-") else ""
        if self.token.kind in ("word", "number"):
            return Field(name.text, sign + self.advance().text, name.line)
        if self.token.kind != "string" or sign:
            raise self.fail("a value")
        text = ""
        while self.token.kind == "string":
            token = self.advance()
            self.wrong += _wrong_escapes(token)
            text += _unquote(token, self.file)
        return Field(name.text, text, name.line, quoted=True)


def parse(text: str, file: str) -> Message:
    """The tree of a prototxt. Raises BadInput with `file:line` for anything that is not one."""
    return _Parser(text, file).parse()


def to_text(name: str, layers: list[Message], inputs: Sequence[str] = ()) -> str:
    """A net of these layers, in today's layout, as text that `parse` and Caffe read alike.

    `inputs`: those that no layer makes, without a shape.
    """
    lines = [f"name: {_quote(name)}", *(f"input: {_quote(blob)}" for blob in inputs)]
    for layer in layers:
        lines += ["layer {", *lines_of(layer, "  "), "}"]
    return "\n".join(lines) + "\n"


def lines_of(message: Message, indent: str = "") -> Iterator[str]:
    """A message as text, a line for each field or brace."""
    for item in message.fields:
        if isinstance(item.value, Message):
            yield f"{indent}{item.name} {{"
            yield from lines_of(item.value, indent + "  ")
            yield indent + "}"
        else:
            value = _quote(item.value) if item.quoted else item.value
            yield f"{indent}{item.name}: {value}"


def _quote(text: str) -> str:
    """ASCII: everything else as octal bytes, which every parser of the format reads."""
    escaped = "".join(
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03o}"
        for byte in text.encode()
    )
    return f'"{escaped}"'
