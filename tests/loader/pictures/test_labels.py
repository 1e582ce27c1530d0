"""Lists of classes as people have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from decant.loader.errors import BadInput
from decant.loader.pictures.labels import read


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("n01440764 tench, Tinca tinca\nn01443537 goldfish\n", ["tench, Tinca tinca", "goldfish"]),
        ("/a/airfield 0\n/a/airplane_cabin 1\n", ["airfield", "airplane_cabin"]),
        ("cat\r\ndog\r\n", ["cat", "dog"]),
        ("cat\n\ndog\n\n\n", ["cat", "", "dog"]),
        ("\ufeffcat\n", ["cat"]),
        ("7\n8\n", ["7", "8"]),
    ],
    ids=["ilsvrc", "places", "windows", "a class without a name", "mark of utf-8", "digits"],
)
def test_a_line_is_a_class(text: str, names: list[str], tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(text.encode())
    assert read(tmp_path / "labels.txt") == names


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xff\xfe\x00"])
def test_what_is_no_list_is_refused_by_its_name(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(data)
    with pytest.raises(BadInput, match="labels.txt.*one name a line"):
        read(tmp_path / "labels.txt")
