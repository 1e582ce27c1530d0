"""ONNX: a converted net in one file, for any batch size, checked against torch.

The transform goes in, too: the file takes RGB pictures, 0..1 (or grey ones), and returns what the
net returns. Then ONNX Runtime computes random pictures and must agree with torch.

    make convert
    python examples/onnx_export.py
    python examples/onnx_export.py --model googlenet_bvlc --out googlenet.onnx

Needs onnx, onnxscript and onnxruntime.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import nn

from decant.commands.run import run
from decant.loader import load
from decant.loader.artifact.bundle import folder_of, read_manifest


def export(net: nn.Module, example: torch.Tensor, out: Path) -> None:
    """Write the file; the first dimension is left open."""
    torch.onnx.export(
        net,
        (example,),
        out,
        dynamo=True,
        external_data=False,
        verbose=False,
        input_names=["pictures"],
        output_names=["answers"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    )


@torch.no_grad()
def difference(net: nn.Module, out: Path, pictures: torch.Tensor) -> float:
    """The largest difference between ONNX Runtime and torch, over the largest answer."""
    session = import_module("onnxruntime").InferenceSession(
        str(out), providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(["answers"], {"pictures": pictures.numpy()})
    expected = net(pictures).numpy()
    if found.shape != expected.shape:
        sys.exit(f"error: ONNX Runtime answers {found.shape}, torch {expected.shape}")
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="lenet_digits", help="an artifact's name or folder")
    parser.add_argument("--out", type=Path, help="the file; MODEL.onnx, if not given")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="of the largest answer")
    parser.add_argument("--seed", type=int, default=0, help="of the pictures for the check")
    arguments = parser.parse_args()
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        sys.exit(f"error: this example needs {', '.join(missing)}: pip install {' '.join(missing)}")

    torch.manual_seed(arguments.seed)
    model, transform = load(arguments.model)
    net = nn.Sequential(transform, model).eval()
    folder = folder_of(arguments.model)
    _, *shape = read_manifest(folder).inputs[0].shape
    out = arguments.out or Path(f"{folder.name}.onnx")

    export(net, torch.rand(2, *shape), out)
    for batch in (1, 2, 5):
        found = difference(net, out, torch.rand(batch, *shape))
        print(f"batch of {batch}: differs from torch by {found:.2g} of the largest answer")
        if not found <= arguments.tolerance:
            sys.exit(f"error: more than {arguments.tolerance:g}")
    print(f"written: {out}")


if __name__ == "__main__":
    # what Decant refuses, an absent artifact say, ends in one line and an exit code
    sys.exit(run(main, as_json=False))
