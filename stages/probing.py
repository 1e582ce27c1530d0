"""Stage 1 with a probe: what it is said to be, what Caffe is given, and whether it proves anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from decant.loader.progress import Progress

if TYPE_CHECKING:
    from decant.engines.job import Job, StageOne
    from decant.loader.catalog.models import Model
    from decant.loader.definition.graph import Net
    from decant.loader.plan.probe import Spread

Shape = tuple[int, ...]

# how many probes are tried where a layer gives no values at all
TRIES = 4


def probed(
    job: Job,
    model: Model | None,
    shapes: Mapping[str, Shape],
    file: Path | None,
    dump: Callable[[Job], StageOne],
    progress: Progress,
) -> StageOne:
    """`dump` of the job with a probe: its own, of `file`, or one that is chosen here.

    `shapes`: of all inputs. A net whose layers pick rows may pick none of the first probe's: others
    are tried, and what remains without a value is said.
    """
    from decant.loader.plan.probe import choose

    assert job.net is not None
    net = _settled(job.net, shapes)
    job = replace(job, net=net)
    if job.probe:
        progress.note(f"probe: {file}")
        return _judged(net, dump(job), progress)
    for seed in range(TRIES):
        chosen = choose(net, shapes, pictures=_pictures(model), seed=seed)
        progress.note(f"probe: {chosen}" + (f"; seed {seed}" if seed else ""))
        result = dump(replace(job, probe=chosen.arrays))
        if not empty(result):
            break
    return _judged(net, result, progress)


def _settled(net: Net, shapes: Mapping[str, Shape]) -> Net:
    """The net that Caffe can build: it takes no other number of time steps later on."""
    from decant.loader.plan.batch import other_steps
    from decant.loader.plan.deploy import with_shapes

    return with_shapes(net, shapes) if other_steps(net, shapes) else net


def _pictures(model: Model | None) -> dict[str, Spread]:
    """The catalog's word on its input."""
    from decant.loader.plan.probe import transformed

    if model is None or model.input is None or model.preprocessing is None:
        return {}
    spread = transformed(model.preprocessing.scale, any(model.preprocessing.mean))
    return {model.input.blob: spread} if spread else {}


def empty(result: StageOne) -> list[str]:
    """Layers that gave no values."""
    return [
        layer.name
        for layer in result.content.layers
        if any(not top.size for top in layer.activations)
    ]


def _judged(net: Net, result: StageOne, progress: Progress) -> StageOne:
    """The result; what its probe proves nothing of is said."""
    nothing, blank, single = empty(result), _blank(result), _of_one_step(net, result)
    if nothing:
        progress.note(
            f"note: layer {_named(nothing)} gave no values with this probe: nothing was compared "
            "there; --probe FILE.npz takes another"
        )
    if blank:
        progress.note(
            f"note: layer {_named(blank)} gave nothing but zeros (or no finite number) with this "
            "probe, which proves little; --probe FILE.npz takes another"
        )
    if single:
        progress.note(
            f"note: layer {_named(single)} takes one time step, from a state of zeros: what it does "
            "with a state was not compared; --input takes more steps"
        )
    return result


def _blank(result: StageOne) -> list[str]:
    """Layers that gave several values, of which none is finite and other than 0."""
    import numpy as np

    return [
        layer.name
        for layer in result.content.layers
        if layer.type not in ("Input", "Split")
        and any(top.size > 1 and not top[np.isfinite(top)].any() for top in layer.activations)
    ]


def _of_one_step(net: Net, result: StageOne) -> list[str]:
    """Recurrent layers whose state nothing comes of."""
    from decant.loader.layers import layer_type

    given = {
        layer.name
        for layer in net.layers
        if layer.fields.message("recurrent_param").boolean("expose_hidden")
    }
    return [
        layer.name
        for layer in result.content.layers
        if layer_type(layer.type).recurrent
        and layer.name not in given
        and len(layer.activations[0]) == 1
    ]


def _named(names: list[str]) -> str:
    return f"{names[0]!r}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
