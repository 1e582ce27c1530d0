"""From two files, or their addresses, to an entry of the catalog."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from decant.loader.definition.reading import STOCK, Reading
from decant.loader.errors import BadInput, UsageError
from decant.loader.progress import Progress
from decant.stages.definition import Definition
from decant.stages.dump import refuse_unconvertible
from decant.stages.inputs import Inputs, sha256
from decant.stages.options import DEFAULTS, Options, Shape, refuse_one

if TYPE_CHECKING:
    from decant.loader.catalog.models import Source
    from decant.loader.definition.graph import Net
    from decant.loader.pictures.recipe import Recipe

NOT_STATED = "not stated"


@dataclass(frozen=True)
class Described:
    """What a model is made of: places of its files, the best first, and what people say of it.

    `mean`: of the pictures, in place of the definition's.
    """

    prototxt: Sequence[str]
    caffemodel: Sequence[str]
    labels: Sequence[str] = ()
    module: str = "generated"
    mean: str | None = None
    licence: str = ""
    citation: str = ""

    def __post_init__(self) -> None:
        """Raises UsageError for one place that is not in a list."""
        for name in ("prototxt", "caffemodel", "labels"):
            refuse_one(name, getattr(self, name))


@dataclass(frozen=True)
class Added:
    """The entry as it stands in `catalog` now: its values and its text."""

    name: str
    catalog: Path
    entry: Mapping[str, Any]
    text: str
    notes: Sequence[str]


@dataclass
class Examined:
    """What the two files say; `recipe` is None where they do not say how pictures are prepared."""

    inputs: Mapping[str, Shape]
    recipe: Recipe | None
    notes: list[str] = field(default_factory=list)


def add(name: str, model: Described, options: Options = DEFAULTS) -> Added:
    """Fetch, check and describe the files, and append the entry; a failure changes nothing."""
    from decant.loader.catalog.entry import append, refuse_name

    path = options.catalog or Path("models.yaml")
    _refuse_module(model.module)
    if not path.resolve().parent.is_dir():
        raise UsageError(f"--catalog {path}: there is no folder {path.parent}")
    refuse_name(name, path)
    places = {"prototxt": model.prototxt, "caffemodel": model.caffemodel, "labels": model.labels}
    ignored = list(options.ignored_layers)
    with Sources(name, path.resolve().parent, options.progress) as sources:
        described = {what: sources.describe(words, what) for what, words in places.items() if words}
        files = {what: sources.files[what] for what in ("prototxt", "caffemodel")}
        reading = options.reading.over()
        found = examine(name, files, model, options, reading)
        entry = {
            "module": model.module,
            "prototxt": described["prototxt"],
            "caffemodel": described["caffemodel"],
            **({"ignored_layers": ignored} if ignored else {}),
            **({"reading": reading.to_json()} if reading != STOCK else {}),
            **_pictures(found),
            **({"labels": {"source": described["labels"]}} if model.labels else {}),
            "licence": model.licence or NOT_STATED,
            "citation": model.citation or NOT_STATED,
        }
        sources.keep()
        text = append(path, name, entry)
    missing = [key for key in ("licence", "citation") if entry[key] == NOT_STATED]
    if missing:
        found.notes.append(f"{' and '.join(missing)} not stated: write into {path} who made it")
    return Added(name, path, entry, text, found.notes)


def _refuse_module(module: str) -> None:
    from decant.loader.artifact.conversion import GENERATED
    from decant.loader.zoo import MODULES

    if module not in (*MODULES, GENERATED):
        raise UsageError(f"--module {module!r}: one of {GENERATED}, {', '.join(MODULES)}")


class Sources:
    """Files of a model that is in no catalog yet, fetched as those of the catalog are.

    What nobody published a hash of is recorded beside a catalog: here beside one that does not stay.
    """

    def __init__(self, name: str, folder: Path, progress: Progress) -> None:
        self.name, self.folder, self.progress = name, folder, progress
        self.files: dict[str, Path] = {}
        self._sources: dict[str, Source] = {}

    def __enter__(self) -> Sources:
        self._work = tempfile.TemporaryDirectory(prefix="decant-")
        (Path(self._work.name) / "models.yaml").touch()
        return self

    def __exit__(self, *_: object) -> None:
        """The next `add` is to see what the address gives then."""
        for what, path in self.files.items():
            if self._sources[what].urls:
                path.unlink(missing_ok=True)
        self._work.cleanup()

    def describe(self, words: Sequence[str], what: str) -> dict[str, Any]:
        """Fetch the file; where it comes from, its size and hash, for the catalog."""
        source = source_of(words, what, None)
        path = self._fetch(source, what)
        self.files[what], self._sources[what] = path, source
        known = {"size": path.stat().st_size, "sha256": sha256(path)}
        if not known["size"]:
            raise BadInput(f"{words[0]}: the file is empty; give another one")
        if what == "labels":
            from decant.loader.pictures.labels import read

            read(path)
        self._sources[what] = source.model_copy(update=known)
        place = source_of(words, what, self.folder).model_dump(mode="json", exclude_defaults=True)
        return {**place, **known}

    def keep(self) -> None:
        """Into the cache under their hashes: the entry's own fetch finds them there."""
        for what, source in self._sources.items():
            if source.urls:
                urls = ("file:" + quote(str(self.files[what])),)
                self._fetch(source.model_copy(update={"urls": urls}), what)

    def _fetch(self, source: Source, what: str) -> Path:
        from decant.loader.catalog.fetch import fetch
        from decant.loader.catalog.models import Catalog, Model

        draft = Model(
            name=self.name, module="generated", prototxt=source, caffemodel=source,
            licence="", citation="",
        )  # fmt: skip
        catalog = Catalog(path=Path(self._work.name) / "models.yaml", models={self.name: draft})
        return fetch(draft, source, what, catalog, self.progress)


def source_of(words: Sequence[str], what: str, folder: Path | None) -> Source:
    """Addresses, the best first, or a file; below `folder`, the catalog's, as seen from there."""
    from decant.loader.catalog.models import Source

    places = [word if _is_address(word) else _local(word, what, folder) for word in words]
    if len(words) == 1 and not _is_address(words[0]):
        return Source(file=places[0])
    urls = [
        place if _is_address(word) else "file:" + quote(place)
        for word, place in zip(words, places, strict=True)
    ]
    try:
        return Source(urls=tuple(urls))
    except ValueError:
        raise UsageError(
            f"--{what} {' '.join(words)}: neither files nor addresses that begin with http(s)://"
        ) from None


def _is_address(word: str) -> bool:
    return re.match(r"(?!file:)[a-z][a-z0-9+.-]*://", word, re.IGNORECASE) is not None


def _local(word: str, what: str, folder: Path | None) -> str:
    path = Path(unquote(word.removeprefix("file://").removeprefix("file:")))
    path = (path if word.startswith("file:") else Path(word)).resolve()
    if not path.is_file():
        raise BadInput(f"{word}: no such file; give the {what} that is there, or its address")
    inside = folder is not None and path.is_relative_to(folder)
    return path.relative_to(folder).as_posix() if folder and inside else str(path)


def examine(
    name: str, files: Mapping[str, Path], model: Described, options: Options, reading: Reading
) -> Examined:
    """Read both, and refuse what `convert` would refuse before an engine runs."""
    from decant.engines.reader import parameters
    from decant.loader.artifact.conversion import GENERATED
    from decant.loader.definition.graph import refuse_side_effects
    from decant.loader.plan.rules import known_python

    shapes, mean = options.shapes, model.mean
    given = Inputs(name, None, files["prototxt"], files["caffemodel"], None, reading)
    definition = Definition(given)
    net = definition.deployed(shapes)
    known = definition.input_shapes(net, shapes)
    job = definition.job(net, known, options.ignored_layers)
    if model.module == GENERATED:
        refuse_unconvertible(job, net, known, finite=True)
    else:
        parameters(net, job)
    refuse_side_effects(net, {layer.name for layer in net.layers if known_python(layer)})
    found = Examined(known, None, list(net.notes))
    shape = _picture(found.inputs)
    if shape:
        beside = given.prototxt.parent
        found.recipe, notes = _recipe(definition.written, shape, mean, beside)
        found.notes += notes
    elif mean is not None:
        raise UsageError(f"--mean {mean}: the net's input is not one blob of pictures")
    return found


def _picture(inputs: Mapping[str, Shape]) -> Shape:
    """(C, H, W) of the only input; () where there are others, or it is not a picture."""
    shapes = list(inputs.values())
    return shapes[0][1:] if len(shapes) == 1 and len(shapes[0]) == 4 else ()


def _recipe(
    net: Net, shape: Shape, mean: str | None, beside: Path
) -> tuple[Recipe | None, list[str]]:
    """What the definition's data layer says, with --mean in place of its mean."""
    from decant.loader.pictures.recipe import Recipe, recover, with_mean

    found, notes = recover(net, shape[0], beside)
    if found is None and mean is not None:
        found, notes = recover(_without_mean(net), shape[0], beside)
        if found is None and shape[0] in (1, 3):
            order = "BGR" if shape[0] == 3 else "gray"
            found = Recipe(order, (0.0,) * shape[0], 1.0, (shape[1], shape[2]))
            taken = f"{order}, warped to {shape[1]} x {shape[2]}, scale 1"
            notes = [f"pictures are taken to be {taken}: see preprocessing"]
    if found is None:
        if mean is not None:
            raise UsageError(f"--mean {mean}: the net's pictures have {shape[0]} channels")
        return None, [*notes, "how pictures are prepared is not in the definition: see --mean"]
    found = found if mean is None else with_mean(found, mean)
    if found.mean_image is not None:
        notes = [*notes, "of the mean image the entry has each channel's average"]
    return found, notes


def _without_mean(net: Net) -> Net:
    """The rest of transform_param counts where its mean file is not at hand."""
    from decant.loader.definition.prototxt import Message

    def strip(message: Message) -> Message:
        kept = [item for item in message.fields if item.name not in ("mean_file", "mean_value")]
        return Message(
            [
                replace(item, value=strip(item.value)) if isinstance(item.value, Message) else item
                for item in kept
            ],
            message.line,
        )

    layers = tuple(replace(layer, fields=strip(layer.fields)) for layer in net.layers)
    return replace(net, layers=layers)


def _pictures(found: Examined) -> dict[str, Any]:
    """`input` and `preprocessing`, as far as they are known."""
    shape, recipe = _picture(found.inputs), found.recipe
    if not shape:
        return {}
    blob = {"input": {"blob": next(iter(found.inputs)), "shape": list(shape)}}
    if recipe is None:
        return blob
    values = recipe.to_json()
    return {
        **blob,
        "preprocessing": {
            key: value for key, value in values.items() if key != "mean_image" and value is not None
        },
    }
