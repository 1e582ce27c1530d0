"""Which engine: real Caffe wherever it can be had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from decant.loader.errors import EngineError, Unsupported, UsageError

if TYPE_CHECKING:
    from decant.loader.definition.graph import Layer, Net

ENGINES = ("auto", "caffe", "reader")


@dataclass(frozen=True)
class Choice:
    """`name` is "caffe" or "reader"; `reason` is for the person who asked for `auto`."""

    name: str
    reason: str


def choose(
    wanted: str, net: Net, plugged: Sequence[Layer] = (), blobs: Sequence[str] = ()
) -> Choice:
    """Decide. Raises Unsupported if Caffe is asked for and cannot parse the net.

    `plugged`: layers that a user's own plugin computes; there is no Caffe that could. `blobs`: a line
    for each layer whose blobs Caffe does not take.
    """
    if wanted not in ENGINES:
        raise UsageError(f"--engine {wanted!r}: one of {', '.join(ENGINES)}")
    if wanted == "reader":
        return Choice("reader", "asked for; parameters only, no activations")
    foreign = [*foreign_to_caffe(net, plugged), *blobs]
    if wanted == "caffe":
        if foreign:
            raise Unsupported(
                f"{net.file}: stock Caffe 1.0 cannot parse this net; --engine reader takes its "
                "parameters",
                foreign,
            )
        return Choice("caffe", "asked for")
    if foreign:
        return Choice("reader", f"stock Caffe 1.0 cannot parse this net ({foreign[0]})")
    return _by_engine()


def foreign_to_caffe(net: Net, plugged: Sequence[Layer] = ()) -> list[str]:
    """What keeps stock Caffe from running the net, a line each."""
    from decant.loader.definition.schema import unknown_to_caffe
    from decant.loader.plan.planning import known_python

    programs = [
        f"line {layer.line}: layer {layer.name!r}: type Python, whose program the image lacks"
        for layer in net.layers
        if known_python(layer) and layer not in plugged
    ]
    given = [
        f"line {layer.line}: layer {layer.name!r}: type {layer.type} is given by a plugin"
        for layer in plugged
    ]
    return [*unknown_to_caffe(net), *programs, *given]


def _by_engine() -> Choice:
    from decant.engines.docker.connection import connect, endpoint

    try:
        connect().close()
    except EngineError as error:
        return Choice("reader", f"{error.message.split(': ')[0]}; it brings no activations")
    return Choice("caffe", f"a Docker engine answers at {endpoint()}")
