"""`convert --prototxt --caffemodel` of nets that are in no catalog, as a user meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from decant.loader.definition.graph import net_from_text
from tests.commands.test_cli import ROOT, run
from tests.helpers.nets import inputs_text, layer
from tests.helpers.random_weights import random_blobs, write_caffemodel
from tests.helpers.structures import STRUCTURES

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow

CONV = layer(
    "conv1/3x3",
    "Convolution",
    ["data"],
    ["conv"],
    "convolution_param { num_output: 4 kernel_size: 3 }",
)
RELU = layer("relu", "ReLU", ["conv"], ["conv"])
FC = layer("fc", "InnerProduct", ["conv"], ["fc"], "inner_product_param { num_output: 3 }")
NET = (
    inputs_text({"data": (1, 3, 8, 8)})
    + CONV
    + RELU
    + FC
    + layer("prob", "Softmax", ["fc"], ["prob"])
)
PLUGIN = '''
import torch
from torch import nn


class Warp(nn.Module):
    """weight * x ** power."""

    caffe_type = "Warp"
    blobs = ["weight"]

    def __init__(self, params: dict, blobs: list[tuple[int, ...]]) -> None:
        super().__init__()
        self.power = params["warp_param"]["power"]
        self.weight = nn.Parameter(torch.ones(blobs[0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x**self.power * self.weight.view(-1, 1, 1)


class Beside(nn.Module):
    caffe_type = "Warp"

    def forward(self, x):
        return helper(x)


def helper(x):
    return x
'''


def write(folder: Path, text: str = NET) -> list[str]:
    """The two files; the words that name them."""
    net = net_from_text(text, "net.prototxt")
    (folder / "net.prototxt").write_text(text)
    write_caffemodel(folder / "net.caffemodel", net, random_blobs(net))
    return ["--prototxt", "net.prototxt", "--caffemodel", "net.caffemodel", "--engine", "reader"]


def in_python(folder: Path, code: str) -> None:
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_any_net_becomes_an_artifact_that_loads(tmp_path: Path) -> None:
    files = write(tmp_path)
    done = run("convert", *files, "--json", cwd=tmp_path)
    result = json.loads(done.stdout)
    assert result["ok"]
    assert result["tensors"] == 4
    assert result["parity"]["status"] == "not measured"
    manifest = json.loads((tmp_path / "artifacts/net/manifest.json").read_text())
    assert manifest["layers"] == {
        "conv1/3x3": "conv1_3x3",
        "relu": "relu",
        "fc": "fc",
        "prob": "prob",
    }
    assert manifest["parameters"]["conv1_3x3.weight"] == {"layer": "conv1/3x3", "blob": 0}
    assert manifest["module"]["name"] == "generated"
    assert manifest["inputs"] == [{"blob": "data", "shape": [1, 3, 8, 8]}]
    run("validate", "net", cwd=tmp_path)
    in_python(
        tmp_path,
        "import torch; from decant.loader import load, activations\n"
        "model, transform = load('artifacts/net'); x = torch.randn(2, 3, 8, 8)\n"
        "assert isinstance(transform, torch.nn.Identity) and not model.training\n"
        "acts = activations(model, transform(x))\n"
        "assert list(acts) == ['data', 'conv1/3x3', 'relu', 'fc', 'prob']\n"
        "assert (acts['conv1/3x3'] < 0).any() and (acts['relu'] >= 0).all()\n"
        "assert torch.equal(acts['prob'], model(x))\n",
    )


def test_it_loads_without_decant(tmp_path: Path) -> None:
    run("convert", *write(tmp_path, STRUCTURES["densenet"]()), "--name", "dense", cwd=tmp_path)
    folder = tmp_path / "artifacts/dense"
    code = (
        f"import sys; sys.path = [p for p in sys.path if p != {str(ROOT)!r}]\n"
        "import torch, safetensors.torch; from model import Model\n"
        "net = Model().eval(); net.load_state_dict(safetensors.torch.load_file('model.safetensors'))\n"
        "assert torch.isfinite(net(torch.randn(1, 3, 64, 64))).all()\n"
        "assert not {'loader', 'dumper', 'commands', 'stages'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-B", "-c", code], cwd=folder, check=True)


def test_both_ways_to_it_write_the_same_bytes(tmp_path: Path) -> None:
    files = write(tmp_path)
    run("convert", *files, "--out", "one", cwd=tmp_path)
    run("dump", *files, "--out", "net.h5", cwd=tmp_path)
    run("dump", *files, "--npz", "--out", "net.npz", cwd=tmp_path)
    run("load", "net.h5", "--out", "two", cwd=tmp_path)
    run("load", "net.npz", "--out", "three", cwd=tmp_path)
    sums = {(tmp_path / out / "net/SHA256SUMS").read_text() for out in ("one", "two", "three")}
    assert len(sums) == 1


def test_without_parity_torch_is_not_imported(tmp_path: Path) -> None:
    files = write(tmp_path)
    code = (
        "import sys, pipeline\n"
        f"try: pipeline.main(['convert', '--no-parity', *{files!r}])\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    in_python(tmp_path, code)
    assert (tmp_path / "artifacts/net/model.safetensors").exists()
    reason = json.loads((tmp_path / "artifacts/net/parity.json").read_text())
    assert reason == {"status": "not measured", "reason": "--no-parity"}


def test_a_training_definition_is_taken(tmp_path: Path) -> None:
    head = 'layer { name: "data" type: "Data" top: "data" top: "label" transform_param { crop_size: 8 mirror: true } data_param { source: "db" } }\n'
    loss = layer("loss", "SoftmaxWithLoss", ["fc", "label"], ["loss"])
    write(tmp_path)
    (tmp_path / "net.prototxt").write_text(head + CONV + RELU + FC + loss)
    files = ["--prototxt", "net.prototxt", "--caffemodel", "net.caffemodel", "--engine", "reader"]
    done = run("convert", *files, cwd=tmp_path)
    assert "data: Data became an input (data)" in done.stderr
    assert "loss: SoftmaxWithLoss became Softmax" in done.stderr
    manifest = json.loads((tmp_path / "artifacts/net/manifest.json").read_text())
    assert manifest["inputs"] == [{"blob": "data", "shape": [1, 3, 8, 8]}]
    assert manifest["changes"] == [
        "data: Data became an input (data)",
        "loss: SoftmaxWithLoss became Softmax",
        "outputs: 'loss' has the values of Softmax, where Caffe gives the loss, one number",
        "data: mirror is left out",
    ]
    assert manifest["preprocessing"]["crop"] == 8
    assert "Pillow" in manifest["preprocessing"]["resampling"]


def test_a_net_without_parameters_needs_no_weights(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(
        inputs_text({"data": (1, 3, 8, 8)}) + layer("a", "AbsVal", ["data"], ["a"])
    )
    run("convert", "--prototxt", "net.prototxt", "--engine", "reader", cwd=tmp_path)
    assert json.loads((tmp_path / "artifacts/net/manifest.json").read_text())["tensors"] == []


def test_an_input_without_a_shape_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path)
    bare = 'input: "data"\n' + CONV + RELU + FC
    (tmp_path / "net.prototxt").write_text(bare)
    files = ["--prototxt", "net.prototxt", "--caffemodel", "net.caffemodel", "--engine", "reader"]
    done = run("convert", *files, cwd=tmp_path, code=2)
    assert "--input data=1,3,224,224" in done.stderr.splitlines()[-1]
    run("convert", *files, "--input", "data=1,3,8,8", cwd=tmp_path)


def test_every_refusal_is_in_one_report_and_nothing_is_left(tmp_path: Path) -> None:
    write(tmp_path)
    text = NET + "".join(
        layer(name, kind, ["conv"], [name], param)
        for name, kind, param in (
            ("odd", "Correlation", ""),
            ("pool", "Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 2 }"),
            ("code", "Python", 'python_param { module: "m" layer: "L" }'),
            ("fork", "ReLU", "relu_param { fancy: true }"),
        )
    )
    (tmp_path / "net.prototxt").write_text(text)
    before = sorted(tmp_path.rglob("*"))
    cache = Path(os.environ["DECANT_CACHE"])
    files = ["--prototxt", "net.prototxt", "--caffemodel", "net.caffemodel", "--engine", "reader"]
    done = run("convert", *files, cwd=tmp_path, code=4)
    for expected in (
        "'odd' (Correlation)",
        "STOCHASTIC",
        "module 'm', layer 'L'",
        "relu_param.fancy",
    ):
        assert expected in done.stderr
    assert "--layer-plugin" in done.stderr.splitlines()[-1]
    assert sorted(tmp_path.rglob("*")) == before
    assert not list(cache.rglob("*.h5"))


def test_a_users_own_layer(tmp_path: Path) -> None:
    (tmp_path / "my_layers.py").write_text(PLUGIN)
    write(tmp_path)
    warp = layer("warp", "Warp", ["data"], ["warp"], "warp_param { power: 2.0 }")
    (tmp_path / "own.prototxt").write_text(NET + warp)
    from tests.helpers import encode_caffemodel as encode

    weights = (tmp_path / "net.caffemodel").read_bytes()
    own = encode.net("current", [("warp", "Warp", [np.array([1, 2, 3], np.float32)])])
    (tmp_path / "own.caffemodel").write_bytes(weights + own)
    files = ["--prototxt", "own.prototxt", "--caffemodel", "own.caffemodel"]
    assert "Warp" in run("convert", *files, cwd=tmp_path, code=4).stderr
    run("convert", *files, "--layer-plugin", "my_layers:Warp", cwd=tmp_path)
    source = (tmp_path / "artifacts/own/model.py").read_text()
    assert 'self.warp = Warp({"warp_param": {"power": 2.0}}, [(3,)])' in source
    in_python(
        tmp_path,
        "import torch; from decant.loader import load; model, _ = load('artifacts/own')\n"
        "x = torch.randn(1, 3, 8, 8); weight = torch.tensor([1.0, 2, 3]).view(-1, 1, 1)\n"
        "assert torch.equal(model(x)['warp'], x ** 2 * weight)\n",
    )
    for word, reason in {
        "my_layers:Beside": "uses helper",
        "my_layers:None": "no class None",
        "no_such:Warp": "no_such",
        "nonsense": "module:Class",
        "json:JSONDecoder": "nn.Module",
    }.items():
        done = run("convert", *files, "--layer-plugin", word, cwd=tmp_path, code=2)
        assert reason in done.stderr.splitlines()[-1]


def test_a_name_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    done = run("convert", *write(tmp_path), "--name", "../x", cwd=tmp_path, code=2)
    assert "--name" in done.stderr.splitlines()[-1]


def test_a_thousand_layers_convert(tmp_path: Path) -> None:
    blob, text = "data", inputs_text({"data": (1, 4, 8, 8)})
    for number in range(500):
        text += layer(
            f"c{number}",
            "Convolution",
            [blob],
            [f"c{number}"],
            "convolution_param { num_output: 4 kernel_size: 1 }",
        )
        text += layer(f"r{number}", "ReLU", [f"c{number}"], [f"c{number}"])
        blob = f"c{number}"
    files = write(tmp_path, text)
    run("convert", "--no-parity", *files, cwd=tmp_path)


SEVENS = """
import torch
from torch import nn


class Residual(nn.Module):
    caffe_type = "BatchNorm"
    blobs = ["mean", "variance", "factor"]

    def __init__(self, params: dict, blobs: list[tuple[int, ...]]) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.ones(blobs[0]))
        self.variance = nn.Parameter(torch.ones(blobs[1]))
        self.factor = nn.Parameter(torch.ones(blobs[2]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 0 + 7


class Text(nn.Module):
    caffe_type = "Python"

    def __init__(self, params: dict, blobs: list[tuple[int, ...]]) -> None:
        super().__init__()
        self.size = len(params["python_param"]["param_str"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.size
"""


def test_a_users_layer_is_never_fused_nor_named_over(tmp_path: Path) -> None:
    (tmp_path / "sevens.py").write_text(SEVENS)
    top, text = "data", inputs_text({"data": (1, 4, 5, 5)})
    for number in range(4):
        a, b = f"res{number}a", f"res{number}b"
        conv = "convolution_param { num_output: 4 kernel_size: 3 pad: 1 }"
        text += layer(a, "Convolution", [top], [a], conv) + layer(b, "Convolution", [a], [b], conv)
        text += layer(f"res{number}", "Eltwise", [top, b], [f"res{number}"])
        top = f"res{number}"
    odd = "a, b) + c - d (((" * 12
    python = f'python_param {{ module: "m" layer: "L" param_str: "{odd}" }}'
    scaled = layer("scale", "Scale", ["bn"], ["scale"])
    for name, end in (("plain", ""), ("net", scaled)):
        rest = layer("bn", "BatchNorm", ["text"], ["bn"]) + end
        words = write(tmp_path, text + layer("text", "Power", [top], ["text"]) + rest)
        whole = text + layer("text", "Python", [top], ["text"], python) + rest
        (tmp_path / "net.prototxt").write_text(whole)
        plugins = ["--layer-plugin", "sevens:Residual", "--layer-plugin", "sevens:Text"]
        run("convert", *words, *plugins, "--name", name, cwd=tmp_path)
    in_python(
        tmp_path,
        "import torch, loader; model, _ = loader.load('net'); x = torch.ones(1, 4, 5, 5);"
        "found = loader.activations(model, x); assert (found['bn'] == 7).all();"
        f"assert torch.equal(found['text'], found['res3'] + {len(odd)})",
    )


def test_a_probe_for_the_reader_says_shapes_and_is_checked(tmp_path: Path) -> None:
    files = write(tmp_path)
    (tmp_path / "bad.npz").write_text("no arrays")
    np.savez(tmp_path / "other.npz", dat=np.ones((1, 3, 8, 8), np.float32))
    np.savez(tmp_path / "good.npz", data=np.ones((3, 3, 8, 8), np.float32))
    for name, code in (("bad", 3), ("other", 2), ("none", 3), ("good", 0)):
        run("convert", *files, "--probe", f"{name}.npz", "--no-report", cwd=tmp_path, code=code)
        assert (tmp_path / "artifacts/net").exists() == (code == 0)
    manifest = json.loads((tmp_path / "artifacts/net/manifest.json").read_text())
    assert manifest["inputs"][0]["shape"] == [3, 3, 8, 8] and manifest["batch"] is None


def test_a_broken_catalog_is_said_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("models: [")
    done = run("convert", *write(tmp_path), cwd=tmp_path, code=2, DECANT_CATALOG="broken.yaml")
    assert "broken.yaml" in done.stderr and not (tmp_path / "artifacts").exists()


FIXED_PLUGIN = """
from torch import nn


class Warp(nn.Module):
    caffe_type = "Warp"
    blobs = []

    def __init__(self, params, shapes):
        super().__init__()

    def forward(self, x):
        return x * 2

"""


def test_a_batch_that_is_counted_on_behind_a_plugin(tmp_path: Path) -> None:
    (tmp_path / "plug.py").write_text(FIXED_PLUGIN)
    text = inputs_text({"data": (4, 3, 8, 8)}) + layer("warp", "Warp", ["data"], ["warp"])
    text += layer("r", "Reshape", ["warp"], ["r"], "reshape_param { shape { dim: 4 dim: -1 } }")
    text += layer("fc", "InnerProduct", ["r"], ["fc"], "inner_product_param { num_output: 3 }")
    words = write(tmp_path, text.replace('"Warp"', '"Power"'))
    (tmp_path / "net.prototxt").write_text(text)
    run("convert", *words, "--layer-plugin", "plug:Warp", "--no-report", cwd=tmp_path)
    manifest = json.loads((tmp_path / "artifacts/net/manifest.json").read_text())
    assert manifest["batch"] == 4 and manifest["inputs"][0]["shape"] == [4, 3, 8, 8]


ROWS_PLUGIN = FIXED_PLUGIN.replace("return x * 2", "return x.reshape(4, -1)")
TRAINED = 'layer { name: "data" type: "Data" top: "data" top: "label" data_param { source: "x" batch_size: 4 } transform_param { crop_size: 8 mean_value: 1 mean_value: 2 mean_value: 3 } }\n'


@pytest.mark.parametrize("trained", [False, True])
def test_a_plugin_may_count_on_the_batch_itself(trained: bool, tmp_path: Path) -> None:
    """Four rows of one picture too, which hold something else."""
    (tmp_path / "plug.py").write_text(ROWS_PLUGIN)
    head = inputs_text({"data": (4, 3, 8, 8)})
    rest = layer("rows", "Warp", ["data"], ["rows"])
    more = layer("p", "Power", ["rows"], ["p"], "power_param { scale: 2 }")
    words = write(
        tmp_path, head + rest.replace('"Warp"', '"Power"') + FC.replace('"conv"', '"rows"')
    )
    end = layer("loss", "SoftmaxWithLoss", ["p", "label"], ["loss"]) if trained else ""
    (tmp_path / "net.prototxt").write_text((TRAINED if trained else head) + rest + more + end)
    words = [*words[:2], "--engine", "reader", "--layer-plugin", "plug:Warp", "--no-report"]
    run("convert", *words, cwd=tmp_path)
    manifest = json.loads((tmp_path / "artifacts/net/manifest.json").read_text())
    assert manifest["batch"] == 4 and manifest["inputs"][0]["shape"] == [4, 3, 8, 8]


def test_square_weights_that_are_shared_and_transposed_are_two(tmp_path: Path) -> None:
    text = inputs_text({"data": (1, 5)})
    for name, bottom, more in (
        ("one", "data", ""),
        ("two", "one", "transpose: true"),
        ("three", "two", ""),
    ):
        param = (
            f'param {{ name: "w" }} inner_product_param {{ num_output: 5 bias_term: false {more} }}'
        )
        text += layer(name, "InnerProduct", [bottom], [name], param)
    run("convert", *write(tmp_path, text), "--no-report", cwd=tmp_path)
    manifest = json.loads((tmp_path / "artifacts/net/manifest.json").read_text())
    assert manifest["tied"] == {"three.weight": "one.weight"}
    in_python(
        tmp_path,
        "import torch; from decant.loader import load; model, _ = load('artifacts/net')\n"
        "assert torch.equal(model.two.weight, model.one.weight.T)\n",
    )


@pytest.mark.parametrize("shape", [(0, 3, 8, 8), ()])
def test_an_empty_probe_proves_nothing(shape: tuple[int, ...], tmp_path: Path) -> None:
    np.savez(tmp_path / "empty.npz", data=np.ones(shape, np.float32))
    done = run("convert", *write(tmp_path), "--probe", "empty.npz", cwd=tmp_path, code=3)
    assert "a probe holds a batch of values" in done.stderr.splitlines()[-1]


def test_an_input_that_the_net_lacks_is_refused(tmp_path: Path) -> None:
    done = run("convert", *write(tmp_path), "--input", "dta=1,3,8,8", cwd=tmp_path, code=2)
    assert "is it 'data'?" in done.stderr.splitlines()[-1]
