"""Stage 1 with a probe: another one where nothing came of the first, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from decant.dumper.dumpfile import Dump, Header, Layer
from decant.engines.job import Job, StageOne
from decant.loader.catalog.models import load_catalog
from decant.loader.definition.graph import Net, net_from_text
from decant.loader.progress import Progress
from decant.stages.probing import TRIES, probed
from tests.helpers.nets import Shape, inputs_text, layer

CHOOSES = (
    inputs_text({"data": (3, 2)})
    + layer("t", "Threshold", ["data"], ["t"])
    + layer("f", "Filter", ["data", "t"], ["f"])
)


class Notes(Progress):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


def engine(kept: Callable[[int], int], jobs: list[Job]) -> Callable[[Job], StageOne]:
    """A stand-in for Caffe: of run n, layer f keeps kept(n) rows."""

    def dump(job: Job) -> StageOne:
        jobs.append(job)
        top = np.ones((kept(len(jobs)), 2), np.float32)
        layers = [Layer("t", "Threshold", ["data"], ["t"], activations=[np.zeros(3, np.float32)])]
        layers.append(Layer("f", "Filter", ["data", "t"], ["f"], activations=[top]))
        header = Header("net", CHOOSES, CHOOSES, "caffe", "1.0.0", True, "")
        content = Dump(**vars(header), layers=layers, probe=dict(job.probe))
        return StageOne(Path("dump.h5"), content, "caffe", 2)

    return dump


def tried(kept: Callable[[int], int]) -> tuple[list[Job], list[str]]:
    net, jobs, notes = net_from_text(CHOOSES, "net"), list[Job](), Notes()
    job = Job(Path("net.prototxt"), None, {}, net=net)
    probed(job, None, {"data": (3, 2)}, None, engine(kept, jobs), notes)
    return jobs, notes.said


def test_a_probe_that_gives_values_is_the_only_one() -> None:
    jobs, said = tried(lambda run: 2)
    assert len(jobs) == 1
    assert said[0] == "probe: data normal, deviation 1 (features)"
    assert said[1].startswith("note: layer 't' gave nothing but zeros")
    assert len(said) == 2


def test_others_are_tried_until_one_gives_values() -> None:
    jobs, said = tried(lambda run: 0 if run < 3 else 1)
    assert len(jobs) == 3
    assert not np.array_equal(jobs[0].probe["data"], jobs[2].probe["data"])
    assert said[2].endswith("seed 2")
    assert not any("no values" in line for line in said)


def test_there_is_an_end_to_trying() -> None:
    jobs, said = tried(lambda run: 0)
    assert len(jobs) == TRIES
    assert "note: layer 'f' gave no values with this probe: nothing was compared there" in said[-2]


def test_a_probe_of_a_file_is_not_changed() -> None:
    net, jobs, notes = net_from_text(CHOOSES, "net"), list[Job](), Notes()
    given = {"data": np.ones((3, 2), np.float32)}
    job = Job(Path("net.prototxt"), None, given, net=net)
    probed(job, None, {"data": (3, 2)}, Path("my.npz"), engine(lambda run: 0, jobs), notes)
    assert len(jobs) == 1 and jobs[0].probe is given
    assert notes.said[0] == "probe: my.npz"


def probe_of(name: str, net: Net, shape: Shape) -> np.ndarray:
    jobs: list[Job] = []
    job = Job(Path("net.prototxt"), None, {}, net=net)
    model = load_catalog().model(name)
    probed(job, model, {"data": shape}, None, engine(lambda run: 1, jobs), Notes())
    return jobs[0].probe["data"]


@pytest.mark.parametrize(
    ("name", "centre", "deviation"),
    [("googlenet_bvlc", 0, 50), ("lenet_digits", 0.5, 50 / 256), ("mtcnn_det1", 0, 50 / 128)],
)
def test_a_model_of_the_catalog_gets_pictures_in_its_own_range(
    name: str, centre: float, deviation: float
) -> None:
    shape = (1, 3, 40, 40)
    net = net_from_text(inputs_text({"data": shape}) + layer("a", "AbsVal", ["data"], ["a"]), "net")
    found = probe_of(name, net, shape)
    assert abs(found.mean() - centre) < 0.1 * deviation
    assert 0.9 < found.std() / deviation < 1.1
