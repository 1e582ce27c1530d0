"""manifest.json as a frozen object: read, written again, and every damaged key named."""

from __future__ import annotations

from typing import Any

import pytest

from decant.loader.artifact import formats
from decant.loader.errors import IntegrityError
from tests.helpers.formats import read, tree


def test_what_is_read_is_written_again() -> None:
    reading = {"crop": "aligned", "stages": ["a"], "rpn": {"post_nms_top_n": 100}}
    published = {"top1": 1.5, "protocol": "x", "source": "y", "comparable": False}
    more = {
        "reading": reading,
        "accuracy": [published],
        "labels": {"source": {"urls": ["file:x"], "sha1": "0" * 40}},
        "preprocessing": {**tree()["preprocessing"], "mean_image": "mean.npy"},
    }
    found = tree() | more
    assert read(found).to_json() == found


@pytest.mark.parametrize(
    ("keys", "value", "said"),
    [
        (("net", 1, "type"), None, "net: 1: type: expected a valid string, got None"),
        (("net", 0, "shapes"), [], "net: 0: 1 tops and 0 shapes"),
        (("inputs", 0, "shape", 1), "1", "inputs: 0: shape: 1: expected a valid integer, got '1'"),
        (("caffe", "net"), ..., "caffe: net: missing"),
        (("batch",), 1.5, "batch: expected a valid integer, got 1.5"),
        (("tensors",), {}, "tensors: expected a list"),
        (("tensors", 0, "key"), "other", "tensors: parameter 'conv1.bias' is missing"),
        (("reading",), {"crop": "x"}, "reading: crop is 'x': one of stock, aligned"),
        (("reading",), [], "reading: an object is expected"),
        (("format",), ..., "format: missing"),
        (("format",), "3", "format: expected a number from 1, got '3'"),
    ],
)
def test_a_damaged_manifest_names_its_key(keys: tuple[Any, ...], value: object, said: str) -> None:
    found = tree()
    at: Any = found
    for key in keys[:-1]:
        at = at[key]
    if value is ...:
        del at[keys[-1]]
    else:
        at[keys[-1]] = value
    with pytest.raises(IntegrityError) as caught:
        read(found)
    assert caught.value.code == 6
    assert caught.value.message.startswith(f"x/manifest.json: {said}")
    assert caught.value.message.endswith("; convert it again")


def test_every_wrong_key_is_named_at_once() -> None:
    found = {key: value for key, value in tree().items() if key not in ("name", "layers", "files")}
    with pytest.raises(IntegrityError) as caught:
        read(found)
    assert len(caught.value.details) == 2


@pytest.mark.parametrize("damaged", ["", "[]", "{", "[" * 100_000, '{"format": NaN}'])
def test_what_is_no_manifest_at_all(damaged: str) -> None:
    with pytest.raises(IntegrityError, match=r"x/manifest\.json: .*convert it again"):
        formats.manifest(damaged, "x/manifest.json")
