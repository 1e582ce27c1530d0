"""`convert`: both stages, from a model's two files to its artifact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decant.commands import inputs as resolve_inputs
from decant.commands import stage_one
from decant.commands.run import emit
from decant.commands.tables import PARITY_COLUMNS, parity_rows, parity_summary, show
from decant.loader.definition.reading import NOTHING_ASKED, Asked
from decant.loader.errors import UsageError
from decant.loader.progress import for_terminal

if TYPE_CHECKING:
    from decant.commands.stage_two import Outcome
    from decant.engines.job import Job, StageOne
    from decant.loader.catalog.models import Catalog
    from decant.loader.definition.graph import Net
    from decant.loader.plan.plugins import Plugins
    from decant.loader.progress import Progress


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
    asked: Asked = NOTHING_ASKED,
    ignore: list[str],
    layer_plugins: list[str],
    parity: bool,
    page: bool,
    catalog: Path | None,
    as_json: bool | None,
) -> None:
    """Run both stages and report; `page`: report.html too."""
    from decant.commands.stage_two import check_device
    from decant.loader.artifact.bundle import refuse_place
    from decant.loader.catalog.models import load_catalog

    progress = for_terminal()
    plugins = plugins_from(layer_plugins)
    if gpu and plugins:
        raise UsageError("--gpu runs stage 2 in a container, which lacks your plugin; use --device")
    found = resolve_inputs.resolve(model, prototxt, caffemodel, name, catalog, progress, asked)
    # what can be known to fail is not found out after Caffe has run
    refuse_place(out / found.name)
    if not gpu:
        check_device(device)
    shapes = stage_one.parse_shapes(input_shapes)
    # a catalog that cannot be read is an error before anything is written, not after
    models = load_catalog(catalog) if page else None
    if gpu:
        from decant.engines.gpu import require

        require()
    first = stage_one.run(
        found,
        engine,
        progress,
        parity=parity,
        probe=probe,
        shapes=shapes,
        ignore=ignore,
        plugins=plugins,
        check=None if _of_zoo(found) else _checker(plugins),
    )
    shapes = first.inputs
    build = {
        "stage_one": stage_one_record(first),
        "prototxt": str(found.prototxt.resolve()),
        "caffemodel": str(found.caffemodel.resolve()) if found.caffemodel else None,
    }
    if gpu:
        from decant.engines.torch_container import load_in_container
        from decant.loader.definition.graph import read_net
        from decant.loader.pictures.recipe import mean_file_of

        load_in_container(
            first.dump,
            found.model.name if found.model else None,
            found.name,
            out,
            parity,
            catalog,
            progress,
            build,
            shapes=shapes,
            mean_file=mean_file_of(read_net(found.prototxt, found.reading), found.prototxt.parent),
        )
        draw(out / found.name, models, progress)
        report_folder(out / found.name, first.engine, as_json)
        return
    from decant.commands.stage_two import assemble

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
        shapes=shapes,
        plugins=plugins,
        beside=found.prototxt.parent,
        dump=first.content,
    )
    draw(outcome.folder, models, progress)
    report(outcome, first.engine, as_json)


def draw(folder: Path, models: Catalog | None, progress: Progress) -> None:
    """report.html; None: it is not wanted."""
    if models is not None:
        from decant.commands.report import write

        write(str(folder.resolve()), None, False, models, progress)


def plugins_from(words: list[str]) -> Plugins | None:
    """The user's own layers; None where there are none, and then nothing is imported."""
    if not words:
        return None
    from decant.loader.plan.plugins import load_plugins

    return load_plugins(words)


def _of_zoo(found: resolve_inputs.Inputs) -> bool:
    return found.model is not None and found.model.module != "generated"


def _checker(plugins: Plugins | None) -> Callable[[Job, Net, Mapping[str, stage_one.Shape]], None]:
    """Refuse what cannot be converted before an engine has run for it."""

    def check(job: Job, net: Net, shapes: Mapping[str, stage_one.Shape]) -> None:
        stage_one.refuse_unconvertible(job, net, shapes, plugins)

    return check


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
