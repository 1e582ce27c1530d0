"""An artifact's JSON files, checked into their objects; a manifest of an older format as today's.

Formats of manifest.json (docs/artifact.md promises to read them all):

1  modules of the zoo only; inputs without their batch.
2  generated modules; `outputs`, `net` and `tied` came while it lasted.
3  `batch`; later `reading`.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import ValidationError

from decant.loader.artifact.manifest import FORMAT, Input, Manifest, Record
from decant.loader.errors import IntegrityError

# what a manifest need not have yet: empty, or as a module of the zoo would have it
_SINCE_2: dict[str, Any] = {"statements": {}, "fused": {}, "changes": [], "input_layers": {}}
_SINCE_3: dict[str, Any] = {"outputs": [], "net": [], "tied": {}, "batch": None}

_Found = TypeVar("_Found", bound=Record)


def manifest(text: str, place: str) -> Manifest:
    """The manifest that `text` is, of any format up to FORMAT; its `format` stays what it was.

    `place`: the file, for messages. Raises IntegrityError that names every key that is wrong.
    """
    tree = tree_of(text, place)
    number = tree.get("format")
    if type(number) is int and number > FORMAT:
        raise IntegrityError(
            f"{place}: format {number}, and this version of Decant reads 1 to {FORMAT}; update "
            "Decant, or convert it again"
        )
    if type(number) is not int or number < 1:
        said = "missing" if number is None else f"expected a number from 1, got {number!r}"
        raise IntegrityError(f"{place}: format: {said}; convert it again")
    if number < 2:
        tree = {**_SINCE_2, **tree}
    if number < 3:
        tree = {**_SINCE_3, **tree}
    return _today(checked(Manifest, tree, place))


def _today(found: Manifest) -> Manifest:
    """What an older format wrote in another way, or did not write and can be told."""
    if found.format < 2:
        batched = tuple(Input(blob=x.blob, shape=(1, *x.shape)) for x in found.inputs)
        return found.model_copy(update={"inputs": batched})
    if found.format < 3 and found.module.name == "generated" and found.inputs:
        # which batch such a net depends on was not worked out; the one that it was written for is safe
        return found.model_copy(update={"batch": next(iter(found.inputs[0].shape), None)})
    return found


def tree_of(text: str, place: str) -> dict[str, Any]:
    """The JSON object that `text` is. Raises IntegrityError."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{place}: damaged ({error}); convert it again") from None
    if not isinstance(found, dict):
        raise IntegrityError(f"{place}: damaged (not an object); convert it again")
    return found


def checked(kind: type[_Found], tree: dict[str, Any], place: str) -> _Found:
    """`tree` as a `kind`. Raises IntegrityError: each line is a path, `net: 3: type: missing`."""
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        wrong = [f"{place}: {_line(dict(item))}" for item in error.errors()]
        raise IntegrityError(f"{wrong[0]}; convert it again", wrong[1:]) from None


def _line(item: dict[str, Any]) -> str:
    path = "".join(f"{part}: " for part in item["loc"])
    if item["type"] == "missing":
        return f"{path}missing"
    said: str = item["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    said = said.replace("a valid tuple", "a list")
    given = item["input"]
    # objects are long, and say nothing that their keys do not
    return path + said + ("" if isinstance(given, (dict, list)) else f", got {given!r}")
