"""Features from inside a converted net, by torchvision's `create_feature_extractor`.

Decant's modules are plain torch, so torchvision can cut them at any node of their graph: here
GoogLeNet after its second pooling, after inception_4c and before the classifier. The result is a
module that computes nothing behind the last node, and that can be trained.

    make convert MODEL=googlenet_bvlc
    python examples/feature_extraction.py --picture beach.jpg --out features.npz

`--list` shows the names of all nodes. Needs torchvision (pip install torchvision).
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from decant.commands.run import run
from decant.loader import load

# What torchvision's C++ library defines and its Python half refers to while it is imported.
OPERATORS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align": "(Tensor input, Tensor rois, float spatial_scale, int pooled_height,"
    " int pooled_width, int sampling_ratio, bool aligned) -> Tensor",
}


def torchvision_features() -> Any:
    """torchvision.models.feature_extraction, also where torchvision's wheel does not fit torch's.

    Then its C++ library was not loaded, and the import ends at a missing operator. Feature extraction
    uses none of them: to declare them is enough.
    """
    name = "torchvision.models.feature_extraction"
    try:
        return import_module(name)
    except ModuleNotFoundError:
        sys.exit("error: this example needs torchvision: pip install torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    for half_imported in [key for key in sys.modules if key.split(".")[0] == "torchvision"]:
        del sys.modules[half_imported]
    for operator, signature in OPERATORS.items():
        torch.library.define(f"torchvision::{operator}", signature)
    return import_module(name)


def read(path: Path, size: int) -> torch.Tensor:
    """1 x 3 x size x size, RGB, 0..1: what a transform takes."""
    with Image.open(path) as file:
        picture = file.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 255


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="googlenet_bvlc", help="an artifact's name or folder")
    parser.add_argument("--picture", type=Path, help="what to look at")
    parser.add_argument("--size", type=int, default=224, help="side of the net's input")
    parser.add_argument(
        "--nodes", nargs="+", default=["pool2", "inception_4c.cat", "flatten"], help="where to cut"
    )
    parser.add_argument("--out", type=Path, default=Path("features.npz"), help="one array a node")
    parser.add_argument("--list", action="store_true", help="print the names of all nodes, and end")
    arguments = parser.parse_args()

    extraction = torchvision_features()
    model, transform = load(arguments.model)
    if arguments.list:
        print(*extraction.get_graph_node_names(model)[1], sep="\n")
        return
    if arguments.picture is None:
        parser.error("--picture is missing")

    extractor = extraction.create_feature_extractor(model, arguments.nodes)
    with torch.no_grad():
        features = extractor(transform(read(arguments.picture, arguments.size)))

    for node, feature in features.items():
        print(f"{node}: {' x '.join(map(str, feature.shape))}, mean {feature.mean():.4g}")
    np.savez(arguments.out, **{node: feature.numpy() for node, feature in features.items()})
    print(f"written: {arguments.out}")


if __name__ == "__main__":
    # what Decant refuses, an absent artifact say, ends in one line and an exit code
    sys.exit(run(main, as_json=False))
