"""report.html: one file that opens offline, from an artifact's own files."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from decant.loader.artifact.manifest import Manifest
from decant.loader.artifact.records import Build, ParityRecord, TopRecord
from decant.loader.report import lanes
from decant.loader.report.figures import Picture

# what stands beside the margins of a narrow screen, in pixels; a wider picture scrolls there
PHONE = 342


@dataclass
class Section:
    """Pictures under one heading; `note` says how to read them, or why there are none."""

    title: str
    pictures: list[Picture] = field(default_factory=list)
    note: str = ""


def render(
    manifest: Manifest,
    build: Build | None,
    parity: ParityRecord,
    sections: Sequence[Section],
) -> str:
    """The page, from what the artifact's JSON files say."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(error=_error, data=_data, share=_share, code=_code)
    return environment.get_template("template.html").render(
        manifest=manifest,
        build=build,
        parity=parity,
        rows=parity.layers,
        counts=_counts(parity.layers),
        # every name in it is escaped where the SVG is made
        graph=Markup(lanes.svg(manifest.net)),
        sections=sections,
        phone=PHONE,
        parameters=sum(math.prod(tensor.shape) for tensor in manifest.tensors),
    )


def _counts(rows: Sequence[TopRecord]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows:
        found[row.verdict] = found.get(row.verdict, 0) + 1
    return found


def _error(value: float | None) -> str:
    return "" if value is None else f"{value:.1e}"


def _share(row: TopRecord) -> str:
    """The error in parts of its bound; "" where there is none."""
    return "" if row.error is None else f"{row.error / row.bound:.1%}"


def _code(text: str) -> Markup:
    """What stands between backticks as code; everything else is text."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _data(picture: Picture) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.png).decode()
