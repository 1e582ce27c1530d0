"""`load`: stage 2 alone, from a dump to the artifact."""

from __future__ import annotations

from pathlib import Path

from commands.convert import report
from loader.catalog import load_catalog
from loader.progress import for_terminal


def load(
    *,
    dump: Path,
    model: str,
    name: str | None,
    out: Path,
    device: str,
    parity: bool,
    catalog: Path | None,
    as_json: bool,
) -> None:
    """Make the artifact of a dump and report."""
    from commands.stage_two import assemble, read_dump

    models = load_catalog(catalog)
    entry = models.model(model)
    reference = models.local(entry.reference_dump) if entry.reference_dump else None
    outcome = assemble(
        dump,
        entry,
        name or model,
        out,
        for_terminal(),
        device=device,
        parity=parity,
        reference=reference,
    )
    report(outcome, read_dump(dump).engine, as_json)
