"""What a rule is given and what it gives back: one Caffe layer, written as PyTorch.

A rule is a function `Site -> Written`. It reads the layer's parameters through `Site.param`, which
keeps account: a parameter that a rule did not look at is one that it does not honour, and the layer
is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np

from decant.loader.definition.graph import Layer
from decant.loader.definition.prototxt import Field, Message, integer, number
from decant.loader.definition.reading import STOCK, Reading
from decant.loader.layers.call import Call
from decant.loader.layers.pretty import literal

Shape = tuple[int, ...]
Rule = Callable[["Site"], "Written"]

# Parameters that steer training, or a choice of implementation: nothing at TEST depends on them.
NO_EFFECT = {
    "weight_filler", "bias_filler", "filler", "engine", "force_nd_im2col", "stable_prod_grad",
    "moving_average_fraction", "debug_info", "share_in_parallel", "dropout_ratio_for_training",
}  # fmt: skip


# float32's, with all of their digits
SMALLEST, LARGEST = 1.1754943508222875e-38, 3.4028234663852886e38


class Refused(ValueError):
    """A layer that cannot be converted exactly; the text says what about it, and what to do."""


class WrongBlobs(Refused):
    """The weights are not those of this definition: another number of blobs, or other shapes."""


TOO_SMALL = "the input is smaller than the kernel (a larger --input would do)"


@dataclass(frozen=True)
class Written:
    """A layer as source.

    `call` is an expression that makes all tops, or one for each top; {0}, {1} ... stand for the
    bottoms, {self} for the layer's module, whose constructor `module` is (None where none is needed).
    `tensors` has the state below the module, in the order of the blobs ("" is the state itself, of a
    bare nn.Parameter); `blobs` has the numbers of those that are not in this order. `ops` names the
    classes of loader.ops that are used. `points`: where a Slice cuts, for which {points} stands.
    """

    call: str | tuple[str, ...]
    shapes: Sequence[Shape]
    module: Call | None = None
    tensors: Mapping[str, np.ndarray] = field(default_factory=dict)
    ops: tuple[str, ...] = ()
    blobs: Mapping[str, int] = field(default_factory=dict)
    points: tuple[int, ...] = ()

    def calls(self, points: str = "") -> tuple[str, ...]:
        """One expression for all tops, or one for each; `points`: a name for them."""
        calls = (self.call,) if isinstance(self.call, str) else self.call
        return tuple(call.replace("{points}", points or literal(self.points)) for call in calls)


# fields of a layer that say how it is trained or wired, not what it computes
WIRING = {
    "name", "type", "bottom", "top", "param", "include", "exclude", "phase", "loss_weight",
    "propagate_down", "blobs", "transform_param", "loss_param",
}  # fmt: skip


class Params:
    """A `*_param` message; every name that is asked for is taken as honoured."""

    def __init__(self, message: Message) -> None:
        self._message = message
        self.asked: set[str] = set(NO_EFFECT)

    def has(self, name: str) -> bool:
        """Whether the field was written."""
        self.asked.add(name)
        return self._message.has(name)

    def _once(self, name: str) -> None:
        """Take down that a rule asked for one value: more would lose all but the last."""
        self.asked.add(name)
        _single(name, self._message)

    def integer(self, name: str, default: int = 0) -> int:
        """A whole number."""
        self._once(name)
        return self._message.integer(name, default)

    def integers(self, name: str) -> list[int]:
        """A repeated field of whole numbers."""
        self.asked.add(name)
        return self._message.integers(name)

    def boolean(self, name: str, default: bool = False) -> bool:
        """A truth value."""
        self._once(name)
        return self._message.boolean(name, default)

    def number(self, name: str, default: float = 0.0) -> float:
        """A float, as the text has it (Caffe rounds it to float32), and no digits that say nothing."""
        self._once(name)
        return _finite(name, self._message.text(name, repr(default)))

    def numbers(self, name: str) -> list[float]:
        """A repeated field of floats."""
        self.asked.add(name)
        return [_finite(name, text) for text in self._message.texts(name)]

    def text(self, name: str, default: str = "") -> str:
        """A text."""
        self._once(name)
        return self._message.text(name, default)

    def choice(self, name: str, values: Sequence[str], default: str) -> str:
        """An enum by name or number; `values` in order of their numbers, "" for none."""
        self._once(name)
        word = self._message.text(name, default)
        if word.isdigit() and int(word) < len(values):
            word = values[int(word)]
        if word not in values or not word:
            raise Refused(f"{name}: {word!r} is not one of {', '.join(filter(None, values))}")
        return word

    def messages(self, name: str) -> list[Params]:
        """A repeated message; what is inside is accounted for by `inside`."""
        self.asked.add(name)
        return [Params(part) for part in self._message.messages(name)]

    def message(self, name: str) -> Params:
        """A message inside."""
        self._once(name)
        return Params(self._message.message(name))

    def unread(self) -> list[str]:
        """The fields that were written and that nobody asked for."""
        if "*" in self.asked:
            return []
        return sorted({item.name for item in self._message.fields} - self.asked)


def _single(name: str, message: Message) -> None:
    """Raise Refused for a field that stands more than once: protobuf refuses that in any Caffe."""
    times = len(message.all(name))
    if times > 1:
        raise Refused(f"{name} stands {times} times; one is wanted")


def _finite(name: str, text: str) -> float:
    value = number(text)
    if not math.isfinite(value):
        raise Refused(f"{name}: {text}; only finite numbers are converted")
    return short(value)


def short(value: float) -> float:
    """1e-05 for 9.999999747378752e-06: the decimal of up to six digits that is the same float32.

    Caffe's parameters are float32, and so printed with all digits by what writes a definition from a
    file. Of decimals with six digits no two are one float32 (FLT_DIG): to Caffe both are one number.
    """
    if not SMALLEST <= abs(value) <= LARGEST:
        return value
    word = str(np.float32(value))
    digits = Decimal(word).normalize().as_tuple().digits
    return float(word) if len(digits) <= 6 else value


def plain(message: Message) -> dict[str, object]:
    """A message as a dict; a field that stands there more than once as a list."""
    found: dict[str, object] = {}
    for name in dict.fromkeys(item.name for item in message.fields):
        values = [
            plain(item.value) if isinstance(item.value, Message) else _scalar(item)
            for item in message.all(name)
        ]
        found[name] = values if len(values) > 1 else values[0]
    return found


def _scalar(item: Field) -> object:
    """A text, a truth value, a number, or an enum's name."""
    text = str(item.value)
    if item.quoted:
        return text
    if text in ("true", "false"):
        return text == "true"
    for kind in (integer, lambda word: short(number(word))):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


class Site:
    """One layer where it stands: its definition, the shapes of its bottoms, and its blobs.

    `reading`: how the definition is read, where a layer has two meanings.
    """

    reading: Reading = STOCK

    def __init__(self, layer: Layer, bottoms: Sequence[Shape], blobs: Sequence[np.ndarray]) -> None:
        self.layer = layer
        self.bottoms = list(bottoms)
        self.blobs = list(blobs)
        self._params: dict[str, Params] = {}

    def param(self, name: str) -> Params:
        """The layer's message `name`; an empty one where it is absent."""
        if name not in self._params:
            _single(name, self.layer.fields)
            self._params[name] = Params(self.layer.fields.message(name))
        return self._params[name]

    def bottom(self, number: int = 0) -> Shape:
        """A bottom's shape. Raises Refused if there is no such bottom."""
        if number >= len(self.bottoms):
            raise Refused(f"has {len(self.bottoms)} bottoms; bottom {number + 1} is missing")
        return self.bottoms[number]

    def on_all_bottoms(self) -> str:
        """The expression of the layer's own module, called with every bottom."""
        names = ", ".join(f"{{{number}}}" for number in range(len(self.bottoms)))
        return f"{{self}}({names})"

    def axis(self, axis: int, shape: Shape, end: bool = False) -> int:
        """An axis counted from the front (Blob::CanonicalAxisIndex); `end` allows one past it."""
        found = axis + len(shape) + (1 if end else 0) if axis < 0 else axis
        if not 0 <= found < len(shape) + end:
            raise Refused(f"axis {axis} of a blob of shape {shown(shape)}")
        return found

    def blob(self, number: int, *shape: int) -> np.ndarray:
        """A parameter blob of this shape (up to Caffe's legacy rule). Raises WrongBlobs otherwise."""
        if number >= len(self.blobs):
            raise WrongBlobs(f"needs parameter blob {number}, and has {len(self.blobs)}")
        found = self.blobs[number]
        if not same_shape(found.shape, shape):
            raise WrongBlobs(
                f"parameter blob {number} has shape {shown(found.shape)}, the net makes it "
                f"{shown(shape)}"
            )
        return found.reshape(shape)

    def filed(self, *otherwise: Shape) -> list[np.ndarray]:
        """All parameter blobs, however many the file has.

        `otherwise`: their shapes as a new net would have them, for where there is no file.
        """
        return self.blobs

    def expect(self, *, bottoms: int | None = None, tops: int | None = None, blobs: int) -> None:
        """Refuse other numbers of bottoms, tops or blobs."""
        if bottoms is not None and len(self.bottoms) != bottoms:
            raise Refused(f"takes {bottoms} bottoms, and has {len(self.bottoms)}")
        if tops is not None and len(self.layer.tops) != tops:
            raise Refused(f"makes {tops} tops, and has {len(self.layer.tops)}")
        if len(self.blobs) != blobs:
            raise WrongBlobs(f"takes {blobs} parameter blobs, and has {len(self.blobs)}")

    def everything(self) -> dict[str, object]:
        """All parameters as plain data: {"relu_param": {"negative_slope": 0.1}}; all are honoured."""
        found: dict[str, object] = {}
        for item in self.layer.fields.fields:
            if item.name.endswith("_param") or item.name not in WIRING:
                self.param(item.name).asked.add("*")
                found[item.name] = (
                    plain(self.layer.fields.message(item.name))
                    if isinstance(item.value, Message)
                    else _scalar(item)
                )
        return found

    def unread(self) -> list[str]:
        """Parameters that no rule looked at: `convolution_param.foo`."""
        return [
            f"{name}.{inner}" for name, params in self._params.items() for inner in params.unread()
        ]

    @property
    def messages_asked(self) -> set[str]:
        """The `*_param` messages that the rule looked at."""
        return set(self._params)


def same_shape(found: Shape, wanted: Shape) -> bool:
    """Equal, or a legacy 4-D shape that has ones in front (Blob::ShapeEquals).

    C3D has five axes for every blob: ones in front, or a length of 1 where there is none.
    """
    if found == wanted or (len(found) == 5 and found[:2] + found[3:] == wanted and found[2] == 1):
        return True
    return 5 >= len(found) >= 4 and found == (1,) * (len(found) - len(wanted)) + wanted


def shown(shape: Sequence[int]) -> str:
    """`64 x 3 x 7 x 7`; `()` for a scalar."""
    return " x ".join(map(str, shape)) or "()"


def count(shape: Sequence[int]) -> int:
    """How many values."""
    return math.prod(shape)


def same(values: Sequence[int]) -> int | tuple[int, ...]:
    """(3, 3) -> 3, as people write it."""
    return values[0] if len(set(values)) == 1 else tuple(values)
