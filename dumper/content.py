"""What a dump holds: a header, layers in order of execution, the probe. docs/dump-format.md."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple

import numpy as np

FORMAT, VERSION = "caffe-dump", 1

Owner = Optional[Tuple[int, int]]


class DumpError(ValueError):
    """A file that is not a dump of this version, or not a whole one."""


@dataclass
class Header:
    """The attributes of the root. `prototxt` is verbatim; "" stands for "not there".

    `reading`: JSON, how the definition was read where that is not as pycaffe reads it. `notes`: where
    the parameters are not simply the file's, layer by layer.
    """

    net_name: str
    prototxt: str
    prototxt_run: str
    engine: str
    caffe_version: str
    has_activations: bool
    caffemodel_sha256: str
    reading: str = ""
    notes: List[str] = field(default_factory=list)


@dataclass
class Layer:
    """One layer as it ran. Arrays are float32; `params[i]` of a shared blob is its owner's array,
    in this layer's own shape (share_mode PERMISSIVE lets it differ from the owner's).
    """

    name: str
    type: str
    bottoms: List[str]
    tops: List[str]
    params: List[np.ndarray] = field(default_factory=list)
    owners: List[Owner] = field(default_factory=list)
    activations: List[np.ndarray] = field(default_factory=list)
    _shapes: Dict[int, Tuple[int, ...]] = field(default_factory=dict, repr=False)


@dataclass
class Dump(Header):
    """A dump that was read: layers in order of execution, arrays read-only."""

    layers: List[Layer] = field(default_factory=list)
    probe: Dict[str, np.ndarray] = field(default_factory=dict)
