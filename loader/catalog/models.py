"""models.yaml, checked into frozen objects. An error reads as a path to the key; all at once."""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from yaml.composer import Composer

from decant.loader.definition import rpn
from decant.loader.definition.reading import Reading
from decant.loader.errors import CatalogError, UsageError

DEFAULT = Path(__file__).resolve().parents[2] / "models.yaml"
# many times the catalog that comes with Decant: what is larger is another file
MAX_BYTES = 1 << 20

# of the empty file: real lists have been published with them
EMPTY = (
    "d41d8cd98f00b204e9800998ecf8427e",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
)


def _of_something(digest: str) -> str:
    if digest in EMPTY:
        raise ValueError("this is the digest of an empty file")
    return digest


Hex32 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$"), AfterValidator(_of_something)]
Hex40 = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$"), AfterValidator(_of_something)]
Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$"), AfterValidator(_of_something)]
Hex96 = Annotated[str, Field(pattern=r"^[0-9a-f]{96}$")]
Positive = Annotated[int, Field(gt=0)]
Percent = Annotated[float, Field(ge=0, le=100)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Archive(_Strict):
    """A tar.gz that holds the file as `member`."""

    member: str
    sha1: Hex40 | None = None
    md5: Hex32 | None = None


class Source(_Strict):
    """Where a file comes from, and how it is recognised.

    `urls` in order of preference, or `file` relative to the catalog. With neither checksum nor size
    the first download is recorded in the lock file beside the catalog. `git`: a git blob's id.
    """

    urls: tuple[str, ...] = ()
    file: str | None = None
    size: Annotated[int, Field(gt=0)] | None = None
    sha256: Hex64 | None = None
    sha384: Hex96 | None = None
    sha1: Hex40 | None = None
    md5: Hex32 | None = None
    git: Hex40 | None = None
    archive: Archive | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Source:
        if bool(self.urls) == (self.file is not None):
            raise ValueError("give either urls or file")
        parts = [urlsplit(url) for url in self.urls]
        if not all(
            part.scheme == "file" or (part.scheme in ("http", "https") and part.netloc)
            for part in parts
        ):
            raise ValueError("a URL begins with https://, http:// or file:")
        return self

    @property
    def hashes(self) -> dict[str, str]:
        """Algorithm -> hex digest, of all that were published."""
        found = {
            "sha256": self.sha256,
            "sha384": self.sha384,
            "sha1": self.sha1,
            "md5": self.md5,
            "git": self.git,
        }
        return {name: digest for name, digest in found.items() if digest}


class Input(_Strict):
    """The blob that pictures go into; shape without the batch (C, H, W)."""

    blob: str
    shape: Annotated[tuple[Positive, Positive, Positive], Field(strict=False)]


class Preprocessing(_Strict):
    """From RGB 0..1 to what the net wants: x 255, channel order, minus mean, x scale.

    `mean` is in the net's channel order (B, G, R for BGR). `resize` warps a picture to (H, W)
    without keeping its aspect; `crop` cuts the centre.
    """

    channel_order: Literal["BGR", "RGB", "gray"]
    mean: Annotated[tuple[float, ...], Field(strict=False)]
    scale: float = 1.0
    resize: Annotated[tuple[Positive, Positive], Field(strict=False)]
    crop: Positive | None = None

    @model_validator(mode="after")
    def _one_mean_a_channel(self) -> Preprocessing:
        channels = 1 if self.channel_order == "gray" else 3
        if len(self.mean) != channels:
            raise ValueError(
                f"mean has {len(self.mean)} values, {channels} channels need {channels}"
            )
        if self.scale == 0:
            raise ValueError("a scale of 0 leaves nothing of the picture")
        if self.crop and self.crop > min(self.resize):
            raise ValueError(f"crop {self.crop} is larger than resize {list(self.resize)}")
        return self

    @property
    def picture(self) -> tuple[int, int, int]:
        """(C, H, W) of what comes out."""
        return (len(self.mean), *((self.crop, self.crop) if self.crop else self.resize))


class Labels(_Strict):
    """Class names: written out, or a file with one a line."""

    names: Annotated[tuple[str, ...], Field(strict=False)] = ()
    source: Source | None = None


class Accuracy(_Strict):
    """A published number, in per cent, and how it was measured."""

    top1: Percent | None = None
    top5: Percent | None = None
    loss: float | None = None
    protocol: str
    source: str
    comparable: bool = False


class Tolerance(_Strict):
    """A looser bound for one layer type, with the reason."""

    bound: Annotated[float, Field(gt=0)]
    reason: str


def _checked(settings: dict[str, int | float]) -> dict[str, int | float]:
    rpn.check(settings)
    return settings


class CatalogReading(_Strict):
    """How the definition is read where not as stock Caffe would: loader/definition/reading.py."""

    phase: Literal["TEST", "TRAIN"] = "TEST"
    stages: Annotated[tuple[str, ...], Field(strict=False)] = ()
    level: int = 0
    crop: Literal["stock", "aligned"] = "stock"
    prior_sizes: Literal["whole", "exact"] = "whole"
    float_weights: bool = False
    rpn: Annotated[dict[str, int | float], AfterValidator(_checked)] = {}

    def frozen(self) -> Reading:
        """The same for the loader."""
        return Reading(**{**dict(self), "rpn": rpn.in_order(self.rpn)})


class Model(_Strict):
    """One entry: architecture, weights, input."""

    name: str
    module: str
    arguments: dict[str, int] = {}
    prototxt: Source
    caffemodel: Source
    ignored_layers: Annotated[tuple[str, ...], Field(strict=False)] = ()
    reading: CatalogReading | None = None
    input: Input | None = None
    preprocessing: Preprocessing | None = None
    labels: Labels | None = None
    accuracy: Annotated[tuple[Accuracy, ...], Field(strict=False)] = ()
    tolerance: dict[str, Tolerance] = {}
    reference_dump: str | None = None
    validation: str | None = None
    licence: str
    citation: str
    notes: str = ""

    @model_validator(mode="after")
    def _fits_together(self) -> Model:
        from decant.loader.zoo import MODULES

        if self.module not in (*MODULES, "generated"):
            raise ValueError(
                f"module {self.module!r} is not one of {', '.join(MODULES)}, generated"
            )
        if self.module != "generated" and (self.input is None or self.preprocessing is None):
            raise ValueError(
                "input and preprocessing are missing; only generated modules do without"
            )
        if self.input is None or self.preprocessing is None:
            return self
        if self.input.shape != self.preprocessing.picture:
            raise ValueError(
                f"input shape {list(self.input.shape)}, but preprocessing makes "
                f"{list(self.preprocessing.picture)}"
            )
        return self


class Catalog(_Strict):
    """All models, in the file's order."""

    path: Path
    models: dict[str, Model]

    def model(self, name: str) -> Model:
        """The entry of that name; UsageError with near misses."""
        if name in self.models:
            return self.models[name]
        near = get_close_matches(name, list(self.models), 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"{self.path} has no model {name!r}{hint} (`decant list` shows all)")

    def local(self, file: str) -> Path:
        """A path of the catalog: relative to its folder."""
        return (self.path.parent / file).resolve()


# libyaml scans the text, where PyYAML was built with it: its own scanner takes ten times as long
_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


# The composer comes first: libyaml has one of its own, which asks nobody
class _Loader(Composer, _Parser):  # type: ignore[misc]
    """No aliases, no key twice; numbers and truth values as YAML 1.2 has them."""

    def __init__(self, stream: str) -> None:
        _Parser.__init__(self, stream)
        Composer.__init__(self)

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.YAMLError(f"line {mark.line + 1}: aliases are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for number, key in enumerate(keys):
            if not isinstance(key, str):
                raise yaml.YAMLError(
                    f"line {node.start_mark.line + 1}: key {key!r} is not a string"
                )
            if key in keys[:number]:
                line = node.value[number][0].start_mark.line + 1
                raise yaml.YAMLError(f"line {line}: key {key!r} appears twice")
        return super().construct_mapping(node, deep)


# YAML 1.1 reads `no`, `off` as false, and a digest such as 0123456 or 12e4 as a number
_Loader.yaml_implicit_resolvers = {
    letter: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag
        not in [f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float", "timestamp")]
    ]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^(?:0|-?[1-9][0-9]*)$"), list("-0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^-?(?:[0-9]+\.[0-9]*(?:e[-+]?[0-9]+)?|[0-9]+e[-+]?[0-9]+)$"),
    list("-0123456789"),
)


def load_catalog(path: Path | None = None) -> Catalog:
    """`path`, else $DECANT_CATALOG, else models.yaml. Raises CatalogError with every mistake."""
    path = path or Path(os.environ.get("DECANT_CATALOG") or DEFAULT)
    tree = _read(path)
    if not isinstance(tree, dict) or not isinstance(tree.get("models"), dict) or len(tree) != 1:
        raise CatalogError(f"{path.name}: expected one key, `models:`, that holds the entries")
    models, wrong = {}, []
    for name, entry in tree["models"].items():
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            wrong.append(f"{path.name}: {name}: a model's name is lower-case letters, digits and _")
            continue
        if not isinstance(entry, dict):
            wrong.append(f"{path.name}: {name}: expected the keys of a model, got {entry!r}")
            continue
        if "name" in entry:
            wrong.append(f"{path.name}: {name}: name: unknown key")
            continue
        try:
            fields = entry
            models[name] = Model.model_validate(_tuples({"name": name, **fields}))
        except ValidationError as error:
            wrong += [_as_path(path, name, item, fields) for item in error.errors()]
    if wrong:
        raise CatalogError(wrong[0], wrong if len(wrong) > 1 else [])
    return Catalog(path=path.resolve(), models=models)


def _read(path: Path) -> Any:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CatalogError(f"{path}: larger than {MAX_BYTES} bytes; is it a catalog?")
        return yaml.load(path.read_text("utf-8"), _Loader)
    except OSError as error:
        raise CatalogError(f"{path}: cannot be read: {error.strerror}") from None
    except RecursionError:
        raise CatalogError(f"{path.name}: nested too deeply") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        text = " ".join(str(error).split())
        raise CatalogError(f"{path.name}: {text}") from None


def _tuples(value: Any) -> Any:
    """YAML's lists as tuples: the objects are frozen."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _as_path(path: Path, name: str, item: Any, entry: dict[str, Any]) -> str:
    """`models.yaml: googlenet_bvlc: caffemodel: sha256: expected ..., got 'abc'`"""
    place = ": ".join([path.name, name, *(str(part) for part in item["loc"])])
    if item["type"] == "extra_forbidden":
        return f"{place}: unknown key"
    if item["type"] == "missing":
        return f"{place}: missing"
    message = item["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    if item["type"] == "string_pattern_mismatch":
        digits = re.search(r"\{(\d+)\}", item["ctx"]["pattern"])
        message = f"expected {digits[1] if digits else 'some'} hex digits"
    given = item["input"]
    return f"{place}: {message}" + ("" if isinstance(given, dict) else f", got {given!r}")
