"""Stage 2: dump -> module -> mapping -> parity -> artifact."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decant.dumper import dumpfile
from decant.engines.crosscheck import same_bits
from decant.loader.errors import BadInput, GpuError, ParityError, UsageError
from decant.loader.machine import peak_memory
from decant.loader.progress import Progress

if TYPE_CHECKING:
    from decant.loader.artifact.conversion import Conversion
    from decant.loader.catalog.models import Model
    from decant.loader.parity.verdict import Parity
    from decant.loader.plan.plugins import Plugins

DEVICES = ("cpu", "cuda")


@dataclass
class Outcome:
    """What `convert` and `load` report."""

    folder: Path
    parity: Parity
    tensors: int
    seconds: dict[str, float]


def read_dump(path: Path) -> dumpfile.Dump:
    """A dump, or BadInput."""
    try:
        return dumpfile.read(path)
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; `decant dump` makes one") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); dump it again") from None
    except dumpfile.DumpError as error:
        raise BadInput(str(error)) from None


def check_device(device: str) -> None:
    """Refuse a device that is not there."""
    if device not in DEVICES:
        raise UsageError(f"--device {device!r}: one of {', '.join(DEVICES)}")
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise GpuError(
                "no CUDA device is visible to this PyTorch "
                f"({torch.__version__}): use --gpu (the torch container), or --device cpu"
            )


def assemble(
    dump_path: Path,
    model: Model | None,
    name: str,
    out: Path,
    progress: Progress,
    *,
    device: str = "cpu",
    parity: bool = True,
    reference: Path | None = None,
    build: dict[str, Any] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    plugins: Plugins | None = None,
    beside: Path | None = None,
    dump: dumpfile.Dump | None = None,
) -> Outcome:
    """Make the artifact `out`/`name`; `model` None: the module is generated from the definition.

    `dump`: what is in `dump_path`, where this process has it already.

    Raises Unsupported, MappingError or ParityError, each with all that is wrong, and then writes
    nothing.
    """
    import hashlib

    from decant.loader.artifact import bundle
    from decant.loader.artifact.conversion import convert
    from decant.loader.artifact.describing import describe
    from decant.loader.definition.graph import INSIDE

    check_device(device)
    dump = dump or read_dump(dump_path)
    clock = _Clock()
    converted = convert(dump, model, name, shapes, plugins, beside)
    for note in converted.recipe_notes:
        progress.note(f"note: {note}")
    clock.lap("map")
    found = _parity(
        dump, model, converted, device, parity, reference, progress,
        lambda: _without_activations(dump, plugins, shapes or {}, beside),
    )  # fmt: skip
    clock.lap("parity")
    folder = out / name
    if found.status == "failed":
        _keep_evidence(dump_path, found)
        raise _parity_error(name, found, dump_path)
    prototxt = hashlib.sha256(dump.prototxt.encode()).hexdigest()
    described = describe(name, model, dump, converted, prototxt)
    with progress.task(f"writing {folder}"):
        bundle.write(
            folder,
            tensors=converted.tensors,
            source=converted.source,
            manifest=described,
            build=_build_record(dump, dump_path, reference, found, build, clock),
            parity=found.to_json(),
            mean_image=converted.recipe.mean_image if converted.recipe else None,
            prototxt=dump.prototxt if dump.prototxt.startswith(INSIDE) else "",
        )
    clock.lap("write")
    return Outcome(folder, found, len(converted.tensors), clock.seconds)


def _parity(
    dump: dumpfile.Dump,
    model: Model | None,
    converted: Conversion,
    device: str,
    wanted: bool,
    reference: Path | None,
    progress: Progress,
    reason: Callable[[], str],
) -> Parity:
    """`reason`: why the dump has no activations."""
    from decant.loader.parity import verdict

    if not wanted:
        return verdict.not_measured("--no-parity")
    if not dump.has_activations:
        other = _reference_for(dump, reference)
        if other is None:
            return verdict.not_measured(reason())
        dump = other
    from decant.loader.parity import measuring

    tolerance = model.tolerance if model else {}
    bounds = {kind: (item.bound, item.reason) for kind, item in tolerance.items()}
    with progress.task("comparing every layer with Caffe"):
        return measuring.measure(dump, converted.build(), converted.caffe_map(), device, bounds)


def _without_activations(
    dump: dumpfile.Dump,
    plugins: Plugins | None,
    shapes: Mapping[str, tuple[int, ...]],
    beside: Path | None,
) -> str:
    """Why there are none, and what to do where something can be done."""
    from decant.engines.choose import foreign_to_caffe
    from decant.engines.stand_in import stand_in
    from decant.loader.artifact.conversion import deploy_form

    net = deploy_form(dump, shapes, plugins, beside)
    plugged = [x for x in net.layers if plugins and plugins.handles(x)]
    blobs = {layer.name: [array.shape for array in layer.params] for layer in dump.layers}
    stood = stand_in(net, blobs)
    foreign = [*foreign_to_caffe(stood.net, plugged), *stood.left]
    if foreign:
        return f"stock Caffe 1.0 cannot run this net ({foreign[0]})"
    return "the embedded reader has no activations; with a Docker engine, --engine caffe has"


def _reference_for(dump: dumpfile.Dump, reference: Path | None) -> dumpfile.Dump | None:
    """The reference dump, if it is of this very net: equal definition and equal bits."""
    if reference is None or not reference.exists():
        return None
    other = read_dump(reference)
    holders = {layer.name: layer.params for layer in dump.layers if layer.params}
    theirs = {layer.name: layer.params for layer in other.layers if layer.params}
    same_net = (other.prototxt, other.reading) == (dump.prototxt, dump.reading)
    if not same_net or holders.keys() != theirs.keys():
        return None
    equal = all(
        len(params) == len(theirs[name])
        and all(same_bits(a, b) for a, b in zip(params, theirs[name], strict=True))
        for name, params in holders.items()
    )
    return other if equal else None


def _keep_evidence(dump_path: Path, found: Parity) -> None:
    target = dump_path.with_name("parity.json")
    target.write_text(json.dumps(found.to_json(), indent=1))


def _parity_error(name: str, found: Parity, dump_path: Path) -> ParityError:
    first = found.first_failure
    assert first is not None
    failed = [layer for layer in found.layers if layer.verdict == "failed"]
    return ParityError(
        f"{name}: layer {first.layer!r} ({first.type}) is the first of {len(failed)} that differ from "
        f"Caffe: {first.reason}; no artifact was written, all numbers are in "
        f"{dump_path.with_name('parity.json')} (--probe FILE.npz measures on an input of your own)",
        [f"layer {layer.layer!r} ({layer.type}): {layer.reason}" for layer in failed],
    )


def _build_record(
    dump: dumpfile.Dump,
    dump_path: Path,
    reference: Path | None,
    found: Parity,
    build: dict[str, Any] | None,
    clock: _Clock,
) -> dict[str, Any]:
    """All that may differ from run to run."""
    from importlib.metadata import version

    measured_on = dump_path if dump.has_activations else reference
    return {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "host": platform.node(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", "numpy", "h5py")},
        "engine": dump.engine,
        "caffe_version": dump.caffe_version,
        "device": found.device,
        "dump": str(dump_path.resolve()),
        "parity_dump": str(measured_on.resolve()) if measured_on else None,
        "seconds": clock.seconds,
        "peak_memory": peak_memory(),
        **(build or {}),
    }


class _Clock:
    def __init__(self) -> None:
        self._last = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = round(now - self._last, 3)
        self._last = now
