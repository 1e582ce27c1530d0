"""What holds for every layer type: each has a net, its module goes through exports, and refusals have names."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from decant.dumper.dumpfile import Dump, Layer
from decant.loader.artifact.conversion import Conversion, conversion_of
from decant.loader.definition.graph import net_from_text
from decant.loader.definition.schema import TYPES
from decant.loader.errors import BadInput, DecantError, Unsupported
from decant.loader.layers import LAYER_TYPES
from decant.loader.parity import measuring
from decant.loader.parity.running import forget
from decant.loader.plan.planning import plan
from tests.helpers.golden import BY_NAME, computes_what_caffe_did, nets_of
from tests.helpers.nets import NETS, inputs_text, layer


@pytest.mark.parametrize("name", nets_of(""))
def test_a_layer_computes_what_caffe_computed(name: str, golden: dict[str, Dump]) -> None:
    computes_what_caffe_did(name, golden[name])


def test_every_inference_layer_of_caffe_has_a_net() -> None:
    covered = {kind for net in NETS for kind in net.covers.split()}
    training = {
        "Accuracy", "ContrastiveLoss", "Data", "DummyData", "EuclideanLoss", "HDF5Data", "HDF5Output",
        "HingeLoss", "ImageData", "InfogainLoss", "MemoryData", "MultinomialLogisticLoss",
        "SigmoidCrossEntropyLoss", "SoftmaxWithLoss", "WindowData",
    }  # fmt: skip
    assert TYPES - training - covered == {"Input", "Python"}
    computed = {of.name for of in LAYER_TYPES.values() if of.rule}
    assert TYPES - training - computed == {"Input", "Python", "Silence", "Split"}


@pytest.mark.slow
def test_what_is_written_is_as_ruff_would_write_it(golden: dict[str, Dump], tmp_path: Path) -> None:
    for name, dump in golden.items():
        (tmp_path / f"{name}.py").write_text(conversion_of(dump, None, name).source)
    ruff = [sys.executable, "-m", "ruff"]
    subprocess.run(
        [*ruff, "format", "--line-length", "100", "--check", tmp_path],
        check=True,
        capture_output=True,
    )
    subprocess.run([*ruff, "check", "--isolated", tmp_path], check=True)


def inputs_of(dump: Dump, converted: Conversion) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(np.array(dump.probe[blob])) for blob in converted.inputs)


def tensors(found: object) -> list[torch.Tensor]:
    return list(found.values()) if isinstance(found, dict) else [found]  # type: ignore[list-item]


def same(found: object, wanted: list[torch.Tensor]) -> None:
    for one, other in zip(tensors(found), wanted, strict=True):
        assert one.shape == other.shape
        scale = other.nan_to_num().abs().max()
        assert torch.equal(one.isnan(), other.isnan())
        assert (one - other).nan_to_num().abs().max() <= 1e-6 * scale


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.filterwarnings("ignore:.torch.jit.trace.*deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("name", list(BY_NAME))
def test_a_module_goes_through_fx_export_and_jit(name: str, golden: dict[str, Dump]) -> None:
    dump = golden[name]
    converted = conversion_of(dump, None, name)
    module, inputs = converted.build(), inputs_of(dump, converted)
    forget(module)
    wanted = tensors(module(*inputs))
    forget(module)
    same(torch.fx.symbolic_trace(module)(*inputs), wanted)
    forget(module)
    same(torch.jit.trace(module, inputs, strict=False, check_trace=False)(*inputs), wanted)
    forget(module)
    same(torch.export.export(module, inputs).module()(*inputs), wanted)
    forget(module)
    same(module(*inputs), wanted)


@torch.no_grad()
@pytest.mark.parametrize("name", ["conv", "conv_axis_2", "ave_pad_ceil", "spp", "bn_scale", "lrn",
    "scale_bias", "mvn", "softmax_picture", "argmax_values", "reshape", "flatten_middle", "tile",
    "im2col", "ip", "crop_offset", "slice_points", "max_mask", "max_pad_above_half"])  # fmt: skip
def test_a_module_takes_other_batches(name: str, golden: dict[str, Dump]) -> None:
    dump = golden[name]
    converted = conversion_of(dump, None, name)
    module, inputs = converted.build(), inputs_of(dump, converted)
    once = tensors(module(*inputs))
    more = tensors(module(*(torch.cat([x, x[:1]]) for x in inputs)))
    for one, other in zip(once, more, strict=True):
        assert other.shape[0] == 3
        assert torch.allclose(other, torch.cat([one, one[:1]]), rtol=1e-5, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("name", ["conv", "deconv", "ave_pad_ceil", "ave_pad_above_half", "spp", "bn_scale",
    "lrn", "lrn_within", "mvn", "prelu", "power_fraction", "lstm", "softmax", "scale_bias"])  # fmt: skip
def test_a_module_works_in_half_precision(name: str, golden: dict[str, Dump]) -> None:
    dump = golden[name]
    converted = conversion_of(dump, None, name)
    module, inputs = converted.build(), inputs_of(dump, converted)
    wanted = tensors(module(*inputs))
    forget(module)
    found = tensors(module.bfloat16()(*(x.bfloat16() for x in inputs)))
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == torch.bfloat16
        assert (one.float() - other).abs().max() <= 0.05 * other.abs().max()


def refusal(text: str, blobs: list[list[np.ndarray]] | None = None) -> str:
    """What plan says about a net."""
    net = net_from_text(text, "net.prototxt")
    with pytest.raises((Unsupported, BadInput)) as caught:
        plan(
            net,
            blobs or [[] for _ in net.layers],
            {name: s or () for name, s in net.inputs.items()},
        )
    return str(caught.value)


DATA = inputs_text({"data": (1, 4, 6, 6)})
REFUSED = {
    "stochastic": ("Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 2 }", "STOCHASTIC"),
    "pad not below kernel": ("Pooling", "pooling_param { kernel_size: 2 pad: 2 }", "pad"),
    "python": ("Python", 'python_param { module: "rpn" layer: "Proposal" }', "module 'rpn', layer 'Proposal'"),
    "unknown type": ("Correlation", "", "not supported"),
    "unknown field": ("ReLU", "relu_param { fancy: 1 }", "relu_param.fancy"),
    "unknown message": ("ReLU", "fancy_param { a: 1 }", "fancy_param"),
    "even lrn": ("LRN", "lrn_param { local_size: 4 }", "local_size 4"),
    "group": ("Convolution", "convolution_param { num_output: 3 kernel_size: 1 group: 2 }", "group 2"),
    "kernel too large": ("Pooling", "pooling_param { kernel_size: 9 }", "smaller than the kernel"),
    "axis": ("Softmax", "softmax_param { axis: 7 }", "axis 7"),
    "top_k": ("ArgMax", "argmax_param { axis: 1 top_k: 5 }", "top_k 5"),
    "reshape": ("Reshape", "reshape_param { shape { dim: 7 dim: -1 } }", "into"),
    "slice": ("Slice", "slice_param { slice_point: 9 }", "slice_point"),
    "enum": ("Eltwise", "eltwise_param { operation: DIV }", "DIV"),
}  # fmt: skip


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_cannot_be_converted_is_refused_by_name(case: str) -> None:
    kind, param, expected = REFUSED[case]
    text = refusal(DATA + layer("odd one", kind, ["data"], ["out"], param))
    assert expected in text
    assert "line 2: layer 'odd one'" in text
    assert "--layer-plugin" in text


@pytest.mark.parametrize("kind", ["BatchNorm", "Dropout"])
def test_a_layer_that_is_always_in_training_is_refused(kind: str) -> None:
    blobs = [[], [np.ones(4, np.float32), np.ones(4, np.float32), np.ones(1, np.float32)]]
    text = DATA + layer("odd one", kind, ["data"], ["out"], "phase: TRAIN")
    assert "phase: TRAIN" in refusal(text, blobs if kind == "BatchNorm" else None)


@pytest.mark.parametrize(
    "power", ["shift: -1 power: 0.5", "power: -2", "shift: 10 power: 1e9", "shift: 1e10 power: 5"]
)
def test_a_constant_power_that_is_no_number_is_refused(power: str) -> None:
    param = f"power_param {{ scale: 0 {power} }}"
    assert "not a finite number" in refusal(DATA + layer("p", "Power", ["data"], ["out"], param))


@pytest.mark.parametrize(
    ("kind", "param", "why"),
    [
        (
            "Convolution",
            "convolution_param { num_output: 4 kernel_size: 2 stride_w: 2 }",
            "stride: 0",
        ),
        ("Exp", "exp_param { shift: 95 }", "infinite"),
        ("BatchNorm", "batch_norm_param { use_global_stats: false eps: 0 }", "eps 0"),
    ],
)
def test_what_caffe_takes_otherwise_is_refused(kind: str, param: str, why: str) -> None:
    ones = [np.ones(4, np.float32), np.ones(4, np.float32), np.ones(1, np.float32)]
    found = refusal(
        DATA + layer("odd", kind, ["data"], ["out"], param),
        [[], ones if kind == "BatchNorm" else []],
    )
    assert why in found


def _moved(of: Layer) -> list[np.ndarray]:
    """The activations of a layer that computes, by a thousandth of the largest value away."""
    if of.type in ("Input", "Split"):
        return list(of.activations)
    return [x + np.abs(x).max() * np.float32(1e-3) + 1e-6 for x in of.activations]


@pytest.mark.slow
def test_parity_sees_every_kind_of_mistake(golden: dict[str, Dump]) -> None:
    """The oracle is worth something: each net fails when its numbers are those of another one."""
    missed = []
    for name, dump in golden.items():
        if BY_NAME[name].weights == "second forward":
            continue
        converted = conversion_of(dump, None, name)
        # the dump itself is other tests' too
        other = replace(dump, layers=[replace(x, activations=_moved(x)) for x in dump.layers])
        try:
            found = measuring.measure(other, converted.build(), converted.caffe_map())
        except DecantError:
            continue
        if found.status == "passed":
            missed.append(name)
    assert missed == []


def test_the_page_of_layers_is_the_table() -> None:
    from docs.document_layers import markdown

    page = Path(__file__).resolve().parents[3] / "docs/layers.md"
    assert page.read_text() == markdown(), "run `python docs/document_layers.py > docs/layers.md`"
