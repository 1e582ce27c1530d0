"""Stage 2: dump -> module -> mapping -> parity -> artifact."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decant.dumper import dumpfile
from decant.engines.crosscheck import same_bits
from decant.loader.errors import BadInput, GpuError, ParityError
from decant.loader.machine import peak_memory
from decant.stages.inputs import valid_name
from decant.stages.options import DEFAULTS, Device, Options

if TYPE_CHECKING:
    from torch import nn

    from decant.loader.artifact.conversion import Checked, Conversion
    from decant.loader.catalog.models import Model
    from decant.loader.definition.graph import Net
    from decant.loader.parity.verdict import Parity
    from decant.loader.plan.plugins import Plugins


@dataclass(frozen=True)
class Artifact:
    """What `convert` and `load` made: the folder, and how it came about.

    `engine`: who read the net. `tensors`: how many model.safetensors holds. `seconds`: wall-clock time
    by part of stage 2.
    """

    folder: Path
    parity: Parity
    engine: str
    tensors: int
    seconds: Mapping[str, float]

    def load(self) -> tuple[nn.Module, nn.Module]:
        """(model, transform), as `decant.load` returns them."""
        from decant.loader.artifact.loading import load

        return load(self.folder.resolve())


@dataclass(frozen=True)
class Compared:
    """A verdict and what it is of, for whoever goes on with them and need not read them again.

    `module`: the artifact's, with its caffe_map, where it was built to be compared; `caffe`: the dump
    that has Caffe's activations of it.
    """

    parity: Parity
    module: nn.Module | None = None
    caffe: dumpfile.Dump | None = None


def load(
    dump: str | os.PathLike[str],
    options: Options = DEFAULTS,
    *,
    model: str | None = None,
    name: str | None = None,
) -> Artifact:
    """Stage 2 alone: the artifact of a dump; without `model` the module is generated.

    `model`: the catalog's that it is. `options.reading` goes over how the dump says that its
    definition was read.
    """
    from decant.loader.artifact.bundle import refuse_place
    from decant.loader.artifact.conversion import reading_of
    from decant.loader.catalog.models import load_catalog

    path = Path(dump)
    entry = reference = None
    if model is not None:
        models = load_catalog(options.catalog)
        entry = models.model(model)
        reference = models.local(entry.reference_dump) if entry.reference_dump else None
    check_device(options.device)
    own = valid_name(name or model or path.stem)
    refuse_place(options.folder(own))
    content = read_dump(path)
    content.reading = options.reading.over(reading_of(content)).to_text()
    made, _ = assemble(path, content, entry, own, options, reference=reference, beside=path.parent)
    return made


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


def check_device(device: Device) -> None:
    """Refuse a device that is not there."""
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise GpuError(
                "no CUDA device is visible to this PyTorch "
                f"({torch.__version__}): use --gpu (the torch container), or --device cpu"
            )


def assemble(
    dump_path: Path,
    dump: dumpfile.Dump,
    model: Model | None,
    name: str,
    options: Options,
    *,
    reference: Path | None = None,
    build: dict[str, Any] | None = None,
    beside: Path | None = None,
    written: Net | None = None,
    checked: Checked | None = None,
) -> tuple[Artifact, Compared]:
    """Make the artifact `name`; `model` None: the module is generated from the definition.

    `dump`: what is in `dump_path`. `beside`: the definition's folder, where a mean file may lie.
    `written`, `checked`: the definition, and the plan of these very blobs, where they are at hand.

    Raises Unsupported, MappingError or ParityError, each with all that is wrong, and then writes
    nothing.
    """
    import hashlib

    from decant.loader.artifact import bundle
    from decant.loader.artifact.conversion import conversion_of, deploy_form, is_of, written_net
    from decant.loader.artifact.describing import describe
    from decant.loader.definition.graph import INSIDE

    progress, shapes, plugins = options.progress, options.shapes, options.own_layers
    check_device(options.device)
    clock = _Clock()
    written = written if written is not None and is_of(written, dump) else written_net(dump)
    converted = conversion_of(dump, model, name, shapes, plugins, beside, written, checked)
    for note in converted.recipe_notes:
        progress.note(f"note: {note}")
    clock.lap("map")
    compared = _compared(
        dump, model, converted, options, reference,
        lambda: _without_activations(deploy_form(dump, shapes, plugins, beside, written), dump, plugins),
    )  # fmt: skip
    clock.lap("parity")
    found = compared.parity
    folder = options.folder(name)
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
    made = Artifact(folder, found, dump.engine, len(converted.tensors), clock.seconds)
    return made, compared


def _compared(
    dump: dumpfile.Dump,
    model: Model | None,
    converted: Conversion,
    options: Options,
    reference: Path | None,
    reason: Callable[[], str],
) -> Compared:
    """`reason`: why the dump has no activations."""
    from decant.loader.parity import verdict

    if not options.parity:
        return Compared(verdict.not_measured("--no-parity"))
    if not dump.has_activations:
        other = _reference_for(dump, reference)
        if other is None:
            return Compared(verdict.not_measured(reason()))
        dump = other
    from decant.loader.parity import measuring

    tolerance = model.tolerance if model else {}
    bounds = {kind: (item.bound, item.reason) for kind, item in tolerance.items()}
    with options.progress.task("comparing every layer with Caffe"):
        module = converted.build()
        caffe = converted.caffe_map()
        parity = measuring.measure(dump, module, caffe, options.device, bounds)
    # as `load` leaves it
    module.__dict__["caffe_map"] = caffe
    return Compared(parity, module, dump)


def _without_activations(net: Net, dump: dumpfile.Dump, plugins: Plugins | None) -> str:
    """Why there are none, and what to do where something can be done."""
    from decant.engines.table import engines

    plugged = [x for x in net.layers if plugins and plugins.handles(x)]
    blobs = {layer.name: [array.shape for array in layer.params] for layer in dump.layers}
    (best, *_) = (engine for engine in engines() if engine.runs)
    foreign = best.takes(net, blobs, plugged)
    if foreign:
        return f"{best.refusal} ({foreign[0]})"
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
