"""`convert`: both stages, from a model's two files to its artifact."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands import inputs as resolve_inputs
from commands import stage_one
from commands.run import emit
from commands.tables import PARITY_COLUMNS, parity_rows, parity_summary, show
from loader.errors import Unsupported
from loader.progress import for_terminal

if TYPE_CHECKING:
    from commands.stage_two import Outcome
    from engines.job import StageOne


def convert(
    *,
    model: str | None,
    prototxt: Path | None,
    caffemodel: Path | None,
    name: str | None,
    out: Path,
    engine: str,
    device: str,
    gpu: bool,
    probe: Path | None,
    input_shapes: list[str],
    ignore: list[str],
    parity: bool,
    catalog: Path | None,
    as_json: bool | None,
) -> None:
    """Run both stages and report."""
    progress = for_terminal()
    found = resolve_inputs.resolve(model, prototxt, caffemodel, name, catalog, progress)
    if found.model is None:
        raise Unsupported(
            f"{found.prototxt}: no MODEL named, and modules are not generated yet: name the catalog "
            "model whose module this net has (`decant list`), or take its parameters with `decant dump`"
        )
    if gpu:
        from engines.gpu import require

        require()
    first = stage_one.run(
        found,
        engine,
        progress,
        parity=parity,
        probe=probe,
        input_shapes=input_shapes,
        ignore=ignore,
    )
    build = {"stage_one": stage_one_record(first)}
    if gpu:
        from engines.torch_container import load_in_container

        load_in_container(
            first.dump, found.model.name, found.name, out, parity, catalog, progress, build
        )
        report_folder(out / found.name, first.engine, as_json)
        return
    from commands.stage_two import assemble

    outcome = assemble(
        first.dump,
        found.model,
        found.name,
        out,
        progress,
        device=device,
        parity=parity,
        reference=found.reference,
        build=build,
    )
    report(outcome, first.engine, as_json)


def stage_one_record(first: StageOne) -> dict[str, Any]:
    """For build.json."""
    return {
        "image_id": first.image_id,
        "seconds": first.seconds,
        "peak_memory": first.peak_memory,
        "notes": first.notes,
    }


def report(outcome: Outcome, engine: str, as_json: bool | None) -> None:
    """The parity table and where the artifact is; `as_json` None says nothing."""
    if as_json is None:
        return
    if as_json:
        emit(
            {
                "ok": True,
                "artifact": str(outcome.folder),
                "engine": engine,
                "tensors": outcome.tensors,
                "parity": outcome.parity.to_json(),
                "seconds": outcome.seconds,
            }
        )
        return
    if outcome.parity.layers:
        show(f"{outcome.folder.name} against Caffe", PARITY_COLUMNS, parity_rows(outcome.parity))
    print(parity_summary(outcome.parity))
    print(f"{outcome.tensors} tensors in {outcome.folder}")


def report_folder(folder: Path, engine: str, as_json: bool | None) -> None:
    """The same from the files, where stage 2 ran elsewhere."""
    import json

    parity = json.loads((folder / "parity.json").read_text())
    if as_json:
        emit({"ok": True, "artifact": str(folder), "engine": engine, "parity": parity})
    else:
        print(f"parity {parity['status']}; the artifact is in {folder}")
