"""manifest.json as a frozen object: what an artifact is and where it came from.

Nothing in it changes from run to run. docs/artifact.md lists the keys for those who read the file
themselves, and says which formats are read.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    model_validator,
)

from decant.loader.definition.reading import STOCK, Reading, from_json
from decant.loader.errors import IntegrityError

FORMAT = 3

_Item = TypeVar("_Item")
# a list in JSON; the objects are frozen
Many = Annotated[tuple[_Item, ...], Field(strict=False)]
Shape = Many[int]


class Record(BaseModel):
    """Read strictly; a key that is not known is of a later version, and passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)


class Origin(Record):
    """The net's own name, and the SHA-256 of Caffe's two files ("" for a net without weights)."""

    net: str
    prototxt_sha256: str
    caffemodel_sha256: str | None


class Parameter(Record):
    """Blob number `blob` of a Caffe layer, from 0."""

    layer: str
    blob: int


class Input(Record):
    """`shape` with the batch in front."""

    blob: str
    shape: Shape


class Output(Record):
    """A tensor that the module returns: its blob, and the layer that makes it."""

    blob: str
    layer: str
    type: str


class NetLayer(Record):
    """A layer of the deploy form; a shape that is not known is None."""

    name: str
    type: str
    bottoms: Many[str]
    tops: Many[str]
    shapes: Many[Shape | None]

    @model_validator(mode="after")
    def _one_shape_a_top(self) -> NetLayer:
        if len(self.shapes) != len(self.tops):
            raise ValueError(f"{len(self.tops)} tops and {len(self.shapes)} shapes")
        return self


class Module(Record):
    """`name`: a module of loader/zoo, or "generated"."""

    name: str
    arguments: dict[str, int]


class Preparation(Record):
    """How pictures are prepared; loader/pictures/recipe.py says what each number means."""

    channel_order: str
    mean: Many[float]
    scale: float
    resize: Annotated[tuple[int, int], Field(strict=False)]
    crop: int | None
    mean_image: str | None = None
    resampling: str | None = None


class ClassNames(Record):
    """Written out, or the catalog's `source` of a file that has them."""

    names: Many[str] = ()
    source: dict[str, Any] | None = None


class Published(Record):
    """A published accuracy in per cent, and how it was measured."""

    top1: float | None = None
    top5: float | None = None
    loss: float | None = None
    protocol: str
    source: str
    comparable: bool


class Sources(Record):
    """URLs of Caffe's two files."""

    prototxt: Many[str]
    caffemodel: Many[str]


class StoredTensor(Record):
    """A tensor of model.safetensors; `sha256` of its bytes."""

    key: str
    dtype: str
    shape: Shape
    sha256: str


def _reading(found: Any) -> Reading:
    if isinstance(found, Reading):
        return found
    if not isinstance(found, dict):
        raise ValueError("an object is expected")
    return from_json(found)


class Description(Record):
    """All but the hashes of what lies beside it: the same for both engines.

    `parameters`: key -> where it came from; `tied`: key -> key of the parameter that it is.
    `layers`: Caffe layer -> module path, None where it has none; `statements`, `fused`, `input_layers`:
    as in loader/source/tracing.py. `left_out`: layer -> why. `changes`: notes of the conversion.
    `batch`: the only one that the net takes, None for any. `model`: its name in the catalog.
    """

    format: int
    dump_format: int
    name: str
    caffe: Origin
    parameters: dict[str, Parameter]
    tied: dict[str, str]
    layers: dict[str, str | None]
    statements: dict[str, Many[str]]
    fused: dict[str, str]
    left_out: dict[str, str]
    changes: Many[str]
    inputs: Many[Input]
    batch: int | None
    input_layers: dict[str, Many[str]]
    outputs: Many[Output]
    net: Many[NetLayer]
    reading: Annotated[
        Reading, PlainValidator(_reading), PlainSerializer(Reading.to_json, return_type=dict)
    ] = STOCK
    model: str | None
    module: Module
    labels: ClassNames | None
    accuracy: Many[Published]
    licence: str
    citation: str
    notes: str
    sources: Sources
    preprocessing: Preparation | None


class Manifest(Description):
    """The whole file. `files`: name -> SHA-256, of those beside it; `tensors`: sorted by key."""

    files: dict[str, str]
    tensors: Many[StoredTensor]

    @model_validator(mode="after")
    def _parameters_are_stored(self) -> Manifest:
        lacking = self.parameters.keys() - {tensor.key for tensor in self.tensors}
        if lacking:
            raise ValueError(f"tensors: parameter {min(lacking)!r} is missing")
        return self

    def require(self, *keys: str) -> None:
        """Raise IntegrityError where the artifact is of a format that did not record one of `keys`."""
        for key in keys:
            if self.format < FORMAT and not getattr(self, key):
                raise IntegrityError(
                    f"{self.name}: its manifest is of format {self.format}, which does not record "
                    f"`{key}`; convert it again"
                )

    def to_json(self) -> dict[str, Any]:
        """Plain data; what is at its default is not written."""
        return self.model_dump(mode="json", exclude_defaults=True)
