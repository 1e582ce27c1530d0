"""What an engine of stage 1 is, whoever reads the net."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from decant.engines.table import Name

if TYPE_CHECKING:
    import numpy as np

    from decant.engines.job import Job, StageOne
    from decant.loader.definition.graph import Layer, Net
    from decant.loader.layers.rule import Shape
    from decant.loader.progress import Progress


class Engine(Protocol):
    """Reads a net's two files into a dump; one that `runs` nets also computes what is in them.

    `lacks`: what a person who gets this engine has to do without; `refusal`: what is said of a net that
    it does not take. "" for nothing.
    """

    @property
    def name(self) -> Name: ...

    @property
    def runs(self) -> bool: ...

    @property
    def lacks(self) -> str: ...

    @property
    def refusal(self) -> str: ...

    def available(self) -> str:
        """How it is reached on this machine. Raises EngineError where it is not, with the next step."""

    def takes(
        self,
        net: Net,
        blobs: Mapping[str, Sequence[Shape]] | None = None,
        plugged: Sequence[Layer] = (),
    ) -> list[str]:
        """What keeps it from reading the net, a line each; nothing where it takes it.

        `blobs`: the shapes of each layer's weights, by its name. `plugged`: layers that a user's own
        module computes.
        """

    def dump(self, job: Job, out: Path, progress: Progress) -> StageOne:
        """Dump to `out`, which appears whole or not at all; activations where the job has a probe.

        Raises BadInput, Unsupported, IntegrityError or EngineError, each with one clear line.
        """

    def forward(
        self,
        prototxt: Path,
        weights: Path | None,
        inputs: Mapping[str, np.ndarray],
        output: str,
        progress: Progress,
        batch: int = 16,
        net: Net | None = None,
    ) -> np.ndarray:
        """Blob `output` for `inputs` (float32 arrays by blob, of any length), `batch` at a time.

        `net`: the definition in its deploy form, where it is a training one. Raises UsageError where
        the engine runs no nets.
        """
