"""What holds for every layer of the tables, stock Caffe's and the forks'."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from decant.dumper import dumpfile
from decant.dumper.dumpfile import Dump
from decant.engines import reader
from decant.engines.job import Job
from decant.loader.artifact.conversion import conversion_of
from decant.loader.definition.graph import net_from_text
from decant.loader.parity.running import forget
from decant.loader.plan.outline import outline
from decant.loader.progress import SILENT
from tests.helpers.caffe_answers import GOLDEN, unpack
from tests.helpers.forks import FORKS, files
from tests.helpers.nets import NETS

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dumps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dump]:
    """Every small net with its weights; those of the forks without activations."""
    found = unpack(GOLDEN, tmp_path_factory.mktemp("golden"))
    for name, fork in FORKS.items():
        folder = tmp_path_factory.mktemp("fork")
        prototxt, caffemodel, blobs = files(fork, folder)
        job = Job(prototxt, caffemodel if blobs else None, {})
        reader.dump(job, folder / "dump.h5", SILENT)
        found[f"fork: {name}"] = dumpfile.read(folder / "dump.h5")
        found[f"fork: {name}"].probe.update(fork.arrays())
    assert len(found) == len(NETS) + len(FORKS)
    return found


# Two forks' layers of one name, told apart by their blobs alone: SegNet's BN without a field of its own,
# and CTPN's Lstm on four axes
UNTOLD = {"fork: bn segnet learn", "fork: lstm four axes ctpn"}


def test_a_definition_alone_says_the_same_shapes(dumps: dict[str, Dump]) -> None:
    """`inspect` without weights: no shape is unknown, and no parameter of another size."""
    wrong = []
    for name, dump in dumps.items():
        net = net_from_text(dump.prototxt, "net.prototxt")
        shapes = {blob: shape or () for blob, shape in net.inputs.items()}
        blobs = {layer.name: [blob.shape for blob in layer.params] for layer in dump.layers}
        alone, whole = outline(net, shapes), outline(net, shapes, blobs=blobs)
        same = alone.tops == whole.tops and alone.refused == whole.refused == []
        sizes = [
            {layer: list(map(math.prod, shapes)) for layer, shapes in found.blobs.items()}
            for found in (alone, whole)
        ]
        if name not in UNTOLD and not (same and sizes[0] == sizes[1]):
            wrong.append((name, alone, whole))
    assert wrong == []


@pytest.fixture
def warn_always() -> Iterator[None]:
    """torch says some things once in a process only."""
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(before)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("grad", ["off", "of parameters", "of inputs"])
def test_a_module_runs_without_a_warning(
    dumps: dict[str, Dump], warn_always: None, grad: str
) -> None:
    wrong = []
    for name, dump in dumps.items():
        converted = conversion_of(dump, None, "net")
        module = converted.build().requires_grad_(grad == "of parameters")
        forget(module)
        inputs = [torch.from_numpy(np.array(dump.probe[blob])) for blob in converted.inputs]
        for x in inputs:
            x.requires_grad_(grad == "of inputs")
        with torch.set_grad_enabled(grad != "off"):
            try:
                module(*inputs)
            except Warning as warning:
                wrong.append((name, str(warning)))
    assert wrong == []
