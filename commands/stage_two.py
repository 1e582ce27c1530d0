"""Stage 2: dump -> module -> mapping -> parity -> artifact."""

from __future__ import annotations

import json
import platform
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dumper import dumpfile
from engines.crosscheck import same_bits
from loader.errors import BadInput, GpuError, ParityError, UsageError
from loader.progress import Progress

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from loader.catalog import Model
    from loader.parity import Parity

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
    except (dumpfile.DumpError, OSError) as error:
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
    model: Model,
    name: str,
    out: Path,
    progress: Progress,
    *,
    device: str = "cpu",
    parity: bool = True,
    reference: Path | None = None,
    build: dict[str, Any] | None = None,
) -> Outcome:
    """Make the artifact `out`/`name`. Raises MappingError or ParityError, and then writes nothing."""
    import hashlib

    from loader import artifact, manifest, zoo
    from loader.mapping import map_parameters

    check_device(device)
    dump = read_dump(dump_path)
    clock = _Clock()
    module = _untrained(model)
    layers = module.caffe_layers()  # type: ignore[operator]
    mapped = map_parameters(dump, module, layers)
    clock.lap("map")
    found = _parity(dump, model, mapped.tensors, layers, device, parity, reference, progress)
    clock.lap("parity")
    folder = out / name
    if found.status == "failed":
        _keep_evidence(dump_path, found)
        raise _parity_error(name, found, dump_path)
    source = zoo.source(model.module, model.arguments)
    prototxt = hashlib.sha256(dump.prototxt.encode()).hexdigest()
    described = manifest.describe(name, model, dump, layers, mapped, prototxt)
    with progress.task(f"writing {folder}"):
        artifact.write(
            folder,
            tensors=mapped.tensors,
            source=source,
            manifest=described,
            build=_build_record(dump, dump_path, reference, found, build, clock),
            parity=found.to_json(),
        )
    clock.lap("write")
    return Outcome(folder, found, len(mapped.tensors), clock.seconds)


def _untrained(model: Model) -> nn.Module:
    """On the meta device: names and shapes, without memory or random numbers."""
    import torch

    from loader import zoo

    with torch.device("meta"):
        return zoo.build(model.module, model.arguments)


def loaded(model: Model, tensors: dict[str, np.ndarray]) -> nn.Module:
    """The module with these weights (copied: a map of a file is read-only)."""
    import numpy
    import torch

    module = _untrained(model)
    state = {key: torch.from_numpy(numpy.array(array)) for key, array in tensors.items()}
    module.load_state_dict(state, strict=True, assign=True)
    return module.eval().requires_grad_(False)


def _parity(
    dump: dumpfile.Dump,
    model: Model,
    tensors: dict[str, np.ndarray],
    layers: dict[str, str | None],
    device: str,
    wanted: bool,
    reference: Path | None,
    progress: Progress,
) -> Parity:
    from loader import parity

    if not wanted:
        return parity.not_measured("--no-parity")
    if not dump.has_activations:
        other = _reference_for(dump, reference)
        if other is None:
            return parity.not_measured(
                "the embedded reader has no activations; with a Docker engine, `--engine caffe` has"
            )
        dump = other
    bounds = {kind: (item.bound, item.reason) for kind, item in model.tolerance.items()}
    with progress.task("comparing every layer with Caffe"):
        return parity.measure(dump, loaded(model, tensors), layers, device, bounds)


def _reference_for(dump: dumpfile.Dump, reference: Path | None) -> dumpfile.Dump | None:
    """The reference dump, if it is of this very net: equal definition and equal bits."""
    if reference is None or not reference.exists():
        return None
    other = read_dump(reference)
    holders = {layer.name: layer.params for layer in dump.layers if layer.params}
    theirs = {layer.name: layer.params for layer in other.layers if layer.params}
    if other.prototxt != dump.prototxt or holders.keys() != theirs.keys():
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
        f"{dump_path.with_name('parity.json')}",
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
    import h5py
    import numpy
    import torch

    measured_on = dump_path if dump.has_activations else reference
    return {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "host": platform.node(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {
            "torch": torch.__version__,
            "numpy": numpy.__version__,
            "h5py": h5py.__version__,
        },
        "engine": dump.engine,
        "caffe_version": dump.caffe_version,
        "device": found.device,
        "dump": str(dump_path.resolve()),
        "parity_dump": str(measured_on.resolve()) if measured_on else None,
        "seconds": clock.seconds,
        "peak_memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
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
