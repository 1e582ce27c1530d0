"""Texts of NetParameter at random: by the schema, in every form of the format, and then damaged."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from decant.loader.definition.schema import ENUMS, FIELDS, MESSAGES, FieldType

# values of every kind, right here and wrong there
VALUES = [
    "1", "0", "-1", "2.5", "1e3", "1f", "0x1F", "017", "08", "-0", "+1", ".5", "1.", "1.f", "-.5", "1e", "1e+5",
    "1E-5F", "inf", "-inf", "nan", "INF", "Infinity", "true", "false", "True", "TRUE", "t", "f", "F", "1_0",
    "0x", "00", "000", "4294967295", "4294967296", "-2147483648", "-2147483649", "2147483648",
    "9223372036854775808", "18446744073709551616", "1e400", "MAX", "AVE", "TEST", "TRAIN", "MKLDNN", "CUDNN",
    "DEFAULT", "max", "RELU", "18", "40", "'a'", '"a"', "'a' 'b'", '"a"\n"b"', "'", "{ }", "[]", "[1,2]", "[1]",
    "['a','b']", "['a']", "[{}]", "< >", "a", "a-b", "a/b", "a.b", "1.5.5", "0.5f", "0f", "12abc", "é", "- 1",
    "--1", "-x", r'"\n"', r'"\q"', r'"\x41"', r'"\X41"', r'"\x"', r'"\101"', r'"\8"', r'"\u0041"', r'"\u00"',
    r'"\U00000041"', r'"\U0000004"', r'"\ud83d\ude00"', r'"C:\\a"', r'"C:\Users"', r'"\?\'\""', '"it\'s"',
    '"a#b"', "'a\tb'", '"é"', '"\x01"', '"\x7f"', "\x7f", "0b1", "1L", "1.0e5", "e5", "_1", "1;", "1,", "'a';",
]  # fmt: skip
LETTERS = list("{}<>[]:;,-#'\"\\ \n\t.e0x1fF_/aZ+*é\x0b\x0c\r")
SCALARS = {
    "i32": ["-5", "0", "3"], "u32": ["0", "3", "0x10", "010"], "i64": ["-5", "500"], "f64": ["1.25"],
    "f32": ["0.5", "1", "1e-3", "-2.f", ".25", "inf"], "bool": ["true", "false", "1", "0", "t", "f", "True"],
    "text": ["'a'", '"b/c"', "'x' 'y'", r'"\101"'],
}  # fmt: skip


@dataclass
class Item:
    """A field: a scalar's text, or fields of its own."""

    name: str
    value: str | list[Item]
    type: FieldType


class Writer:
    """Texts of one seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def text(self) -> str:
        """Half of them are as the schema wants them."""
        tree = self.message("Net", 3)
        for _ in range(self.random.choice([0, 1, 1, 2])):
            self.damage(tree)
        text = self.render(tree)
        return self.damaged(text) if self.random.random() < 0.3 else text

    def message(self, kind: str, depth: int) -> list[Item]:
        fields = list(FIELDS[kind].items())
        found = [self.field(name, of, depth) for name, of in fields if of.required]
        for name, of in self.random.choices(fields, k=self.random.randint(0, 4)):
            again = not of.repeated and any(item.name == name for item in found)
            if not again and (depth or of.kind not in MESSAGES):
                found.append(self.field(name, of, depth))
        return found

    def field(self, name: str, of: FieldType, depth: int) -> Item:
        if of.kind in MESSAGES:
            return Item(name, self.message(of.kind, depth - 1), of)
        words = [*filter(None, ENUMS[of.kind]), "1"] if of.kind in ENUMS else SCALARS[of.kind]
        return Item(name, self.random.choice(words), of)

    def render(self, tree: list[Item]) -> str:
        text = ""
        for item in tree:
            space = self.random.choice([" ", " ", "\n", " # c\n", "\t"])
            if isinstance(item.value, list):
                opening, closing = self.random.choice(["{}", "{}", "<>"])
                colon = self.random.choice([" ", ":", " : "])
                text += f"{item.name}{colon}{opening}{space}{self.render(item.value)}{closing}"
            elif item.type.repeated and self.random.random() < 0.2:
                text += f"{item.name}: [{item.value}, {item.value}]"
            else:
                text += f"{item.name}:{space}{item.value}"
            text += self.random.choice([" ", "\n", " ;", ",", " "])
        return text

    def damage(self, tree: list[Item]) -> None:
        """One field stands twice, has another name, another value or is gone."""
        places = [tree]
        for items in places:
            places += [item.value for item in items if isinstance(item.value, list)]
        items = self.random.choice([items for items in places if items] or [[]])
        if not items:
            return
        at = self.random.randrange(len(items))
        name, value, of = items[at].name, items[at].value, items[at].type
        how = self.random.choice(["twice", "letters", "name", "value", "value", "kind", "gone"])
        if how == "twice":
            items.insert(self.random.randint(0, len(items)), items[at])
        elif how == "gone":
            del items[at]
        elif how == "letters":
            others = [name.upper(), name.title(), name + "s", name.replace("_", ""), name[:-1]]
            items[at] = Item(self.random.choice(others), value, of)
        elif how == "name":
            kind = self.random.choice(list(FIELDS))
            items[at] = Item(self.random.choice(list(FIELDS[kind])), value, of)
        elif how == "kind" and isinstance(value, str):
            items[at] = Item(name, [], of)
        else:
            items[at] = Item(name, self.random.choice(VALUES), of)

    def damaged(self, text: str) -> str:
        """One or two letters or values more, fewer or others."""
        for _ in range(self.random.randint(1, 2)):
            at = self.random.randint(0, len(text))
            new = self.random.choice([self.random.choice(LETTERS), self.random.choice(VALUES), ""])
            text = text[:at] + new + text[at + self.random.randint(0, 1) :]
        return text
