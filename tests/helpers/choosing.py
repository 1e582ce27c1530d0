"""Nets and engines between which is chosen."""

from __future__ import annotations

from decant.loader.definition.graph import Net, net_from_text
from decant.loader.errors import EngineError

PLAIN = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 2 } } }\n'


def net(layer: str = "") -> Net:
    return net_from_text(PLAIN + layer, "net.prototxt")


FORK = net('layer { name: "p" type: "Permute" bottom: "data" top: "p" }')


def no_engine() -> None:
    raise EngineError("no Docker engine answers at unix:///var/run/docker.sock: start Docker")
