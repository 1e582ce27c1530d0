"""Caffe's names as Python identifiers, and as unique names of layers."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable

# Names that an attribute of an nn.Module, or a local variable of its forward, must not have. Written
# out, because asking torch would mean importing it.
_WORDS = """
    T_destination add_module apply bfloat16 bool buffers call_super_init children compile cpu cuda
    double dump_patches eval extra_repr float forward get_buffer get_extra_state get_parameter
    get_submodule half init ipu load_state_dict modules mtia named_buffers named_children
    named_modules named_parameters nn parameters register_backward_hook register_buffer
    register_forward_hook register_forward_pre_hook register_full_backward_hook
    register_full_backward_pre_hook register_load_state_dict_post_hook
    register_load_state_dict_pre_hook register_module register_parameter
    register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ reset self
    set_extra_state set_submodule share_memory state_dict to to_empty torch train training type
    xpu zero_grad l O I OrderedDict caffe_layers print len range list tuple dict set int str
"""
TAKEN = frozenset(_WORDS.split())


def identifier(name: str) -> str:
    """`conv1/7x7_s2` -> `conv1_7x7_s2`; ASCII, no keyword, nothing that a module has already."""
    text = re.sub(r"[^0-9A-Za-z_]+", "_", name).strip("_") or "layer"
    if text[0].isdigit():
        text = f"layer_{text}"
    return f"{text}_" if keyword.iskeyword(text) or text in TAKEN else text


class Names:
    """Identifiers that are handed out once: the second `conv1_x` is `conv1_x_2`."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        # the number up to which all of a stem's are taken, so that nobody counts from 1 again
        self._numbers: dict[str, int] = {}
        self._stems: dict[str, str] = {}

    def copy(self) -> Names:
        """Names that are handed out from here on, without taking them here."""
        return Names(self._taken)

    def new(self, name: str) -> str:
        """An identifier for `name` that nobody has yet."""
        stem = identifier(name)
        number = self._numbers.get(stem, 1)
        text = stem if number == 1 else f"{stem}_{number}"
        while text in self._taken:
            number += 1
            text = f"{stem}_{number}"
        self._taken.add(text)
        self._numbers[stem], self._stems[text] = number, stem
        return text

    def take(self, text: str) -> str:
        """This very identifier, which is free."""
        self._taken.add(text)
        return text

    def free(self, text: str) -> None:
        """Hand it out again."""
        self._taken.discard(text)
        self._numbers.pop(self._stems.get(text, text), None)

    def has(self, text: str) -> bool:
        """Whether somebody has it."""
        return text in self._taken


def unique(names: Iterable[str]) -> list[str]:
    """Caffe lets layers without parameters share a name: later ones become `crop#2`, `crop#3`."""
    names = list(names)
    own, counts = set(names), dict.fromkeys(names, 0)
    found = []
    for name in names:
        counts[name] += 1
        # a layer may be called so already
        while counts[name] > 1 and f"{name}#{counts[name]}" in own:
            counts[name] += 1
        found.append(name if counts[name] == 1 else f"{name}#{counts[name]}")
    return found
