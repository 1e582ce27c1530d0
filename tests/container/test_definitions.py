"""Definitions in files that real Caffe wrote: protobuf's own reading of both forms is equal."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from pathlib import Path

from decant.engines.caffe import run_script
from decant.loader.definition.field_numbers import BY_NUMBER
from decant.loader.definition.from_weights import _Reader, definition_of
from decant.loader.definition.graph import net_from_text
from decant.loader.definition.prototxt import Message, lines_of
from decant.loader.definition.reading import Reading
from decant.loader.definition.schema import FIELDS
from tests.helpers.converting import alone, conv, converted, input_layer, layer
from tests.helpers.nets import NETS
from tests.helpers.structures import STRUCTURES
from tests.loader.definition.test_phases import ALL_IN_ONE, TRAIN_FILE

OLD = [
    'input: "data" input_dim: 1 input_dim: 3 input_dim: 9 input_dim: 9 layers { name: "c" type: CONVOLUTION '
    'bottom: "data" top: "c" param: "w" blobs_lr: 1 convolution_param { num_output: 2 kernel_size: 3 } }',
    'layers { layer { name: "c" type: "conv" num_output: 2 kernelsize: 3 biasterm: false } bottom: "d" top: "c" }',
]  # fmt: skip
TEXTS = (
    [net.text for net in NETS]
    + [make() for make in STRUCTURES.values()]
    + [ALL_IN_ONE, TRAIN_FILE, *OLD]
)

WRITE = """
import json, pathlib, sys, zipfile
from dumper.net import caffe, text_format
folder = pathlib.Path(sys.argv[1])
Net = caffe.proto.caffe_pb2.NetParameter
with zipfile.ZipFile(str(folder / "files.zip"), "w") as out:
    for number, text in enumerate(json.loads((folder / "texts.json").read_text())):
        net = Net()
        text_format.Merge(text, net)
        out.writestr(str(number), net.SerializeToString())
    numbers = {}
    for name, kind in caffe.proto.caffe_pb2.DESCRIPTOR.message_types_by_name.items():
        numbers[name] = {field.name: field.number for field in kind.fields}
    out.writestr("numbers", json.dumps(numbers))
"""
COMPARE = """
import json, pathlib, sys
from dumper.net import caffe, text_format
folder = pathlib.Path(sys.argv[1])
Net = caffe.proto.caffe_pb2.NetParameter
wrong = []
for number, (one, other) in enumerate(json.loads((folder / "texts.json").read_text())):
    both = Net(), Net()
    for text, net in zip((one, other), both):
        text_format.Merge(text, net)
    if both[0].SerializeToString() != both[1].SerializeToString():
        wrong.append(number)
(folder / "wrong.json").write_text(json.dumps(wrong))
"""
# what Caffe itself saves: a net in training, with a split, an in-place layer and shared weights
SAVE = """
import pathlib, sys
import numpy as np
from dumper.net import caffe
folder = pathlib.Path(sys.argv[1])
net = caffe.Net(str(folder / "train.prototxt"), caffe.TRAIN)
random = np.random.RandomState(1)
for layer in net.layers:
    for blob in layer.blobs:
        blob.data[...] = random.standard_normal(blob.data.shape)
net.save(str(folder / "net.caffemodel"))
"""


def run(folder: Path, script: str, texts: object, produces: str) -> Path:
    folder.mkdir()
    (folder / "script.py").write_text(script)
    (folder / "texts.json").write_text(json.dumps(texts))
    run_script(folder / "script.py", folder, produces)
    return folder / produces


def text_of(message: Message) -> str:
    return "\n".join(lines_of(message, ""))


def test_what_protobuf_writes_is_read_as_protobuf_reads_the_text(
    image: str, tmp_path: Path
) -> None:
    data = run(tmp_path / "write", WRITE, TEXTS, "files.zip").read_bytes()
    pairs = []
    with zipfile.ZipFile(io.BytesIO(data)) as files:
        numbers = json.loads(files.read("numbers"))
        for number, text in enumerate(TEXTS):
            (tmp_path / "net").write_bytes(files.read(str(number)))
            pairs.append((text, text_of(_Reader(tmp_path / "net").net())))
    wrong = json.loads(run(tmp_path / "compare", COMPARE, pairs, "wrong.json").read_text())
    assert wrong == [] and len(pairs) > 150 and image
    for message, fields in FIELDS.items():
        real = numbers.get(message, numbers.get(f"{message}Parameter"))
        ours = {name: at for at, (name, _) in BY_NUMBER[message].items() if name in fields}
        assert ours == real, message


def test_what_caffe_saves_converts_by_itself(image: str, tmp_path: Path) -> None:
    text = input_layer("data", 2, 3, 12, 12) + input_layer("label", 2)
    text += conv("a", "data", "a") + layer("r", "ReLU", "a", "a")
    text += conv("b", "a", "b", rule='param { name: "w" }') + conv(
        "c", "a", "c", rule='param { name: "w" }'
    )
    text += layer("drop", "Dropout", "b", "b") + layer("sum", "Eltwise", "b c", "sum")
    text += layer("bn", "BatchNorm", "sum", "bn") + layer(
        "fc", "InnerProduct", "bn", "fc", "inner_product_param { num_output: 5 }"
    )
    text += layer("loss", "SoftmaxWithLoss", "fc label", "loss", "include { phase: TRAIN }")
    folder = tmp_path / "save"
    folder.mkdir()
    (folder / "train.prototxt").write_text(text)
    (folder / "script.py").write_text(SAVE)
    run_script(folder / "script.py", folder, "net.caffemodel")
    shutil.copy(folder / "net.caffemodel", tmp_path)
    net = net_from_text(definition_of(tmp_path / "net.caffemodel"), "inside")
    assert [(x.name, x.type, x.bottoms, x.tops) for x in net.layers] == [
        (x.name, x.type, x.bottoms, x.tops)
        for x in net_from_text(text, "train", Reading("TRAIN")).layers
    ]
    converted(tmp_path, source=alone(tmp_path), engine="caffe")
    parity = json.loads((tmp_path / "artifacts/net/parity.json").read_text())
    assert parity["status"] == "passed" and image
