"""Which engine: real Caffe wherever it is available."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from decant.engines.table import Wanted, engines, named
from decant.loader.errors import EngineError, Unsupported

if TYPE_CHECKING:
    from decant.engines.engine import Engine
    from decant.loader.definition.graph import Layer, Net
    from decant.loader.layers.rule import Shape


@dataclass(frozen=True)
class Choice:
    """`reason` is for the person who left it to `auto`."""

    engine: Engine
    reason: str


def choose(
    wanted: Wanted,
    net: Net,
    blobs: Mapping[str, Sequence[Shape]] | None = None,
    plugged: Sequence[Layer] = (),
) -> Choice:
    """The engine that was asked for, else the first that is there and takes the net.

    `blobs` and `plugged` as in Engine.takes. Raises Unsupported where the engine that was asked for
    does not take the net, EngineError where none does.
    """
    asked = named(wanted)
    if asked is not None:
        foreign = asked.takes(net, blobs, plugged)
        if foreign:
            raise Unsupported(
                f"{net.file}: {asked.refusal}; --engine reader takes its parameters", foreign
            )
        return Choice(asked, _with_lacks("asked for", asked))
    passed_over: list[str] = []
    for engine in engines():
        foreign = engine.takes(net, blobs, plugged)
        if foreign:
            passed_over.append(f"{engine.refusal} ({foreign[0]})")
            continue
        try:
            how = engine.available()
        except EngineError as error:
            passed_over.append(error.message.split(": ")[0])
            continue
        return Choice(engine, _with_lacks(next(iter(passed_over), how), engine))
    raise EngineError(f"{net.file}: no engine takes this net: {'; '.join(passed_over)}")


def _with_lacks(reason: str, engine: Engine) -> str:
    return f"{reason}; {engine.lacks}" if engine.lacks else reason
