"""In-place layers that change what Caffe keeps, or what another layer reads later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from decant.loader.layers import type_of
from decant.loader.plan.steps import Value
from decant.loader.plan.wiring import Wired


def works_in_place(item: Wired) -> list[Value]:
    """What it changes in its bottom's memory; a Dropout changes nothing at TEST."""
    of = type_of(item.layer)
    if of.keeps_values or of.view or of.transparent:
        return []
    return [x for x in item.outputs if any(x.memory is old.memory for old in item.inputs)]


def kept_in_place(wired: Sequence[Wired]) -> list[str]:
    """In-place layers on what Caffe keeps for the next forward, and would find changed then.

    parameter_layer.hpp: the top is the blob itself. recurrent_layer.cpp: of one time step the top is
    an LSTM's state.
    """
    kept: dict[object, Wired] = {}
    wrong = []
    for item in wired:
        for value in works_in_place(item):
            if value.memory in kept:
                wrong.append(
                    f"line {item.layer.line}: layer {item.name!r} ({item.layer.type}): works in place "
                    f"on what layer {kept[value.memory].name!r} keeps for the next forward; give its "
                    "top a name of its own"
                )
        one_step = item.layer.type == "LSTM" and item.inputs and item.inputs[0].shape[:1] == (1,)
        if item.layer.type == "Parameter" or one_step:
            # the state is also what expose_hidden shows
            kept.update((value.memory, item) for value in item.outputs[:2])
    return wrong


def overwritten(wired: Sequence[Wired], ends: Mapping[str, Value]) -> list[str]:
    """In-place layers that change what others read: Caffe keeps a view in its bottom's memory."""
    wrong = []
    writers: dict[object, tuple[Wired, Value]] = {}
    reads = [(item, item.inputs) for item in wired]
    for item, values in [*reads, (None, list(ends.values()))]:
        for value in values:
            if value.memory in writers and writers[value.memory][1] is not value:
                writer = writers[value.memory][0]
                if value.made < writer.index:
                    reader = f"layer {item.name!r}" if item else "the net's output"
                    wrong.append(
                        f"line {writer.layer.line}: layer {writer.name!r} ({writer.layer.type}): works "
                        f"in place on memory that {value.blob!r} shares, which {reader} reads later; "
                        "give its top a name of its own"
                    )
        if item is not None:
            writers.update((value.memory, (item, value)) for value in works_in_place(item))
    return list(dict.fromkeys(wrong))
