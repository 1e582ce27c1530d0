"""Run in the Caffe image: `coord_map.py FOLDER`; nets.json (texts) -> answers.json.

pycaffe's own coord_map.crop of each net's last layer: a list of offsets, the error's text, or null.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from dumper.net import caffe, text_format


def answer(text: str) -> Any:
    from caffe.coord_map import crop
    from caffe.net_spec import Function

    net = caffe.proto.caffe_pb2.NetParameter()
    text_format.Merge(text, net)
    current: dict[str, Any] = {}
    for layer in net.layer:
        bottoms = [current[blob] for blob in layer.bottom]
        if layer.name == "crop":
            try:
                return list(crop(*bottoms).fn.params["crop_param"]["offset"])
            except AttributeError:
                return None  # it cannot say so where nothing lies between the two
            except (AssertionError, RuntimeError, ValueError) as error:
                return f"{type(error).__name__}: {error}"
        params = {}
        for field, value in layer.ListFields():
            if field.name.endswith("_param"):
                params[field.name] = {
                    part.name: list(one) if part.label == part.LABEL_REPEATED else one
                    for part, one in value.ListFields()
                }
        # coord_map looks at the layer's fields where it has no message of that name
        params = {**params, **params.get("pooling_param", {})}
        current[layer.top[0]] = Function(str(layer.type), bottoms, params).tops[0]
    raise AssertionError("no layer is called crop")


def main(folder: Path) -> None:
    texts = json.loads((folder / "nets.json").read_text())
    found = [answer(text) for text in texts]
    plain = [[int(x) for x in item] if isinstance(item, list) else item for item in found]
    (folder / "answers.json").write_text(json.dumps(plain))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
