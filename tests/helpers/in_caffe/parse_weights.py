"""Run in the Caffe image: `parse_weights.py FOLDER`. Which of FOLDER's files its protobuf (C++) parses.

answers.json: name -> bool.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType


def main(folder: Path) -> None:
    # the package itself wants scikit-image, which the image lacks
    package = ModuleType("caffe")
    package.__path__ = ["/usr/lib/python3/dist-packages/caffe"]
    sys.modules["caffe"] = package
    from caffe.proto import caffe_pb2
    from google.protobuf.message import DecodeError

    answers = {}
    for file in sorted(folder.glob("*.caffemodel")):
        try:
            caffe_pb2.NetParameter().ParseFromString(file.read_bytes())
            answers[file.name] = True
        except DecodeError:
            answers[file.name] = False
    (folder / "answers.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
