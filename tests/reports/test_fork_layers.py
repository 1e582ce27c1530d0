"""Nets whose only obstacle was a fork's layer at their end, as people reported them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from decant.dumper import dumpfile
from decant.engines import reader
from decant.engines.job import Job
from decant.loader.artifact.conversion import conversion_of
from decant.loader.definition.graph import net_from_text
from decant.loader.progress import SILENT
from tests.commands.test_cli import run
from tests.helpers import by_hand, by_hand_detection
from tests.helpers.forks import python
from tests.helpers.nets import inputs_text, layer
from tests.helpers.random_weights import random_blobs, write_caffemodel

# runs the program, or builds whole nets
pytestmark = pytest.mark.slow


def convolution(name: str, bottom: str, outputs: int, more: str = "kernel_size: 1") -> str:
    param = f"convolution_param {{ num_output: {outputs} {more} }}"
    return layer(name, "Convolution", [bottom], [name], param)


def reshape(name: str, bottom: str, dims: str) -> str:
    return layer(name, "Reshape", [bottom], [name], f"reshape_param {{ shape {{ {dims} }} }}")


def written(text: str, folder: Path) -> list[str]:
    """The words for a net with random weights."""
    net = net_from_text(text, "net.prototxt")
    (folder / "net.prototxt").write_text(text)
    write_caffemodel(folder / "net.caffemodel", net, random_blobs(net))
    return ["--prototxt", "net.prototxt", "--caffemodel", "net.caffemodel"]


def converted(text: str, folder: Path) -> tuple[torch.nn.Module, list[list[np.ndarray]]]:
    """The module that is made of it, and the weights it was given."""
    written(text, folder)
    job = Job(folder / "net.prototxt", folder / "net.caffemodel", {})
    reader.dump(job, folder / "dump.h5", SILENT)
    model = conversion_of(dumpfile.read(folder / "dump.h5"), None, "net").build()
    return model, random_blobs(net_from_text(text, "net.prototxt"))


RPN = (
    inputs_text({"data": (1, 3, 160, 208), "im_info": (1, 3)})
    + convolution("rpn", "data", 8, "kernel_size: 3 stride: 16")
    + convolution("rpn_cls_score", "rpn", 18)
    + convolution("rpn_bbox_pred", "rpn", 36)
    + reshape("rpn_cls_score_reshape", "rpn_cls_score", "dim: 0 dim: 2 dim: -1 dim: 0")
    + layer("rpn_cls_prob", "Softmax", ["rpn_cls_score_reshape"], ["rpn_cls_prob"])
    + reshape("rpn_cls_prob_reshape", "rpn_cls_prob", "dim: 0 dim: 18 dim: -1 dim: 0")
)
PROPOSAL = layer(
    "proposal",
    "Python",
    ["rpn_cls_prob_reshape", "rpn_bbox_pred", "im_info"],
    ["rois"],
    python("rpn.proposal_layer", "'feat_stride': 16"),
)
HEAD = (
    layer("pool", "ROIPooling", ["rpn", "rois"], ["pool"],
          "roi_pooling_param { pooled_w: 3 pooled_h: 3 spatial_scale: 0.0625 }")
    + layer("cls", "InnerProduct", ["pool"], ["cls"], "inner_product_param { num_output: 4 }")
    + layer("prob", "Softmax", ["cls"], ["prob"])
)  # fmt: skip


@torch.no_grad()
def test_faster_rcnn_with_its_python_layer_and_what_stands_behind_it(tmp_path: Path) -> None:
    model, _ = converted(RPN + PROPOSAL + HEAD, tmp_path)
    random = np.random.default_rng(4)
    x = torch.from_numpy(random.standard_normal((1, 3, 160, 208)).astype(np.float32) * 0.3)
    info = np.array([[160, 208, 1.2]], np.float32)
    seen: dict[str, torch.Tensor] = {}
    for name in ("rpn_cls_prob", "rpn_bbox_pred", "proposal"):
        getattr(model, name).register_forward_hook(
            lambda _, given, made, name=name: seen.update({name: made, f"{name} of": given[0]})
        )
    prob = model(x, torch.from_numpy(info))
    boxes, _ = by_hand_detection.region_proposals(
        seen["proposal of"].numpy(), seen["rpn_bbox_pred"].numpy(), info[0]
    )
    assert 10 < len(boxes) < 300
    assert np.abs(seen["proposal"].numpy() - boxes).max() <= 1e-5 * boxes.max()
    # as many rows as regions, and each a distribution
    assert prob.shape == (len(boxes), 4)
    assert torch.allclose(prob.sum(1), torch.ones(len(boxes)))


def test_a_net_with_the_python_layer_is_dumped_and_loaded(tmp_path: Path) -> None:
    files = written(RPN + PROPOSAL, tmp_path)
    run("dump", *files, "--out", "d.npz", cwd=tmp_path)
    run("load", "d.npz", "--name", "net", cwd=tmp_path)
    assert "RegionProposal(" in (tmp_path / "artifacts/net/model.py").read_text()
    # Caffe would have to import a module that is not in its image
    done = run("convert", *files, "--engine", "caffe", cwd=tmp_path, code=4)
    assert "type Python" in done.stderr
    for word in ("net.prototxt", "artifacts/net"):
        assert "proposal" in run("inspect", word, cwd=tmp_path).stdout


def test_another_python_layer_beside_it_is_still_refused_and_alone_named(tmp_path: Path) -> None:
    other = layer("mine", "Python", ["rois"], ["mine"], python("my.own", ""))
    files = written(RPN + PROPOSAL, tmp_path)
    (tmp_path / "net.prototxt").write_text(RPN + PROPOSAL + other)
    done = run("convert", *files, cwd=tmp_path, code=4)
    assert "'mine' (Python)" in done.stderr
    assert "'proposal'" not in done.stderr
    assert done.stderr.count("--layer-plugin") == 1


@torch.no_grad()
def test_mish_also_in_place(tmp_path: Path) -> None:
    text = inputs_text({"data": (1, 3, 16, 16)}) + convolution("c", "data", 4, "kernel_size: 3")
    model, blobs = converted(text + layer("m", "Mish", ["c"], ["c"]), tmp_path)
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    weight, bias = (torch.from_numpy(blob) for blob in blobs[1])
    c = torch.nn.functional.conv2d(x, weight, bias).double()
    wanted = c * torch.tanh(torch.log1p(torch.exp(c)))
    assert (model(x) - wanted).abs().max() <= 1e-5 * wanted.abs().max()


def head(name: str, outputs: int) -> str:
    """A convolution, with the channels last and flat."""
    order = "permute_param { order: 0 order: 2 order: 3 order: 1 }"
    return (
        convolution(name, "f", outputs)
        + layer(f"{name}_p", "Permute", [name], [f"{name}_p"], order)
        + layer(f"{name}_f", "Flatten", [f"{name}_p"], [f"{name}_f"], "flatten_param { axis: 1 }")
    )


@torch.no_grad()
@pytest.mark.parametrize("bottoms", [4, 5])
def test_refinedets_output_with_its_first_stage(bottoms: int, tmp_path: Path) -> None:
    last = ["odm_loc_f", "odm_conf_f", "prior", "arm_conf_f", "arm_loc_f"][:bottoms]
    text = (
        inputs_text({"data": (1, 3, 64, 64)})
        + convolution("f", "data", 4, "kernel_size: 3 stride: 8")
        + head("arm_loc", 4)
        + head("arm_conf", 2)
        + head("odm_loc", 4)
        + head("odm_conf", 3)
        + layer("prior", "PriorBox", ["f", "data"], ["prior"],
                "prior_box_param { min_size: 16 clip: false variance: 0.1 variance: 0.1 variance: 0.2 "
                "variance: 0.2 step: 8 }")
        + layer("out", "DetectionOutput", last, ["out"],
                "detection_output_param { num_classes: 3 background_label_id: 0 nms_param { "
                "nms_threshold: 0.45 top_k: 30 } code_type: CENTER_SIZE keep_top_k: 20 "
                "confidence_threshold: 0.01 objectness_score: 0.3 }")
    )  # fmt: skip
    model, _ = converted(text, tmp_path)
    given: list[np.ndarray] = []
    model.out.register_forward_hook(lambda _, x, made: given.extend(a.numpy() for a in x))
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    found = model(x)[-1] if isinstance(model(x), tuple) else model(x)
    found = found["out"] if isinstance(found, dict) else found
    names = ("offsets", "scores", "priors", "objectness", "first")
    wanted = by_hand_detection.refined_detections(
        {name: array.astype(np.float64) for name, array in zip(names, given[:bottoms], strict=False)},
        classes=3, code="CENTER_SIZE", objectness=0.3, confidence=0.01, threshold=0.45, top_k=30, keep=20,
    )  # fmt: skip
    assert tuple(found.shape) == wanted.shape
    assert np.abs(found.numpy() - wanted).max() <= 1e-5 * np.abs(wanted).max()


TEXT = (
    inputs_text({"data": (1, 3, 12, 20), "im_info": (1, 3)})
    + layer("im2col", "Im2col", ["data"], ["im2col"],
            "convolution_param { pad: 1 kernel_size: 3 }")
    + layer("turned", "Transpose", ["im2col"], ["turned"],
            "transpose_param { dim: 3 dim: 2 dim: 0 dim: 1 }")
    + layer("lstm_input", "Reshape", ["turned"], ["lstm_input"],
            "reshape_param { shape { dim: -1 } axis: 1 num_axes: 2 }")
    + layer("lstm", "Lstm", ["lstm_input"], ["lstm"],
            "lstm_param { num_output: 6 clipping_threshold: 1 }")
    + layer("reverse1", "Reverse", ["lstm_input"], ["rlstm_input"], "reverse_param { axis: 0 }")
    + layer("rlstm", "Lstm", ["rlstm_input"], ["rlstm-output"], "lstm_param { num_output: 6 }")
    + layer("reverse2", "Reverse", ["rlstm-output"], ["rlstm"], "reverse_param { axis: 0 }")
    + layer("merged", "Concat", ["lstm", "rlstm"], ["merged"], "concat_param { axis: 2 }")
    + layer("apart", "Reshape", ["merged"], ["apart"],
            "reshape_param { shape { dim: -1 dim: 1 } axis: 1 num_axes: 1 }")
    + layer("back", "Transpose", ["apart"], ["back"],
            "transpose_param { dim: 2 dim: 3 dim: 1 dim: 0 }")
)  # fmt: skip
CTPN_END = (
    convolution("rpn_cls_score", "fc", 20)
    + reshape("rpn_cls_score_reshape", "rpn_cls_score", "dim: 0 dim: 2 dim: -1 dim: 0")
    + convolution("rpn_bbox_pred", "fc", 20)
    + layer("rpn_cls_prob", "Softmax", ["rpn_cls_score_reshape"], ["rpn_cls_prob"])
    + reshape("rpn_cls_prob_reshape", "rpn_cls_prob", "dim: 0 dim: 20 dim: -1 dim: 0")
    + layer("proposal", "Python", ["rpn_cls_prob_reshape", "rpn_bbox_pred", "im_info"],
            ["rois", "scores"], python("layers.text_proposal_layer", "'feat_stride': 16"))
)  # fmt: skip


@torch.no_grad()
def test_ctpn_from_its_columns_to_its_text_boxes(tmp_path: Path) -> None:
    # its second axis is as wide as the text is high, where the LSTM's sequences lie
    model, blobs = converted(TEXT + convolution("fc", "back", 16) + CTPN_END, tmp_path)
    weights = {
        item.name: blob
        for item, blob in zip(
            net_from_text((tmp_path / "net.prototxt").read_text(), "x").layers, blobs, strict=True
        )
    }
    given: list[np.ndarray] = []
    model.fc.register_forward_hook(lambda _, x, made: given.append(x[0].numpy()))
    model.proposal.register_forward_hook(lambda _, x, made: given.extend(a.numpy() for a in x))
    random = np.random.default_rng(5)
    x = random.standard_normal((1, 3, 12, 20)).astype(np.float32)
    info = np.array([[192, 320, 1]], np.float32)
    found = model(torch.from_numpy(x), torch.from_numpy(info))
    columns = torch.nn.functional.unfold(torch.from_numpy(x), 3, padding=1).reshape(1, 27, 12, 20)
    sequence = columns.permute(3, 2, 0, 1).flatten(1, 2).double().numpy()
    forth = by_hand.forks_lstm(sequence, weights["lstm"])
    back = by_hand.forks_lstm(sequence[::-1], weights["rlstm"])[::-1]
    wanted = np.concatenate([forth, back], 2).transpose(2, 1, 0)[None]
    assert np.abs(given[0] - wanted).max() <= 1e-5 * np.abs(wanted).max()
    boxes, scores = by_hand_detection.text_proposals(given[1], given[2], info[0], 16)
    assert found["rois"].shape == boxes.shape == (12 * 20 * 10, 4)
    assert np.abs(found["rois"].numpy() - boxes).max() <= 1e-5 * boxes.max()
    assert np.array_equal(found["scores"].numpy(), scores.astype(np.float32))


@torch.no_grad()
def test_an_lstm_behind_a_continuation_indicator(tmp_path: Path) -> None:
    text = (
        inputs_text({"data": (1, 4, 3, 7)})
        + layer("indicator", "ContinuationIndicator", ["data"], ["indicator"],
                "continuation_indicator_param { time_step: 7 }")
        + layer("turned", "Permute", ["data"], ["turned"],
                "permute_param { order: 3 order: 0 order: 1 order: 2 }")
        + layer("lstm", "LSTM", ["turned", "indicator"], ["lstm"], "recurrent_param { num_output: 5 }")
    )  # fmt: skip
    model, blobs = converted(text, tmp_path)
    x = torch.randn(1, 4, 3, 7, generator=torch.Generator().manual_seed(3))
    # the first step forgets what was before, so that a second forward says the same
    first, second = model(x), model(x)
    assert torch.equal(first, second)
    weight_x, bias, weight_h = blobs[3]
    sequence = x.permute(3, 0, 1, 2).double().numpy()
    wanted = by_hand.forks_lstm(sequence, [weight_x, weight_h, bias])
    assert np.abs(first.numpy() - wanted).max() <= 1e-5 * np.abs(wanted).max()


@torch.no_grad()
def test_yolo_from_its_maps_to_its_rows(tmp_path: Path) -> None:
    biases = " ".join(f"biases: {bias}" for bias in (10, 14, 23, 27, 37, 58, 81, 82))
    text = (
        inputs_text({"data": (1, 3, 64, 64)})
        + convolution("small", "data", 14, "kernel_size: 8 stride: 16")
        + convolution("large", "data", 14, "kernel_size: 8 stride: 8")
        + layer("out", "Yolov3DetectionOutput", ["small", "large"], ["out"],
                "include { phase: TEST } yolov3_detection_output_param { num_classes: 2 num_box: 2 "
                "confidence_threshold: 0.3 nms_threshold: 0.45 mask: 2 mask: 3 mask: 0 mask: 1 "
                f"anchors_scale: 16 anchors_scale: 8 {biases} }}")
    )  # fmt: skip
    model, _ = converted(text, tmp_path)
    given: list[np.ndarray] = []
    model.out.register_forward_hook(lambda _, x, made: given.extend(a.double().numpy() for a in x))
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    rows = model(x)
    wanted = by_hand_detection.yolov3(
        given, classes=2, boxes=2, biases=[10, 14, 23, 27, 37, 58, 81, 82], mask=[2, 3, 0, 1],
        units=[16, 8], confidence=0.3, threshold=0.45,
    )  # fmt: skip
    assert tuple(rows.shape) == wanted.shape
    assert np.abs(rows.numpy() - wanted).max() <= 1e-5 * np.abs(wanted).max()
    # nothing found: one row for the picture, all -1 but its number
    model.out.confidence = 2.0
    assert model(x).flatten().tolist() == [0, -1, -1, -1, -1, -1, -1]


def test_evaluations_go_as_losses_do(tmp_path: Path) -> None:
    """What counts hits against labels is not a part of the net that is converted."""
    text = (
        layer("data", "Data", [], ["data", "label"],
              'data_param { source: "nowhere" batch_size: 2 } transform_param { crop_size: 8 }')
        + convolution("c", "data", 4, "kernel_size: 3")
        + layer("eval", "EvalDetection", ["c", "label"], ["eval"], "eval_detection_param { side: 7 }")
    )  # fmt: skip
    (tmp_path / "net.prototxt").write_text(text)
    weights = np.ones((4, 3, 3, 3), np.float32), np.ones(4, np.float32)
    from tests.helpers import encode_caffemodel as encode

    (tmp_path / "net.caffemodel").write_bytes(
        encode.net("current", [("c", "Convolution", list(weights))])
    )
    files = ["--prototxt", "net.prototxt", "--caffemodel", "net.caffemodel", "--engine", "reader"]
    done = run("convert", *files, "--no-report", cwd=tmp_path)
    assert "eval: EvalDetection dropped" in done.stderr
    manifest = json.loads((tmp_path / "artifacts/net/manifest.json").read_text())
    assert [output["blob"] for output in manifest["outputs"]] == ["c"]


REPORTS = {
    "proposal_python": "RegionProposal(",
    "mish": "nn.Mish()",
    "refinedet_out": "RefinedDetectionOutput(",
    "ctpn": "FreshLSTM(",
}


@pytest.mark.parametrize("name", list(REPORTS))
def test_a_reported_net_converts(name: str, cases: Path, tmp_path: Path) -> None:
    folder = cases / "reports" / name
    if not folder.is_dir():
        pytest.skip(f"the reports are not on this machine: no folder {folder}")
    files = ["--prototxt", str(folder / "net.prototxt")]
    files += ["--caffemodel", str(folder / "net.caffemodel"), "--name", name]
    done = run("convert", *files, "--no-report", cwd=tmp_path)
    assert "parity not measured: stock Caffe 1.0 cannot run this net" in done.stdout
    assert REPORTS[name] in (tmp_path / "artifacts" / name / "model.py").read_text()
