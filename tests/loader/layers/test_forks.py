"""What holds for every layer of a fork: each has a test, its module goes through exports, and refusals have names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from decant.dumper import dumpfile
from decant.engines import reader
from decant.engines.job import Job
from decant.loader.artifact.conversion import conversion_of
from decant.loader.definition.graph import net_from_text
from decant.loader.errors import Unsupported
from decant.loader.layers import LAYER_TYPES, PYTHON
from decant.loader.layers.layer_type import CAFFE
from decant.loader.plan.planning import plan
from decant.loader.progress import SILENT
from tests.helpers.forks import FORKS, MASK, NMS, SSD, YOLO3, YOLO3_PARAM, files
from tests.helpers.nets import Shape, inputs_text, layer


def test_every_fork_layer_has_a_test() -> None:
    tested = {fork.kind for fork in FORKS.values()}
    of_forks = {of.name for of in LAYER_TYPES.values() if of.rule and of.origin != CAFFE}
    assert of_forks == tested - {"Python"}
    programs = " ".join(fork.param for fork in FORKS.values())
    for name in PYTHON:
        assert f'module: "{name.split(":")[0]}"' in programs


# seeds for which no box stands on the edge of a threshold
DETECTORS = {"ultralight_slim320": 0, "toolbox_face_detection_0044": 1, "yufacedetect_open_v1": 0}


@torch.no_grad()
@pytest.mark.parametrize("name", list(DETECTORS))
def test_a_real_detector_computes_what_opencv_does(name: str, cases: Path, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2", reason="opencv-python-headless is not there")
    prototxt, caffemodel = cases / name / "net.prototxt", cases / name / "net.caffemodel"
    reader.dump(Job(prototxt, caffemodel, {}, ("conv5-3",)), tmp_path / "dump.h5", SILENT)
    converted = conversion_of(dumpfile.read(tmp_path / "dump.h5"), None, name)
    (shape,) = converted.inputs.values()
    x = np.random.default_rng(DETECTORS[name]).standard_normal(shape).astype(np.float32) * 60
    found = converted.build()(torch.from_numpy(x))
    net = cv2.dnn.readNetFromCaffe(str(prototxt), str(caffemodel))
    net.setInput(x)
    names = net.getUnconnectedOutLayersNames()
    theirs = dict(zip(names, net.forward(names), strict=True))
    mine = found if isinstance(found, dict) else {names[0]: found}
    assert set(mine) == set(theirs)
    for blob, array in mine.items():
        other = theirs[blob]
        if blob == "detection_out":  # OpenCV fills up with rows of zeros
            other = other[:, :, np.abs(other[0, 0]).sum(1) > 0]
        assert tuple(array.shape) == other.shape
        assert np.abs(array.numpy() - other).max() <= 1e-4 * np.abs(other).max()


def test_numbers_of_boxes_that_do_not_fit_are_refused() -> None:
    text = inputs_text({**SSD, "scores": (2, 80)})
    text += layer(
        "it", "DetectionOutput", list(SSD), ["out"], "detection_output_param { num_classes: 4 }"
    )
    net = net_from_text(text, "net.prototxt")
    with pytest.raises(Unsupported, match="40 boxes, 4 classes"):
        plan(net, [[]] * 4, {**SSD, "scores": (2, 80)})


X4 = {"x": (2, 8, 6, 10)}
SEEN = {"offsets": (2, 160), "scores": (2, 160), "priors": (1, 2, 160), "seen": (2, 80)}
# what has one name in several forks, or what no published layer computes
REFUSALS: dict[str, tuple[str, str, Mapping[str, Shape], str]] = {
    "transpose without dim": ("Transpose", "", X4, "no dim"),
    "transpose some axes": ("Transpose", "transpose_param { dim: 1 dim: 0 }", X4, "dim [1, 0] of 4 axes"),
    "transpose twice": ("Transpose", "transpose_param { dim: 0 dim: 0 dim: 1 dim: 2 }", X4, "dim [0, 0, 1, 2]"),
    "reverse beyond": ("Reverse", "reverse_param { axis: 4 }", X4, "axis 4"),
    "reverse twice": ("Reverse", "reverse_param { axis: 1 axis: 1 }", X4, "axis [1, 1]"),
    "reverse segments": ("Reverse", "", {"x": (4, 2), "segments": (4,)}, "1 bottoms, and has 2"),
    "lstm sizes": ("Lstm", "lstm_param { hidden_size: 4 vocabulary_size: 9 }", {"x": (5, 3, 4)}, "shape 5 x 3 x 4"),
    "lstm clip of several": ("Lstm", "lstm_param { num_output: 2 }", {"x": (5, 3, 4), "clip": (15,)}, "for one sequence alone"),
    "continuation flag": ("ContinuationIndicator", "continuation_indicator_param { time_step: 4 batch_size: 2 flag: true }", {}, "flag is not supported"),
    "continuation both": ("ContinuationIndicator", "continuation_indicator_param { time_step: 4 batch_size: 2 }", X4, "one or the other"),
    "continuation none": ("ContinuationIndicator", "continuation_indicator_param { batch_size: 2 }", {}, "time_step 0"),
    "merge crop channels": ("MergeCrop", "", {"a": (1, 3, 4, 4), "b": (1, 4, 6, 6)}, "the channels must be as many"),
    "merge crop larger": ("MergeCrop", "", {"a": (1, 3, 4, 4), "b": (1, 3, 6, 3)}, "cropped to"),
    "merge crop half": ("MergeCrop", "mergecrop_param { forward: 1 forward: 0 }", {"a": (1, 3, 4, 4), "b": (1, 3, 6, 6)}, "forward: 0"),
    "unpooling average": ("Unpooling", "unpooling_param { unpool: AVE kernel_size: 2 stride: 2 unpool_size: 9 }", MASK, "AVE"),
    "unpooling without a mask": ("Unpooling", "unpooling_param { unpool: MAX kernel_size: 2 stride: 2 }", {"x": (2, 3, 3, 4)}, "1 bottoms"),
    "unpooling by pooling_param": ("Unpooling", "pooling_param { kernel_size: 2 stride: 2 }", MASK, ""),
    "max unpool without size": ("MaxUnPool", "", MASK, "to 0 x 0"),
    "region of a grid": ("Region", "region_param { classes: 3 coords: 4 boxes_of_each_grid: 2 softmax: true }", {"x": (1, 16, 4, 4)}, "no num"),
    "region of other channels": ("Region", "region_param { classes: 3 num: 2 }", {"x": (1, 15, 4, 4)}, "1 x 15 x 4 x 4"),
    "yolov3 oblong": ("Yolov3DetectionOutput", f"yolov3_detection_output_param {{ {YOLO3_PARAM} }}", {"a": (1, 24, 3, 4), "b": (1, 24, 6, 6)}, "square"),
    "yolov3 one map": ("Yolov3DetectionOutput", f"yolov3_detection_output_param {{ {YOLO3_PARAM} }}", {"a": (1, 24, 3, 3)}, "for 1 bottoms"),
    "yolov3 channels": ("Yolov3DetectionOutput", f"yolov3_detection_output_param {{ {YOLO3_PARAM} }}", {"a": (1, 25, 3, 3), "b": (1, 24, 6, 6)}, "3 boxes of 3 classes"),
    "yolov3 mask": ("Yolov3DetectionOutput", f"yolov3_detection_output_param {{ {YOLO3_PARAM.replace('mask: 5', 'mask: 6')} }}", YOLO3, "mask"),
    "yolov3 gaussian": ("Yolov3DetectionOutput", f"yolov3_detection_output_param {{ {YOLO3_PARAM} gaussian_box: true }}", YOLO3, "gaussian_box is not supported"),
    "yolov2 biases": ("YoloDetectionOutput", "yolo_detection_output_param { num_classes: 3 num_box: 2 biases: 1 biases: 2 }", {"a": (1, 16, 5, 5)}, "1 pairs of biases"),
    "yolov2 classes": ("YoloDetectionOutput", "yolo_detection_output_param { num_box: 1 biases: 1 biases: 2 }", {"a": (1, 6, 5, 5)}, "no num_classes"),
    "refinedet each class": ("DetectionOutput", f"detection_output_param {{ num_classes: 4 share_location: false {NMS} }}", {**SEEN, "offsets": (2, 640)}, "share_location"),
    "refinedet other priors": ("DetectionOutput", f"detection_output_param {{ num_classes: 4 {NMS} }}", {**SEEN, "seen": (2, 40)}, "first stage of shape 2 x 40"),
    "refinedet other batch": ("DetectionOutput", f"detection_output_param {{ num_classes: 4 {NMS} }}", {**SEEN, "seen": (1, 80)}, "first stage of shape 1 x 80"),
    "six bottoms": ("DetectionOutput", f"detection_output_param {{ num_classes: 4 {NMS} }}", {**SEEN, "first": (2, 160), "more": (2, 160)}, "takes 3 bottoms, and has 6"),
    "pad of both signs": ("Pad", "pad_param { pad_l: 1 pad_r: -1 }", X4, "all at least 0"),
    "pad reflected too far": ("Pad", "pad_param { pad_type: REFLECT pad_u: 6 }", X4, "pads [0, 0, 6, 0]"),
    "pad of another fork": ("Pad", "pad_param { pad: 1 }", X4, "pad_param.pad is not supported"),
    "pixel shuffle": ("PixelShuffle", "pixelshuffle_param { upscale_factor: 3 }", X4, "upscale_factor 3"),
    "bilinear without size": ("BilinearInterpolate", "", X4, "one of both"),
    "selu without constants": ("SeLu", "", X4, "alpha and lambda"),
    "top k": ("TopK", "topk_param { k_num: 3 }", X4, "forks compute different things"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(REFUSALS))
def test_what_is_not_clear_is_refused(name: str) -> None:
    kind, param, shapes, reason = REFUSALS[name]
    text = inputs_text(shapes) + layer("it", kind, list(shapes), ["out"], param)
    net = net_from_text(text, "net.prototxt")
    with pytest.raises(Unsupported) as refused:
        plan(net, [[]] * len(net.layers), shapes)
    assert reason in refused.value.message
    assert f"'it' ({kind})" in refused.value.message


# docs/layers.md says why
BY_DATA = {"DetectionOutput", "Proposal", "YoloDetectionOutput", "Yolov3DetectionOutput"}
BY_REGION = {"ROIPooling", "PSROIPooling", "ROIAlign"}


@torch.no_grad()
@pytest.mark.parametrize("name", list(FORKS))
def test_a_forks_layer_goes_through_fx_and_export(name: str, tmp_path: Path) -> None:
    fork = FORKS[name]
    prototxt, caffemodel, blobs = files(fork, tmp_path)
    reader.dump(Job(prototxt, caffemodel if blobs else None, {}), tmp_path / "dump.h5", SILENT)
    converted = conversion_of(dumpfile.read(tmp_path / "dump.h5"), None, "net")
    arrays = fork.arrays()
    inputs = tuple(torch.from_numpy(arrays[blob]) for blob in converted.inputs)
    module = converted.build()
    wanted = module(*inputs)
    graphs = [torch.fx.symbolic_trace(module)]
    if fork.kind not in BY_DATA | BY_REGION and not name.startswith("rpn"):
        graphs.append(torch.export.export(module, inputs).module())
    for graph in graphs:
        found = graph(*inputs)
        tops = (
            zip(found.values(), wanted.values(), strict=True)
            if isinstance(wanted, dict)
            else [(found, wanted)]
        )
        for one, other in tops:
            assert torch.allclose(one, other, rtol=1e-5, atol=1e-6)
