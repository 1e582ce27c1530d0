"""A net for each of the forks' layers, and what its published definition makes of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from decant.dumper import dumpfile
from decant.engines import reader
from decant.engines.job import Job
from decant.loader.artifact.conversion import conversion_of
from decant.loader.progress import SILENT
from tests.helpers import by_hand, by_hand_detection
from tests.helpers import by_hand_volumes as volumes
from tests.helpers import encode_caffemodel as encode
from tests.helpers.golden import rules_file
from tests.helpers.nets import Shape, inputs_text, layer

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Fork:
    """One layer `it` on `inputs`; `wanted` gives its tops from the inputs and the blobs."""

    kind: str
    param: str
    inputs: Mapping[str, Shape]
    wanted: Callable[[Arrays, Sequence[np.ndarray]], np.ndarray | tuple[np.ndarray, ...]]
    blobs: Sequence[Shape] = ()
    tops: int = 1
    opencv: bool = False
    make: Callable[[np.random.Generator], dict[str, np.ndarray]] | None = None

    def arrays(self) -> dict[str, np.ndarray]:
        random = np.random.default_rng(5)
        made = self.make(random) if self.make else {}
        return {
            name: made.get(name, random.standard_normal(shape)).astype(np.float32)
            for name, shape in self.inputs.items()
        }


X = {"x": (2, 8, 6, 10)}


def rois(random: np.random.Generator) -> dict[str, np.ndarray]:
    """Regions of a 96 x 160 picture; some lie partly outside, one is a point."""
    corners = random.uniform(-10, 150, (7, 2, 2))
    corners.sort(1)
    found = np.concatenate([random.integers(0, 2, (7, 1)), corners.reshape(7, 4)], 1)
    found[0, 3:] = found[0, 1:3]
    return {"rois": found}


def ssd(random: np.random.Generator) -> dict[str, np.ndarray]:
    """Priors and offsets whose boxes overlap here and there, scores without ties."""
    centre, size = random.uniform(0.2, 0.8, (40, 2)), random.uniform(0.05, 0.3, (40, 2))
    corners = np.concatenate([centre - size, centre + size], 1)
    variance = np.tile([0.1, 0.1, 0.2, 0.2], (40, 1))
    scores = random.dirichlet(np.ones(4), (2, 40))
    return {
        "priors": np.stack([corners.reshape(-1), variance.reshape(-1)])[None],
        "scores": scores.reshape(2, -1),
    }


def one_wide_ssd(random: np.random.Generator) -> dict[str, np.ndarray]:
    """The same for one picture, the priors so wide that many reach beyond it."""
    made = ssd(random)
    made["priors"][:, 0] = (made["priors"][:, 0] - 0.5) * 2 + 0.5
    return {**made, "scores": made["scores"][:1], "offsets": random.standard_normal((1, 160)) * 2}


SSD = {"offsets": (2, 160), "scores": (2, 160), "priors": (1, 2, 160)}
DEFAULT = {"classes": 4, "code": "CENTER_SIZE", "share": True, "background": 0, "encoded": False,
           "threshold": 0.45, "eta": 1.0, "top_k": 30, "keep": 20, "confidence": 0.1}  # fmt: skip


def detect(**changes: object) -> Callable[[Arrays, Sequence[np.ndarray]], np.ndarray]:
    values = {**DEFAULT, **changes}
    return lambda x, _: by_hand.detection_output(
        x["offsets"],
        x["scores"],
        x["priors"],
        **values,  # type: ignore[arg-type]
    )


VOLUME = {"x": (2, 3, 5, 6, 7)}


def bn_volume(x: np.ndarray, blobs: list[np.ndarray], eps: float) -> np.ndarray:
    return by_hand.bn(x.reshape(*x.shape[:3], -1), blobs, eps).reshape(x.shape)


def pool(
    kind: str, kernel: volumes.Three, stride: volumes.Three, pad: volumes.Three, clip: bool,
    mask: bool = False,
) -> Callable[[Arrays, Sequence[np.ndarray]], np.ndarray | tuple[np.ndarray, ...]]:  # fmt: skip
    def wanted(x: Arrays, _: object) -> np.ndarray | tuple[np.ndarray, ...]:
        found = volumes.pool3d(x["x"], kind, kernel, stride, pad, clip)
        return found if mask else found[0]

    return wanted


NMS = "nms_param { nms_threshold: 0.45 top_k: 30 }"
RPN = {"scores": (1, 12, 4, 5), "offsets": (1, 24, 4, 5), "info": (1, 3)}
RATIOS, SCALES = [0.5, 1.0, 2.0], [1.0, 2.0]


def rpn(random: np.random.Generator) -> dict[str, np.ndarray]:
    return {
        "scores": random.permutation(240).reshape(1, 12, 4, 5) / 240,
        "offsets": random.standard_normal((1, 24, 4, 5)) * 0.3,
        "info": np.array([[60, 70, 1.5]]),
    }


def propose(x: Arrays, _: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    return by_hand.proposal(
        x["scores"], x["offsets"], x["info"][0], base=16, stride=16, ratios=RATIOS, scales=SCALES,
        before=60, after=15, threshold=0.6, smallest=8,
    )  # fmt: skip


MASK = {"x": (2, 3, 3, 4), "mask": (2, 3, 3, 4)}


def masks(places: int) -> Callable[[np.random.Generator], dict[str, np.ndarray]]:
    """Each map's values go to places of their own, of so many."""
    return lambda r: {
        "mask": np.stack([r.permutation(places)[:12] for _ in range(6)]).reshape(2, 3, 3, 4)
    }


def refinedet(random: np.random.Generator) -> dict[str, np.ndarray]:
    """SSD's, and an objectness that is below the bound for every other prior."""
    seen = random.uniform(0, 0.02, (2, 40))
    return {**ssd(random), "objectness": np.stack([1 - seen, seen], 2).reshape(2, -1)}


REFINE = {**SSD, "objectness": (2, 80)}
REFINED = {"classes": 4, "code": "CENTER_SIZE", "objectness": 0.01, "confidence": 0.1,
           "threshold": 0.45, "top_k": 30, "keep": 20}  # fmt: skip


def refine(**changes: object) -> Callable[[Arrays, Sequence[np.ndarray]], np.ndarray]:
    values = {**REFINED, **changes}
    return lambda x, _: by_hand_detection.refined_detections(x, **values)  # type: ignore[arg-type]


FASTER = {"scores": (1, 18, 4, 5), "offsets": (1, 36, 4, 5), "info": (1, 3)}


def faster(anchors: int, values: int) -> Callable[[np.random.Generator], dict[str, np.ndarray]]:
    """Scores without ties; `values` offsets an anchor."""

    def make(random: np.random.Generator) -> dict[str, np.ndarray]:
        scores = random.permutation(40 * anchors).reshape(1, 2 * anchors, 4, 5)
        return {
            "scores": scores / (40 * anchors),
            "offsets": random.standard_normal((1, values * anchors, 4, 5)) * 0.3,
            "info": np.array([[150, 190, 1.5]]),
        }

    return make


def python(module: str, param: str) -> str:
    name = "ProposalLayer"
    return f'python_param {{ module: "{module}" layer: "{name}" param_str: "{param}" }}'


def rpn_of(**settings: object) -> Callable[[Arrays, Sequence[np.ndarray]], tuple[np.ndarray, ...]]:
    return lambda x, _: by_hand_detection.region_proposals(
        x["scores"],
        x["offsets"],
        x["info"][0],
        **settings,  # type: ignore[arg-type]
    )


YOLO3 = {"a": (1, 24, 3, 3), "b": (1, 24, 6, 6)}
BIASES = [10.0, 14.0, 23.0, 27.0, 37.0, 58.0, 81.0, 82.0, 135.0, 169.0, 344.0, 319.0]
YOLO3_PARAM = (
    "num_classes: 3 confidence_threshold: 0.2 nms_threshold: 0.4 mask_group_num: 2 mask: 3 mask: 4 "
    "mask: 5 mask: 0 mask: 1 mask: 2 anchors_scale: 32 anchors_scale: 16 "
    + " ".join(f"biases: {bias}" for bias in BIASES)
)


def yolov3(x: Arrays, _: Sequence[np.ndarray]) -> np.ndarray:
    return by_hand_detection.yolov3(
        [x["a"], x["b"]], classes=3, boxes=3, biases=BIASES, mask=[3, 4, 5, 0, 1, 2], units=[32, 16],
        confidence=0.2, threshold=0.4,
    )  # fmt: skip


YOLO2_PARAM = "num_classes: 3 num_box: 2 side: 13 coords: 4 confidence_threshold: 0.3 biases: 1.08 biases: 1.19 biases: 3.42 biases: 4.41"


def yolov2(x: Arrays, _: Sequence[np.ndarray]) -> np.ndarray:
    return by_hand_detection.yolov2(
        list(x.values()), classes=3, boxes=2, biases=[1.08, 1.19, 3.42, 4.41], confidence=0.3,
        threshold=0.45,
    )  # fmt: skip


SEQUENCE = {"x": (5, 3, 4)}
LSTM_BLOBS = [(8, 4), (8, 2), (8,)]
LSTM_PARAM = "lstm_param { num_output: 2 clipping_threshold: 1 weight_filler { type: 'xavier' } }"


def marks(steps: int, batch: int) -> np.ndarray:
    return np.repeat([[0.0]] + [[1.0]] * (steps - 1), batch, 1)


FORKS = {
    "relu6": Fork("ReLU6", "", X, lambda x, _: np.clip(x["x"] * 1, 0, 6), opencv=True),
    "normalize": Fork("Normalize", "norm_param { across_spatial: false channel_shared: false }", X, lambda x, b: by_hand.normalize(x["x"], b[0], False), [(8,)], opencv=True),
    "normalize across": Fork("Normalize", "norm_param { eps: 0.001 }", X, lambda x, b: by_hand.normalize(x["x"], b[0], True, 1e-3), [(1,)]),
    "permute": Fork("Permute", "permute_param { order: 0 order: 2 order: 3 order: 1 }", X, lambda x, _: x["x"].transpose(0, 2, 3, 1), opencv=True),
    "permute some": Fork("Permute", "permute_param { order: 0 order: 3 }", X, lambda x, _: x["x"].transpose(0, 3, 1, 2)),
    "shuffle": Fork("ShuffleChannel", "shuffle_channel_param { group: 4 }", X, lambda x, _: by_hand.shuffle(x["x"], 4), opencv=True),
    "axpy": Fork("Axpy", "", {"a": (2, 8, 1, 1), "x": (2, 8, 6, 10), "y": (2, 8, 6, 10)}, lambda x, _: x["a"] * x["x"] + x["y"]),
    "depthwise": Fork("DepthwiseConvolution", "convolution_param { num_output: 8 kernel_size: 3 pad: 1 group: 8 bias_term: false }", X, lambda x, b: depthwise(x["x"], b[0]), [(8, 1, 3, 3)]),
    "convolution depthwise": Fork("ConvolutionDepthwise", "convolution_param { num_output: 8 kernel_size: 3 pad: 1 bias_term: false }", X, lambda x, b: depthwise(x["x"], b[0]), [(8, 1, 3, 3)]),
    "reorg": Fork("Reorg", "reorg_param { stride: 2 }", X, lambda x, _: by_hand.reorg(x["x"], 2)),
    "crelu": Fork("CReLU", "", X, lambda x, _: np.maximum(np.concatenate([x["x"], -x["x"]], 1), 0)),
    "grn": Fork("GRN", "grn_param { bias: 0.5 }", X, lambda x, _: by_hand.grn(x["x"], 0.5)),
    "bn": Fork("BN", "bn_param { slope_filler { value: 1 } frozen: true momentum: 0.9 }", X, lambda x, b: by_hand.bn(x["x"], list(b), 1e-5), [(1, 8, 1, 1)] * 4),
    "bn var_eps": Fork("BN", "bn_param { var_eps: 0.01 decay: 0.1 moving_average: true }", X, lambda x, b: by_hand.bn(x["x"], list(b), 0.01), [(1, 8, 1, 1)] * 4),
    "bn segnet": Fork("BN", "bn_param { bn_mode: INFERENCE }", X, lambda x, b: x["x"] * b[0] + b[1], [(1, 8, 1, 1)] * 2),
    "bn segnet learn": Fork("BN", "", X, lambda x, b: by_hand.bn(x["x"], [b[0], b[1], x["x"].mean((0, 2, 3)), x["x"].var((0, 2, 3))], 1e-9), [(1, 8, 1, 1)] * 2),
    "upsample": Fork("Upsample", "upsample_param { scale: 3 }", X, lambda x, _: by_hand.nearest(x["x"], 3)),
    "unpool": Fork("Upsample", "upsample_param { scale: 2 }", {"x": (2, 3, 3, 4), "mask": (2, 3, 3, 4)}, lambda x, _: by_hand.unpool(x["x"], x["mask"], 6, 8), make=lambda r: {"mask": np.stack([r.permutation(48)[:12] for _ in range(6)]).reshape(2, 3, 3, 4)}),
    "unpool size": Fork("Upsample", "upsample_param { upsample_h: 5 upsample_w: 9 }", {"x": (2, 3, 3, 4), "mask": (2, 3, 3, 4)}, lambda x, _: by_hand.unpool(x["x"], x["mask"], 5, 9), make=lambda r: {"mask": np.stack([r.permutation(45)[:12] for _ in range(6)]).reshape(2, 3, 3, 4)}),
    "unpool padded": Fork("Upsample", "upsample_param { scale: 2 pad_out_h: true }", {"x": (1, 2, 3, 4), "mask": (1, 2, 3, 4)}, lambda x, _: by_hand.unpool(x["x"], x["mask"], 5, 8), make=lambda r: {"mask": np.stack([r.permutation(40)[:12] for _ in range(2)]).reshape(1, 2, 3, 4)}),
    "interp": Fork("Interp", "interp_param { height: 9 width: 7 }", X, lambda x, _: by_hand.interp(x["x"], 9, 7), opencv=True),
    "interp zoom": Fork("Interp", "interp_param { zoom_factor: 3 }", X, lambda x, _: by_hand.interp(x["x"], 16, 28), opencv=True),
    "interp shrink": Fork("Interp", "interp_param { shrink_factor: 2 }", X, lambda x, _: by_hand.interp(x["x"], 3, 5), ),
    "interp both": Fork("Interp", "interp_param { shrink_factor: 2 zoom_factor: 3 pad_beg: -1 }", X, lambda x, _: by_hand.interp(x["x"][:, :, 1:, 1:], 7, 13)),
    "interp pads": Fork("Interp", "interp_param { height: 4 width: 4 pad_beg: -1 pad_end: -2 }", X, lambda x, _: by_hand.interp(x["x"][:, :, 1:-2, 1:-2], 4, 4)),
    "resize": Fork("Resize", "resize_param { height: 9 width: 15 }", X, lambda x, _: by_hand.resize(x["x"], 9, 15)),
    "resize smaller": Fork("Resize", "resize_param { is_pyramid_test: true out_height_scale: 0.5 out_width_scale: 0.7 }", X, lambda x, _: by_hand.resize(x["x"], 3, 7)),
    "prior box": Fork("PriorBox", "prior_box_param { min_size: 30 max_size: 60 aspect_ratio: 2 aspect_ratio: 3 aspect_ratio: 1 clip: true variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 }", {"x": (1, 4, 3, 5), "image": (1, 3, 60, 100)}, lambda x, _: by_hand.prior_box(3, 5, (60, 100), by_hand.ssd_boxes([30], [60], [2.0, 3.0, 1.0], True), (20.0, 20.0), 0.5, True, [0.1, 0.1, 0.2, 0.2]), opencv=True),
    "prior box steps": Fork("PriorBox", "prior_box_param { min_size: 10.7 min_size: 16 aspect_ratio: 2 flip: false step_h: 8 step_w: 16 offset: 0.25 variance: 0.3 img_h: 64 img_w: 80 }", {"x": (1, 4, 3, 5), "image": (1, 3, 60, 100)}, lambda x, _: by_hand.prior_box(3, 5, (64, 80), by_hand.ssd_boxes([10, 16], [], [2.0], False), (8.0, 16.0), 0.25, False, [0.3])),
    "prior box offsets": Fork("PriorBox", "prior_box_param { min_size: 30 max_size: 60 aspect_ratio: 2 flip: false clip: true offset_h: 0.5 offset_w: 0.5 offset_h: 1.0 offset_w: 0.25 variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 }", {"x": (1, 4, 3, 5), "image": (1, 3, 60, 100)}, lambda x, _: by_hand.prior_box(3, 5, (60, 100), by_hand.ssd_boxes([30], [60], [2.0], False), (20.0, 20.0), [(0.5, 0.5), (1.0, 0.25)], True, [0.1, 0.1, 0.2, 0.2]), opencv=True),
    "prior box offset each way": Fork("PriorBox", "prior_box_param { min_size: 30 clip: false offset_h: 0.25 offset_w: 0.75 variance: 0.1 }", {"x": (1, 4, 3, 5), "image": (1, 3, 60, 100)}, lambda x, _: by_hand.prior_box(3, 5, (60, 100), [(30.0, 30.0)], (20.0, 20.0), [(0.25, 0.75)], False, [0.1]), opencv=True),
    "prior box clustered": Fork("PriorBoxClustered", "prior_box_param { width: 9.4 width: 25.1 height: 15 height: 39.6 step: 16 clip: false variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 }", {"x": (1, 4, 3, 5), "image": (1, 3, 60, 100)}, lambda x, _: by_hand.prior_box(3, 5, (60, 100), [(9.4, 15.0), (25.1, 39.6)], (16.0, 16.0), 0.5, False, [0.1, 0.1, 0.2, 0.2]), opencv=True),
    "detection": Fork("DetectionOutput", f"detection_output_param {{ num_classes: 4 code_type: CENTER_SIZE keep_top_k: 20 confidence_threshold: 0.1 {NMS} }}", SSD, detect(), make=ssd),
    "detection corner": Fork("DetectionOutput", f"detection_output_param {{ num_classes: 4 confidence_threshold: 0.1 {NMS} }}", SSD, detect(code="CORNER", keep=-1), make=ssd),
    "detection corner size": Fork("DetectionOutput", "detection_output_param { num_classes: 4 code_type: CORNER_SIZE background_label_id: -1 nms_param { nms_threshold: 0.6 eta: 0.9 } }", SSD, detect(code="CORNER_SIZE", keep=-1, top_k=-1, background=-1, confidence=float("-inf"), threshold=0.6, eta=0.9), make=ssd),
    "detection each class": Fork("DetectionOutput", f"detection_output_param {{ num_classes: 4 code_type: CENTER_SIZE share_location: false variance_encoded_in_target: true confidence_threshold: 0.1 {NMS} }}", {**SSD, "offsets": (2, 640)}, detect(share=False, encoded=True, keep=-1), make=ssd),
    "detection clip": Fork("DetectionOutput", f"detection_output_param {{ num_classes: 4 code_type: CENTER_SIZE keep_top_k: 20 confidence_threshold: 0.1 share_location: true background_label_id: 0 clip: 1 {NMS} }}", {"offsets": (1, 160), "scores": (1, 160), "priors": (1, 2, 160)}, detect(clip=True), make=one_wide_ssd, opencv=True),
    "detection no clip": Fork("DetectionOutput", f"detection_output_param {{ num_classes: 4 code_type: CENTER_SIZE keep_top_k: 20 confidence_threshold: 0.1 clip: false {NMS} }}", SSD, detect(), make=ssd),
    "detection nothing": Fork("DetectionOutput", f"detection_output_param {{ num_classes: 4 code_type: CENTER_SIZE confidence_threshold: 2 {NMS} }}", SSD, detect(confidence=2.0), make=ssd),
    "roi pooling": Fork("ROIPooling", "roi_pooling_param { pooled_h: 3 pooled_w: 4 spatial_scale: 0.0625 }", {**X, "rois": (7, 5)}, lambda x, _: by_hand.roi_pool(x["x"], x["rois"], 3, 4, 0.0625), make=rois),
    "psroi pooling": Fork("PSROIPooling", "psroi_pooling_param { output_dim: 2 group_size: 2 spatial_scale: 0.0625 }", {**X, "rois": (7, 5)}, lambda x, _: by_hand.psroi_pool(x["x"], x["rois"], 2, 2, 0.0625), make=rois),
    "roi align": Fork("ROIAlign", "roi_align_param { pooled_h: 3 pooled_w: 4 spatial_scale: 0.0625 sampling_ratio: 2 }", {**X, "rois": (7, 5)}, lambda x, _: by_hand.roi_align(x["x"], x["rois"], 3, 4, 0.0625, 2), make=rois),
    "roi align adaptive": Fork("ROIAlign", "roi_align_param { pooled_h: 2 pooled_w: 2 spatial_scale: 0.0625 sampling_ratio: -1 }", {**X, "rois": (7, 5)}, lambda x, _: by_hand.roi_align(x["x"], x["rois"], 2, 2, 0.0625, -1), make=rois),
    "proposal": Fork("Proposal", "proposal_param { ratio: 0.5 ratio: 1 ratio: 2 scale: 1 scale: 2 base_size: 16 feat_stride: 16 pre_nms_topn: 60 post_nms_topn: 15 nms_thresh: 0.6 min_size: 8 }", RPN, propose, tops=2, make=rpn),
    "mish": Fork("Mish", "", X, lambda x, _: x["x"] * np.tanh(np.log1p(np.exp(x["x"])))),
    "hard sigmoid": Fork("HardSigmoid", "", {"x": (2, 8, 6, 10)}, lambda x, _: np.clip(0.2 * x["x"] * 1 + 0.5, 0, 1)),
    "hard sigmoid alpha": Fork("HardSigmoid", "hardsigmoid_param { alpha: 0.7 beta: 0.1 }", X, lambda x, _: np.clip(0.7 * x["x"] + 0.1, 0, 1)),
    "hard sigmoid other message": Fork("HardSigmoid", "hard_sigmoid_param { alpha: 0.7 }", X, lambda x, _: np.clip(0.7 * x["x"] + 0.5, 0, 1)),
    "hsigmoid": Fork("HSigmoid", "", X, lambda x, _: np.clip(x["x"] + 3, 0, 6) / 6),
    "hard swish": Fork("HardSwish", "", X, lambda x, _: x["x"] * np.clip(x["x"] / 6 + 0.5, 0, 1)),
    "selu": Fork("SeLu", "selu_param { alpha: 1.67 lambda: 1.05 }", X, lambda x, _: 1.05 * np.where(x["x"] > 0, x["x"], 1.67 * np.expm1(x["x"]))),
    "sin": Fork("Sin", "", X, lambda x, _: np.sin(x["x"])),
    "transpose": Fork("Transpose", "transpose_param { dim: 3 dim: 2 dim: 0 dim: 1 }", X, lambda x, _: x["x"].transpose(3, 2, 0, 1)),
    "reverse": Fork("Reverse", "reverse_param { axis: 0 }", SEQUENCE, lambda x, _: x["x"][::-1]),
    "reverse default": Fork("Reverse", "", SEQUENCE, lambda x, _: x["x"][::-1]),
    "reverse axes": Fork("Reverse", "reverse_param { axis: 1 axis: -1 }", X, lambda x, _: x["x"][:, ::-1, :, ::-1]),
    "lstm ctpn": Fork("Lstm", LSTM_PARAM, SEQUENCE, lambda x, b: by_hand.forks_lstm(x["x"], list(b)), LSTM_BLOBS),
    "lstm batch_size": Fork("Lstm", LSTM_PARAM.replace("{ num", "{ batch_size: 3 num"), {"x": (15, 4)}, lambda x, b: by_hand.forks_lstm(x["x"], list(b), 3), LSTM_BLOBS),
    "lstm clip": Fork("Lstm", LSTM_PARAM, {"x": (5, 1, 4), "clip": (5,)}, lambda x, b: np.concatenate([by_hand.forks_lstm(part, list(b)) for part in (x["x"][:3], x["x"][3:])]), LSTM_BLOBS, make=lambda r: {"clip": np.array([0, 1, 1, 0, 1])}),
    "lstm four axes": Fork("Lstm", LSTM_PARAM, {"x": (5, 4, 1, 1)}, lambda x, b: by_hand.forks_lstm(x["x"], list(b), 1), LSTM_BLOBS),
    "lstm four axes ctpn": Fork("Lstm", LSTM_PARAM, {"x": (5, 3, 2, 2)}, lambda x, b: by_hand.forks_lstm(x["x"], list(b)), LSTM_BLOBS),
    "continuation": Fork("ContinuationIndicator", "continuation_indicator_param { time_step: 4 batch_size: 3 }", {}, lambda x, _: marks(4, 3)),
    "continuation bottom": Fork("ContinuationIndicator", "continuation_indicator_param { time_step: 4 }", {"x": (2, 3)}, lambda x, _: marks(4, 2)),
    "continuation axis": Fork("ContinuationIndicator", "continuation_indicator_param { time_step: 4 axis: 1 }", {"x": (2, 3)}, lambda x, _: marks(4, 3)),
    "merge crop": Fork("MergeCrop", "", {"a": (2, 3, 4, 5), "b": (2, 3, 7, 9)}, lambda x, _: by_hand.merge_crop(x["a"], x["b"])),
    "merge crop add": Fork("MergeCrop", "mergecrop_param { forward: 1 forward: 1 backward: 1 backward: 1 operation: ADD }", {"a": (2, 3, 4, 5), "b": (2, 3, 7, 5)}, lambda x, _: by_hand.merge_crop(x["a"], x["b"], True)),
    "unpooling": Fork("Unpooling", "unpooling_param { unpool: MAX kernel_size: 2 stride: 2 unpool_size: 9 }", MASK, lambda x, _: by_hand.unpool(x["x"], x["mask"], 9, 9), make=masks(81)),
    "unpooling size": Fork("Unpooling", "unpooling_param { unpool: MAX kernel_size: 3 stride: 2 unpool_h: 7 unpool_w: 8 }", MASK, lambda x, _: by_hand.unpool(x["x"], x["mask"], 7, 8), make=masks(56)),
    "unpooling stride": Fork("Unpooling", "unpooling_param { kernel_size: 3 stride: 2 }", MASK, lambda x, _: by_hand.unpool(x["x"], x["mask"], 7, 9), make=masks(63)),
    "max unpool": Fork("MaxUnPool", "max_unpool_param { dst_h: 6 dst_w: 9 }", MASK, lambda x, _: by_hand.unpool(x["x"], x["mask"], 6, 9), make=masks(54)),
    "pixel shuffle": Fork("PixelShuffle", "pixelshuffle_param { upscale_factor: 2 }", X, lambda x, _: by_hand.pixel_shuffle(x["x"], 2)),
    "pad": Fork("Pad", "pad_param { pad_l: 1 pad_r: 2 pad_u: 3 pad_d: 0 pad_value: 0.5 }", X, lambda x, _: by_hand.pad(x["x"], 1, 2, 3, 0, "CONSTANT", 0.5)),
    "pad replicate": Fork("Pad", "pad_param { pad_type: REPLICATE pad_l: 1 pad_r: 2 pad_u: 3 pad_d: 4 }", X, lambda x, _: by_hand.pad(x["x"], 1, 2, 3, 4, "REPLICATE")),
    "pad reflect": Fork("Pad", "pad_param { pad_type: REFLECT pad_l: 1 pad_r: 2 pad_u: 3 pad_d: 4 }", X, lambda x, _: by_hand.pad(x["x"], 1, 2, 3, 4, "REFLECT")),
    "pad negative": Fork("Pad", "pad_param { pad_type: REFLECT pad_l: -1 pad_r: -2 pad_u: -2 pad_d: -1 }", X, lambda x, _: x["x"][:, :, 2:-1, 1:-2]),
    "bilinear": Fork("BilinearInterpolate", "bilinear_interpolate_param { dst_h: 9 dst_w: 7 }", X, lambda x, _: by_hand.bilinear(x["x"], 9, 7, True)),
    "bilinear factor": Fork("BilinearInterpolate", "bilinear_interpolate_param { scale_factor: 1.5 align_corners: false }", X, lambda x, _: by_hand.bilinear(x["x"], 9, 15, False)),
    "rpn proposals": Fork("Python", python("rpn.proposal_layer", "'feat_stride': 16"), FASTER, rpn_of(), tops=2, make=faster(9, 4)),
    "rpn proposals scales": Fork("Python", python("rpn.proposal_layer", "{'feat_stride': 16, 'scales': [2, 4, 8], 'ratios': [0.4, 1, 2.5]}"), FASTER, rpn_of(scales=[2, 4, 8], ratios=[0.4, 1, 2.5]), tops=2, make=faster(9, 4)),
    "rpn proposals tuple": Fork("Python", python("rpn.proposal_layer", r"'feat_stride': 8 \n'scales': !!python/tuple [4, 8.5]"), {**FASTER, "scores": (1, 12, 4, 5), "offsets": (1, 24, 4, 5)}, rpn_of(stride=8, scales=[4, 8.5]), tops=2, make=faster(6, 4)),
    "text proposals": Fork("Python", python("layers.text_proposal_layer", "'feat_stride': 16"), {"scores": (1, 20, 4, 5), "offsets": (1, 20, 4, 5), "info": (1, 3)}, lambda x, _: by_hand_detection.text_proposals(x["scores"], x["offsets"], x["info"][0], 16), tops=2, make=faster(10, 2)),
    "refinedet": Fork("DetectionOutput", f"detection_output_param {{ num_classes: 4 code_type: CENTER_SIZE keep_top_k: 20 confidence_threshold: 0.1 {NMS} objectness_score: 0.01 }}", {**REFINE, "first": (2, 160)}, refine(), make=refinedet),
    "refinedet default": Fork("DetectionOutput", f"detection_output_param {{ num_classes: 4 code_type: CORNER_SIZE variance_encoded_in_target: true keep_top_k: 20 confidence_threshold: 0.1 {NMS} }}", {**REFINE, "first": (2, 160)}, refine(code="CORNER_SIZE", encoded=True), make=refinedet),
    "refinedet objectness": Fork("DetectionOutput", f"detection_output_param {{ num_classes: 4 code_type: CENTER_SIZE keep_top_k: 20 confidence_threshold: 0.1 {NMS} objectness_score: 0.015 }}", REFINE, refine(objectness=0.015), make=refinedet),
    "yolov3": Fork("Yolov3DetectionOutput", f"yolov3_detection_output_param {{ {YOLO3_PARAM} }}", YOLO3, yolov3),
    "yolov2": Fork("YoloDetectionOutput", f"yolo_detection_output_param {{ {YOLO2_PARAM} }}", {"a": (1, 16, 5, 5)}, yolov2),
    "yolov2 two maps": Fork("YoloDetectionOutput", f"yolo_detection_output_param {{ {YOLO2_PARAM} }}", {"a": (1, 16, 5, 5), "b": (1, 16, 3, 3)}, yolov2),
    "region": Fork("Region", "region_param { classes: 3 coords: 4 num: 2 }", {"x": (2, 16, 4, 5)}, lambda x, _: by_hand_detection.region(x["x"], 2, 3, 4)),
    "region training": Fork("Region", "region_param { side: 4 num_classes: 2 coords: 5 num: 2 jitter: 0.2 object_scale: 5 thresh: 0.6 biases: 1 biases: 2 }", {"x": (2, 16, 4, 4)}, lambda x, _: by_hand_detection.region(x["x"], 2, 2, 5)),
    "bn five axes": Fork("BN", "bn_param { slope_filler { value: 1 } frozen: true }", VOLUME, lambda x, b: bn_volume(x["x"], list(b), 1e-5), [(1, 3)] * 4),
    "bn two axes": Fork("BN", "bn_param { slope_filler { value: 1 } }", {"x": (4, 8)}, lambda x, b: by_hand.bn(x["x"][:, :, None, None], list(b), 1e-5)[..., 0, 0], [(1, 8, 1, 1)] * 4),
    "conv 3d": Fork("Convolution3D", "convolution3d_param { num_output: 4 kernel_size: 3 kernel_depth: 2 pad: 1 temporal_pad: 1 stride: 2 temporal_stride: 3 }", VOLUME, lambda x, b: volumes.conv3d(x["x"], b[0], b[1], (3, 2, 2), (1, 1, 1)), [(4, 3, 2, 3, 3), (1, 1, 1, 1, 4)]),
    "conv 3d v1.0": Fork("Convolution3D", "convolution_param { num_output: 4 kernel_size: 3 kernel_depth: 3 pad: 1 temporal_pad: 1 filter_group: 2 bias_term: false }", VOLUME, lambda x, b: volumes.conv3d(x["x"], b[0], None, (1, 1, 1), (1, 1, 1)), [(4, 3, 3, 3, 3)]),
    "conv 3d group": Fork("Convolution3D", "convolution3d_param { num_output: 4 kernel_size: 2 kernel_l: 3 pad_l: 2 stride: 2 stride_l: 1 group: 2 filter_stride: 2 filter_stride_l: 2 }", {"x": (2, 6, 5, 7, 6)}, lambda x, b: volumes.conv3d(x["x"], b[0], b[1], (1, 2, 2), (2, 0, 0), (2, 2, 2), 2), [(4, 3, 3, 2, 2), (4,)]),
    "deconv 3d": Fork("Deconvolution3D", "convolution3d_param { num_output: 4 kernel_size: 3 kernel_depth: 2 pad: 1 stride: 2 temporal_stride: 2 bias_term: false }", VOLUME, lambda x, b: volumes.deconv3d(x["x"], b[0], b[1], (2, 2, 2), (0, 1, 1)), [(3, 4, 2, 3, 3), (1, 1, 1, 1, 4)]),
    "deconv 3d v1.0": Fork("Deconvolution3D", "convolution_param { num_output: 2 kernel_size: 4 kernel_depth: 4 pad: 1 temporal_pad: 1 stride: 2 temporal_stride: 2 bias_term: false }", VOLUME, lambda x, b: volumes.deconv3d(x["x"], b[0], None, (2, 2, 2), (1, 1, 1)), [(3, 2, 4, 4, 4)]),
    "deconv 3d of P3D's": Fork("Deconvolution3D", "convolution3d_param { num_output: 2 kernel_size: 3 kernel_l: 1 stride: 2 }", VOLUME, lambda x, b: volumes.deconv3d(x["x"], b[0], b[1], (1, 2, 2), (0, 0, 0)), [(3, 2, 1, 3, 3), (2,)]),
    "pool 3d": Fork("Pooling3D", "pooling3d_param { pool: MAX kernel_size: 2 kernel_depth: 2 stride: 2 temporal_stride: 2 }", VOLUME, pool("MAX", (2, 2, 2), (2, 2, 2), (0, 0, 0), False)),
    "pool 3d v1.0": Fork("Pooling3D", "pooling_param { pool: MAX kernel_size: 3 kernel_depth: 1 stride: 2 }", VOLUME, pool("MAX", (1, 3, 3), (1, 2, 2), (0, 0, 0), False)),
    "pool 3d of short volumes": Fork("Pooling3D", "pooling3d_param { pool: MAX kernel_size: 2 kernel_depth: 2 stride: 2 temporal_stride: 2 }", {"x": (1, 2, 1, 7, 7)}, pool("MAX", (2, 2, 2), (2, 2, 2), (0, 0, 0), False)),
    "pool 3d wide strides": Fork("Pooling3D", "pooling3d_param { pool: MAX kernel_size: 2 kernel_depth: 1 stride: 3 temporal_stride: 4 }", VOLUME, pool("MAX", (1, 2, 2), (4, 3, 3), (0, 0, 0), False)),
    "pool 3d average": Fork("Pooling3D", "pooling3d_param { pool: AVE kernel_size: 3 kernel_depth: 2 stride: 2 temporal_stride: 2 }", VOLUME, pool("AVE", (2, 3, 3), (2, 2, 2), (0, 0, 0), False)),
    "pool 3d average padded": Fork("Pooling3D", "pooling3d_param { pool: AVE kernel_size: 2 kernel_depth: 2 stride: 2 pad: 1 temporal_stride: 1 }", VOLUME, pool("AVE", (2, 2, 2), (1, 2, 2), (0, 1, 1), False)),
    "pool 3d of P3D's": Fork("Pooling3D", "pooling3d_param { pool: MAX pad: 0 kernel_size: 3 stride: 2 pad_l: 0 kernel_l: 2 stride_l: 2 }", VOLUME, pool("MAX", (2, 3, 3), (2, 2, 2), (0, 0, 0), True)),
    "pool 3d of P3D's padded": Fork("Pooling3D", "pooling3d_param { pool: MAX pad: 1 kernel_size: 3 stride: 2 pad_l: 1 kernel_l: 2 stride_l: 2 }", VOLUME, pool("MAX", (2, 3, 3), (2, 2, 2), (1, 1, 1), True)),
    "pool 3d of P3D's padded far": Fork("Pooling3D", "pooling3d_param { pool: MAX pad_h: 2 pad_w: 0 kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 3 kernel_l: 2 stride_l: 2 }", VOLUME, pool("MAX", (2, 3, 2), (2, 2, 3), (0, 2, 0), True)),
    "pool 3d of P3D's average": Fork("Pooling3D", "pooling3d_param { pool: AVE pad: 1 kernel_size: 3 stride: 2 pad_l: 1 kernel_l: 3 stride_l: 2 }", VOLUME, pool("AVE", (3, 3, 3), (2, 2, 2), (1, 1, 1), True)),
    "pool 3d of P3D's average padded far": Fork("Pooling3D", "pooling3d_param { pool: AVE pad: 2 kernel_size: 3 stride: 2 kernel_l: 1 }", VOLUME, pool("AVE", (1, 3, 3), (1, 2, 2), (0, 2, 2), True)),
    "pool 3d mask": Fork("Pooling3D", "pooling3d_param { pool: MAX pad: 1 kernel_size: 3 stride: 2 pad_l: 1 kernel_l: 2 stride_l: 2 }", VOLUME, pool("MAX", (2, 3, 3), (2, 2, 2), (1, 1, 1), True, mask=True), tops=2),
    "pool 3d global": Fork("Pooling3D", "pooling3d_param { pool: AVE global_pooling: true }", VOLUME, lambda x, _: x["x"].mean((2, 3, 4), keepdims=True)),
    "pool 3d global mask": Fork("Pooling3D", "pooling3d_param { global_pooling: true }", VOLUME, pool("MAX", (5, 6, 7), (1, 1, 1), (0, 0, 0), True, mask=True), tops=2),
    "unpool written size": Fork("Upsample", "upsample_param { scale: 2 upsample_w: 9 upsample_h: 5 }", {"x": (2, 3, 3, 4), "mask": (2, 3, 3, 4)}, lambda x, _: by_hand.unpool(x["x"], x["mask"], 5, 9), make=lambda r: {"mask": np.stack([r.permutation(45)[:12] for _ in range(6)]).reshape(2, 3, 3, 4)}),
    "unpool scales": Fork("Upsample", "upsample_param { scale_h: 3 scale_w: 2 pad_out_w: true upsample_h: 50 }", {"x": (1, 2, 3, 4), "mask": (1, 2, 3, 4)}, lambda x, _: by_hand.unpool(x["x"], x["mask"], 9, 7), make=lambda r: {"mask": np.stack([r.permutation(63)[:12] for _ in range(2)]).reshape(1, 2, 3, 4)}),
}  # fmt: skip


def depthwise(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    out = np.zeros(x.shape)
    for i in range(3):
        for j in range(3):
            part = padded[:, :, i : i + x.shape[2], j : j + x.shape[3]]
            out += part * weight[None, :, 0, i, j, None, None]
    return out


def files(fork: Fork, folder: Path) -> tuple[Path, Path, list[np.ndarray]]:
    """net.prototxt, net.caffemodel, and the layer's blobs."""
    tops = ["out"] if fork.tops == 1 else [f"out{number}" for number in range(fork.tops)]
    text = inputs_text(fork.inputs) + layer("it", fork.kind, list(fork.inputs), tops, fork.param)
    random = np.random.default_rng(3)
    blobs = [random.uniform(0.5, 1.5, shape).astype(np.float32) for shape in fork.blobs]
    (folder / "net.prototxt").write_text(text)
    (folder / "net.caffemodel").write_bytes(encode.net("current", [("it", fork.kind, blobs)]))
    return folder / "net.prototxt", folder / "net.caffemodel", blobs


def forks_of(file: str) -> list[str]:
    """The names of the layers whose rules are in that file of loader/layers/."""
    return [name for name, fork in FORKS.items() if rules_file(fork.kind, fork.param) == file]


@torch.no_grad()
def computes_its_definition(name: str, folder: Path) -> None:
    """The layer of that name, converted, against its transcription and, where it takes it, OpenCV."""
    fork = FORKS[name]
    prototxt, caffemodel, blobs = files(fork, folder)
    weights = caffemodel if blobs else None
    reader.dump(Job(prototxt, weights, {}), folder / "dump.h5", SILENT)
    converted = conversion_of(dumpfile.read(folder / "dump.h5"), None, "net")
    arrays = fork.arrays()
    found = converted.build()(*(torch.from_numpy(arrays[blob]) for blob in converted.inputs))
    tops = list(found.values()) if isinstance(found, dict) else [found]
    wanted = fork.wanted({key: array.astype(np.float64) for key, array in arrays.items()}, blobs)
    for top, other in zip(tops, wanted if isinstance(wanted, tuple) else [wanted], strict=True):
        assert tuple(top.shape) == other.shape
        assert np.isfinite(other).all()
        assert np.abs(top.numpy() - other).max() <= 1e-5 * np.abs(other).max()
    if fork.opencv:
        _opencv_agrees(prototxt, caffemodel, arrays, tops[0].numpy())


def _opencv_agrees(prototxt: Path, caffemodel: Path, arrays: Arrays, found: np.ndarray) -> None:
    cv2 = pytest.importorskip("cv2", reason="opencv-python-headless is not there")
    if not hasattr(cv2.dnn, "readNetFromCaffe"):
        pytest.skip("OpenCV 5 has no Caffe importer")
    net = cv2.dnn.readNetFromCaffe(str(prototxt), str(caffemodel))
    for blob, array in arrays.items():
        net.setInput(array, blob)
    theirs = net.forward()
    assert theirs.shape == found.shape
    if found.shape[:2] == (1, 1) and found.shape[3:] == (7,):  # the best first; SSD goes by class
        found = found[:, :, np.argsort(-found[0, 0, :, 2])]
    assert np.abs(theirs - found).max() <= 1e-5 * np.abs(found).max()
