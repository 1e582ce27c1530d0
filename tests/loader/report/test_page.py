"""The page, from an artifact's own records: everything in it is text, and its pictures are inside."""

from __future__ import annotations

import base64

from decant.loader.artifact.records import ParityRecord
from decant.loader.report.figures import Picture
from decant.loader.report.page import Section, _code, _error, _share, render
from tests.helpers.artifacts import manifest

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8) + (3).to_bytes(4) + (2).to_bytes(4)


def test_names_are_escaped_and_pictures_are_inside() -> None:
    shown = Section("Kernels", [Picture("k", "a <b>", "alt & text", PNG)], note="grey is zero")
    parity = ParityRecord(status="not measured", reason="<i> has `--x`")
    found = render(manifest(name="<script>net"), None, parity, [shown])
    assert "<script>net" not in found and "&lt;script&gt;net" in found
    assert "a &lt;b&gt;" in found and "<i>" not in found and "<code>--x</code>" in found
    assert "data:image/png;base64," + base64.b64encode(PNG).decode() in found
    assert shown.pictures[0].size == (3, 2)
    assert "http://" not in found.replace("http://www.w3.org", "") and "https://" not in found


def test_numbers_as_the_table_has_them() -> None:
    record = ParityRecord(
        status="passed",
        layers=(
            {"layer": "a", "type": "ReLU", "verdict": "passed", "error": 2.5e-6, "bound": 1e-5},
            {"layer": "b", "type": "ReLU", "verdict": "fused"},
        ),  # type: ignore[arg-type]
    )
    assert [_share(row) for row in record.layers] == ["25.0%", ""]
    assert (_error(2.5e-6), _error(None)) == ("2.5e-06", "")
    assert _code("`a<b` & `c`") == "<code>a&lt;b</code> &amp; <code>c</code>"
