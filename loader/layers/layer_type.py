"""What Decant knows of one layer type: a record, which everybody looks up who asks about the type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from decant.loader.definition.graph import Layer
from decant.loader.layers.caffe_arithmetic import Drift, NearOne
from decant.loader.layers.moving import Move, reshaped
from decant.loader.layers.rule import Rule

CAFFE = "Caffe"

# (layer, place of the bottom): whether Caffe may write this layer's top over that bottom
InPlace = Callable[[Layer, int], bool]


class Role(Enum):
    """What a layer takes a value for."""

    INDEX = "indices"
    MARKER = "continuation markers"
    SELECTOR = "a selector"
    BOX = "boxes"
    SIZE = "the picture's size"
    FEATURE = "features"


class Parameters(Enum):
    """When Caffe makes parameter blobs for a layer."""

    NEVER = "never"
    ALWAYS = "always"
    ALONE = "with one bottom; of two, the second stands in for them"


class Weight(Enum):
    """How the first blob is applied."""

    NOT = "it is not such a weight"
    KERNEL = "out x in/group x window, at each place of the top"
    TRANSPOSED = "in x out/group x window, at each place of the bottom"
    MATRIX = "out x in, to each row"


class Chooses(Enum):
    """Whether values are choices between numbers: rounding before them may turn a near tie."""

    NOT = "values are computed"
    ALSO = "values are computed, and some of them chosen"
    ONLY = "nothing is computed beside the choice"


@dataclass(frozen=True)
class Source:
    """A data layer. `pictures`: its first top is pictures, and what follows is labels; `prepares`: it
    makes them of stored ones, each by itself, as its own message and `transform_param` say;
    `coloured`: from files, in colour unless it is told not to; `shaped`: the definition says its shape.
    """

    pictures: bool = True
    prepares: bool = True
    coloured: bool = False
    shaped: bool = True


@dataclass(frozen=True)
class LayerType:
    """One layer type, as stock Caffe or a fork of it has it. What is left out is what a type is by
    default: one without parameters, that works on memory of its own and computes every value.
    """

    name: str
    # None: nothing computes it, and a net with it is refused, unless another field says what becomes
    # of it
    rule: Rule | None = None
    # CAFFE, or the forks that have it
    origin: str = CAFFE
    # the message that holds its parameters; "" where it has none, or shares one with other types
    message: str = ""
    # why there is no rule, and what a person can do
    refused: str = ""

    parameters: Parameters = Parameters.NEVER
    weight: Weight = Weight.NOT
    # of each blob, in their order, the field of `message` that fills it
    fillers: tuple[str, ...] = ()
    # axes of each blob in Caffe's own net, for files with legacy shapes (1 x 1 x N x K for N x K): of
    # types that existed in the era of legacy shapes
    legacy_axes: tuple[int, ...] = ()

    # whether Caffe may write its top over its bottom, and still compute what the formula says: value by
    # value, or through memory of its own
    in_place: bool | InPlace = False
    # in place it may change the shape, which Caffe then takes as given
    reshapes_in_place: bool = False
    # its top is its bottom's memory (ShareData), where it has one bottom and one top
    view: bool = False
    # it computes nothing, and no line of source stands for it
    transparent: bool = False
    # with `phase: TRAIN` of its own (net.cpp: Init) it computes something else
    by_phase: bool = False
    # its bottoms' first axis is time, and it keeps its state between forwards
    recurrent: bool = False
    # what it does shows on several rows only
    picks_rows: bool = False
    # the axis of its tops that has as many rows as the data asks for
    rows_axis: int | None = None
    # its top has more places than its bottom; decides what a block that holds it is called
    enlarges: bool = False

    # by a bottom's place, -1 for the last one and None for all others, what its values are to the layer
    reads: Mapping[int | None, Role] = field(default_factory=dict)
    # where values go, if it leaves them as they are, or multiplies them and adds to them
    moves: Move | None = None
    chooses: Chooses = Chooses.NOT
    near_one: NearOne | None = None
    drifts: Drift | None = None

    # of training: what it is in the deploy form
    source: Source | None = None
    # a loss or a measure, of which nothing is left
    dropped: bool = False
    # the type that is left of a loss; the axis is in `message`
    contains: str = ""
    # the field with which it is not an identity at TEST
    identity_without: str = ""

    @property
    def keeps_values(self) -> bool:
        """Whether its top has the bottom's very values, in whatever shape."""
        return self.moves is reshaped

    @property
    def in_training_only(self) -> bool:
        """Whether a net for tests has no layer of this type."""
        return bool(self.source or self.dropped or self.contains or self.identity_without)
