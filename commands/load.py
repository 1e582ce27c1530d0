"""`load`: stage 2 alone, from a dump to the artifact."""

from __future__ import annotations

from pathlib import Path

from decant.commands.convert import plugins_from, report
from decant.commands.inputs import valid_name
from decant.commands.stage_one import parse_shapes
from decant.loader.catalog.models import load_catalog
from decant.loader.definition.reading import NOTHING_ASKED, Asked
from decant.loader.progress import for_terminal


def load(
    *,
    dump: Path,
    model: str | None,
    name: str | None,
    out: Path,
    device: str,
    input_shapes: list[str],
    asked: Asked = NOTHING_ASKED,
    layer_plugins: list[str],
    parity: bool,
    catalog: Path | None,
    as_json: bool,
) -> None:
    """Make the artifact of a dump and report; without `model` the module is generated.

    `asked` goes over how the dump says that its definition was read.
    """
    from decant.commands.stage_two import assemble, check_device, read_dump
    from decant.loader.artifact.bundle import refuse_place
    from decant.loader.artifact.conversion import reading_of

    entry = reference = None
    if model is not None:
        models = load_catalog(catalog)
        entry = models.model(model)
        reference = models.local(entry.reference_dump) if entry.reference_dump else None
    check_device(device)
    refuse_place(out / valid_name(name or model or dump.stem))
    content = read_dump(dump)
    content.reading = asked.over(reading_of(content)).to_text()
    outcome = assemble(
        dump,
        entry,
        valid_name(name or model or dump.stem),
        out,
        for_terminal(),
        device=device,
        parity=parity,
        reference=reference,
        shapes=parse_shapes(input_shapes),
        plugins=plugins_from(layer_plugins),
        beside=dump.parent,
        dump=content,
    )
    report(outcome, content.engine, as_json)
