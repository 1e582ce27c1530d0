"""What is asked of a stage: one frozen object, from the command line or from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from decant.engines.table import Wanted as Wanted
from decant.loader.definition.reading import NO_OPTIONS, ReadingOptions
from decant.loader.errors import UsageError
from decant.loader.progress import SILENT, Progress

if TYPE_CHECKING:
    from decant.loader.plan.plugins import Plugins

Device = Literal["cpu", "cuda"]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Options:
    """How a net is read, run, compared and kept; each stage looks at what concerns it.

    `out`: the folder in which the artifact's folder is made; None: where `decant.load` looks for it.
    `engine`: who reads the net; `auto` takes real Caffe where it is available. `device`: where PyTorch
    runs, and `gpu`: in the torch container instead, on its GPU. `parity` False: parameters only, no
    probe run. `report`: write report.html. `probe`: an NPZ with one array an input. `shapes`: of inputs,
    in place of what the definition says. `reading`: which of the definition's layers are taken, and how.
    `ignored_layers`: of the caffemodel, by name or as `loss1/*`, that the net may lack. `plugins`: your
    own torch modules, `module:Class` each. `catalog`: in place of models.yaml. `progress`: who is told
    of long work.
    """

    out: Path | None = None
    engine: Wanted = "auto"
    device: Device = "cpu"
    gpu: bool = False
    parity: bool = True
    report: bool = False
    probe: Path | None = None
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    reading: ReadingOptions = NO_OPTIONS
    ignored_layers: Sequence[str] = ()
    plugins: Sequence[str] = ()
    catalog: Path | None = None
    progress: Progress = SILENT

    def __post_init__(self) -> None:
        """Paths may come as texts. Raises UsageError for what is none of its kind."""
        for name, words in (("engine", get_args(Wanted)), ("device", get_args(Device))):
            if getattr(self, name) not in words:
                raise UsageError(f"--{name} {getattr(self, name)!r}: one of {', '.join(words)}")
        for name in ("out", "probe", "catalog"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, Path(value))
        for name in ("ignored_layers", "plugins"):
            refuse_one(name, getattr(self, name))
        for blob, shape in self.shapes.items():
            if not _is_shape(shape):
                raise UsageError(
                    f"--input {blob}: {shape!r}; give whole numbers, as (1, 3, 224, 224)"
                )

    def folder(self, name: str) -> Path:
        """Of the artifact `name`."""
        from decant.loader.artifact.bundle import place_of_artifacts

        return (self.out or place_of_artifacts()) / name

    @cached_property
    def own_layers(self) -> Plugins | None:
        """The modules that `plugins` names; None where it names none, and then nothing is imported.

        Raises UsageError for a word that names no such class.
        """
        if not self.plugins:
            return None
        from decant.loader.plan.plugins import load_plugins

        return load_plugins(self.plugins)


def refuse_one(what: str, value: object) -> None:
    """Raise UsageError for a text or a path where a list is wanted: of a text each letter is one."""
    if isinstance(value, (str, Path)):
        raise UsageError(f"{what} {str(value)!r}: give a list, even of one")


def _is_shape(sizes: object) -> bool:
    # a scalar's () and an empty probe's 0 come back here from stage 1
    return isinstance(sizes, (tuple, list)) and all(
        isinstance(size, Integral) and int(size) >= 0 for size in sizes
    )


DEFAULTS = Options()
