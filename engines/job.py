"""What an engine of stage 1 is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from decant.dumper.dumpfile import Dump
    from decant.engines.stand_in import StandIn
    from decant.engines.weights import Weights
    from decant.loader.artifact.conversion import Checked
    from decant.loader.definition.graph import Net
    from decant.loader.layers.rule import Shape


@dataclass(frozen=True)
class Job:
    """`caffemodel` None: a net without parameters. An empty probe: parameters only.

    `shapes`: of the inputs, as far as they are known; the probe has them too.

    `ignored_layers`: layers of the file that the net may lack, by name or as `loss1/*`. `digest`
    gives the caffemodel's sha256, which is computed while the engine works: asked for last. `net`:
    the definition in its deploy form, and `weights`: what the file gives to its layers, where they
    were read already.
    """

    prototxt: Path
    caffemodel: Path | None
    probe: Mapping[str, np.ndarray]
    ignored_layers: tuple[str, ...] = ()
    digest: Callable[[], str] = str
    net: Net | None = None
    weights: Weights | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def read_weights(self) -> Weights | None:
        """`weights`, or what the file holds. Raises BadInput."""
        from decant.engines.weights import read_weights

        if self.weights is not None or self.caffemodel is None:
            return self.weights
        return read_weights(self.caffemodel, self.net)

    def blob_shapes(self) -> dict[str, list[Shape]]:
        """Of each layer of `weights`, by its name."""
        from decant.engines.weights import blob_shapes

        return blob_shapes(self.weights.model) if self.weights is not None else {}

    def for_caffe(self) -> StandIn | None:
        """What stock Caffe is to run, where the definition was read. Raises BadInput."""
        from decant.engines.stand_in import stand_in
        from decant.engines.weights import blob_shapes

        if self.net is None:
            return None
        weights = self.read_weights()
        return stand_in(self.net, blob_shapes(weights.model) if weights else {})


@dataclass
class StageOne:
    """The dump and how it came about; seconds are CPU time, memory in bytes.

    `content`: what the file holds, as it was written or checked. `inputs`: shapes that were
    given, or that data layers turned into. `checked`: the plan of these very blobs, where one was made.
    """

    dump: Path
    content: Dump
    engine: str
    layers: int
    image_id: str = ""
    caffe_version: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    peak_memory: int = 0
    notes: list[str] = field(default_factory=list)
    inputs: dict[str, tuple[int, ...]] = field(default_factory=dict)
    checked: Checked | None = None
