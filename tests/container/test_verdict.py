"""The verdict through real Caffe: no right net is refused, and no planted mistake passes.

`python -m bench parity` does the same with 200 nets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from decant.dumper.dumpfile import Dump
from decant.engines.caffe import dump as through_caffe
from decant.engines.job import Job
from decant.loader.artifact.conversion import Conversion, conversion_of
from decant.loader.definition.graph import Net, net_from_text
from decant.loader.parity import measuring
from decant.loader.parity.verdict import Parity
from decant.loader.plan.probe import make_probe
from decant.loader.progress import SILENT
from tests.helpers.deep_nets import chain, densenet, even, lstm, mobilenet_v2, se_resnet, trained
from tests.helpers.planted import DEFINITION, SOURCE, WEIGHTS, planted
from tests.helpers.random_weights import Blobs, write_caffemodel
from tests.helpers.structures import STRUCTURES, Builder, resnet

Fill = Callable[[Net, int], Blobs]


def dumped(
    folder: Path, text: str, fill: Fill = even, probe: dict[str, np.ndarray] | None = None
) -> Dump:
    (folder / "net.prototxt").write_text(text)
    net = net_from_text(text, "net.prototxt")
    blobs, weights = fill(net, 1), None
    if any(blobs):
        weights = folder / "net.caffemodel"
        write_caffemodel(weights, net, blobs)
    job = Job(folder / "net.prototxt", weights, probe or make_probe(net), net=net)
    return through_caffe(job, folder / "dump.h5", SILENT).content


def measured(dump: Dump, conversion: Conversion | None = None) -> Parity:
    made = conversion or conversion_of(dump, None, "net")
    return measuring.measure(dump, made.build(), made.caffe_map())


DEEP = {
    "resnet152": (resnet((3, 8, 36, 3), 8, 64), trained),
    "densenet201": (densenet((6, 12, 48, 32)), trained),
    "mobilenet_v2": (mobilenet_v2(), even),
    "se_resnet50": (se_resnet(), trained),
    "1000 layers": (chain(200), even),
    "tanh": (chain(60, "TanH", residual=False, norm=False, width=16), even),
    "lstm": (lstm(20, 200, 300, 2), even),
}


@pytest.mark.parametrize("name", DEEP)
def test_deep_nets_pass(name: str, image: str, tmp_path: Path) -> None:
    dump = dumped(tmp_path, *DEEP[name])
    found = measured(dump)
    assert found.status == "passed", found.first_failure
    decided = [layer for layer in found.layers if layer.verdict == "passed"]
    assert len(decided) > 0.95 * sum(layer.verdict != "fused" for layer in found.layers)
    assert all(layer.isolated <= 1e-5 for layer in decided)


def steep(kind: str, param: str = "", reader: str = "", shift: int = 0) -> str:
    """A layer of this kind behind one whose values reach 60, and what reads it."""
    net = Builder("steep", (1, 256))
    net.add("fc1", "InnerProduct", ["data"], "inner_product_param { num_output: 4096 }")
    if shift:
        net.add("shift", "Power", ["fc1"], f"power_param {{ shift: {shift} }}", ["fc1"])
    net.add("it", kind, ["fc1"], param)
    net.add("a", "Power", ["it"], "power_param { scale: 2 }")
    if reader:
        net.add("b", reader, ["it"])
    return net.text


STEEP = {
    "exp": steep("Exp"),
    "reciprocal": steep("Power", "power_param { power: -1 }"),
    "square root": steep("Power", "power_param { power: 0.5 shift: 300 }"),
    "gate, one reader": steep("Sigmoid"),
    "gate, two readers": steep("Sigmoid", reader="AbsVal"),
    "tanh, two readers": steep("TanH", reader="AbsVal"),
    "softmax, two readers": steep("Softmax", reader="AbsVal"),
    "threshold, one reader": steep("Threshold"),
    "threshold, two readers": steep("Threshold", reader="AbsVal"),
    "bnll": steep("BNLL"),
    "elu": steep("ELU"),
    "sigmoid, far below 0": steep("Sigmoid", shift=-40),
    "bnll, far below 0": steep("BNLL", shift=-40),
    "elu, far below 0": steep("ELU", shift=-40),
    "swish, far below 0": steep("Swish", shift=-40),
}


@pytest.mark.parametrize("name", STEEP)
@pytest.mark.parametrize("deviation", [50, 1e-3])
def test_steep_and_saturating_functions_pass_whoever_reads_them(
    name: str, deviation: float, image: str, tmp_path: Path
) -> None:
    data = np.random.default_rng(5).standard_normal((1, 256)).astype(np.float32)
    found = measured(dumped(tmp_path, STEEP[name], probe={"data": data * np.float32(deviation)}))
    assert found.status == "passed", found.first_failure


def test_near_ties_turn_whoever_reads_them(image: str, tmp_path: Path) -> None:
    """Rows of weights that sum up to nearly the threshold."""
    net = Builder("ties", (1, 64))
    net.add("fc1", "InnerProduct", ["data"], "inner_product_param { num_output: 4096 }")
    net.add("t", "Threshold", ["fc1"], "threshold_param { threshold: 0 }")
    net.add("a", "Power", ["t"], "power_param { scale: 2 }")
    net.add("b", "Power", ["t"], "power_param { scale: 3 }")

    def cancelling(net: Net, seed: int) -> Blobs:
        blobs = even(net, seed)
        weight, bias = blobs[1]
        weight[:, 32:] = -weight[:, :32]
        bias[...] = np.float32(1e-8)
        return blobs

    half = np.random.default_rng(5).standard_normal((1, 32)).astype(np.float32) * 50
    probe = {"data": np.concatenate([half, half], 1)}
    dump = dumped(tmp_path, net.text, cancelling, probe)
    found = measured(dump)
    assert found.status == "passed", found.first_failure


def test_the_sums_of_lrn_drift_as_they_do_in_caffe(image: str, tmp_path: Path) -> None:
    net = Builder("lrn", (2, 96, 13, 13))
    net.add("n", "LRN", ["data"], "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }")
    data = np.random.default_rng(0).standard_normal((2, 96, 13, 13)).astype(np.float32)
    dump = dumped(tmp_path, net.text, probe={"data": np.maximum(data, 0) * np.float32(20_000)})
    found = measured(dump).layers[0]
    assert found.verdict == "passed"
    assert found.isolated > 1e-4
    assert "running sum drifts" in found.reason
    for mistake in planted(dump, 0):
        assert measured(dump, mistake.conversion).status == "failed", str(mistake)


PLANTED_IN = ("hed", "ssd_trunk", "resnet", "inception_v3", "light_cnn", "openpose", "fcn8s", "nin")


def test_planted_mistakes_are_found_where_they_are(image: str, tmp_path: Path) -> None:
    alexnet = Builder("AlexNet", (1, 3, 67, 67))
    top = alexnet.relu("relu1", alexnet.conv("conv1", "data", 16, 11, 4, 0))
    top = alexnet.add("norm1", "LRN", [top], "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }")
    top = alexnet.pool("pool1", top, "pool: MAX kernel_size: 3 stride: 2")
    alexnet.add("halves", "Slice", [top], "slice_param { axis: 1 }", ["left", "right"])
    left = alexnet.relu("prelu2", alexnet.conv("conv2", "left", 16, 5, group=2), "PReLU")
    top = alexnet.concat("both", [left, alexnet.conv("conv2b", "right", 16, 5)])
    top = alexnet.pool("pool2", top, "pool: AVE kernel_size: 3 stride: 2 pad: 1")
    top = alexnet.relu("elu3", alexnet.conv("conv3", top, 24, 3), "ELU")
    top = alexnet.add("fc6", "InnerProduct", [top], "inner_product_param { num_output: 64 }")
    top = alexnet.add("drop6", "Dropout", [alexnet.relu("tanh6", top, "TanH")], tops=[top])
    alexnet.classifier("fc7", top, 10)
    nets = {name: STRUCTURES[name]() for name in PLANTED_IN}
    nets |= {"alexnet": alexnet.text, "lstm": lstm(6, 20, 30)}
    kinds, missed, named = Counter[str](), [], 0
    for seed, (name, text) in enumerate(nets.items()):
        dump = dumped(tmp_path, text, trained if "BatchNorm" in text else even)
        assert measured(dump).status == "passed", name
        for mistake in planted(dump, seed):
            found = measured(dump, mistake.conversion)
            kinds[mistake.kind] += 1
            missed += [f"{name}: {mistake}"] * (found.status != "failed")
            named += found.first_failure is not None and found.first_failure.layer in mistake.layers
    assert not missed
    assert sum(kinds.values()) >= 100
    assert len(kinds) >= 25, set(DEFINITION) | set(WEIGHTS) | set(SOURCE) - set(kinds)
    assert named >= 0.95 * sum(kinds.values())


def test_a_comparison_lets_values_go(image: str, tmp_path: Path) -> None:
    """Of a chain, no more than a few layers' values are held at a time."""
    from decant.loader.parity.running import Run

    dump = dumped(tmp_path, chain(40))
    most = 0
    plain = Run._computed

    def watched(self: Run, node: object) -> None:
        nonlocal most
        plain(self, node)  # type: ignore[arg-type]
        most = max(most, len(self.env))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "_computed", watched)
        assert measured(dump).status == "passed"
    assert most < 8
