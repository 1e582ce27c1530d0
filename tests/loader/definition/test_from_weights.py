"""A caffemodel alone: the definition that it was saved with, without what Caffe put in."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import h5py
import pytest

from decant.commands.inspect import command
from decant.loader.artifact import bundle
from decant.loader.catalog.models import load_catalog
from decant.loader.definition.from_weights import definition_of
from decant.loader.definition.graph import INSIDE, Net, net_from_text, read_net
from decant.loader.definition.reading import ReadingOptions
from decant.loader.errors import BadInput, Unsupported, UsageError
from decant.loader.layers import type_of
from decant.loader.layers.layer_type import Parameters
from decant.loader.listing import read as listing
from decant.loader.plan.deploy import deploy
from decant.loader.progress import SILENT
from decant.stages.dump import dump
from decant.stages.inputs import Source
from decant.stages.load import load
from decant.stages.options import Options
from decant.stages.origins import caffe_files
from tests.commands.test_cli import MODEL
from tests.helpers.converting import alone, converted, random
from tests.helpers.encode_caffemodel import blob, chunk, number, varint

WEIGHTS = [random(4, 3, 3, 3), random(4)]


def text(field: int, *words: str) -> bytes:
    return b"".join(chunk(field, word.encode()) for word in words)


def real(field: int, value: float) -> bytes:
    return varint(field << 3 | 5) + struct.pack("<f", value)


def saved(
    name: str, kind: str, bottoms: str, tops: str, more: bytes = b"", blobs: Any = ()
) -> bytes:
    """One LayerParameter, as a current Caffe writes it: with the phase of its net."""
    wires = text(1, name) + text(2, kind) + text(3, *bottoms.split()) + text(4, *tops.split())
    return chunk(
        100, wires + b"".join(chunk(7, blob(array)) for array in blobs) + number(10, 0) + more
    )


def inputs(top: str, *dims: int) -> bytes:
    """An Input layer: input_param 143 { shape 1 { dim 1 packed } }."""
    return saved(
        "in", "Input", "", top, chunk(143, chunk(1, chunk(1, b"".join(map(varint, dims)))))
    )


CONV = chunk(106, number(1, 4) + number(4, 3))
NET = inputs("data", 1, 3, 8, 8) + saved("c", "Convolution", "data", "c", CONV, WEIGHTS)


def write(folder: Path, content: bytes, name: str = "net.caffemodel") -> Path:
    (folder / name).write_bytes(text(1, "it") + content)
    return folder / name


def made(folder: Path, content: bytes) -> Net:
    return net_from_text(definition_of(write(folder, content)), "net.prototxt")


def wires(net: Net) -> list[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
    return [(x.name, x.type, x.bottoms, x.tops) for x in net.layers]


def test_a_file_converts_by_itself(tmp_path: Path) -> None:
    write(tmp_path, NET)
    manifest = converted(tmp_path, source=alone(tmp_path))
    assert "the definition is the one inside the caffemodel" in manifest["changes"]
    folder = tmp_path / "artifacts/net"
    assert (folder / "net.prototxt").read_text().startswith(INSIDE)
    assert manifest["files"]["net.prototxt"] in (folder / "SHA256SUMS").read_text()
    bundle.verify(folder)
    assert net_from_text((folder / "net.prototxt").read_text(), "again").inputs == {
        "data": (1, 3, 8, 8)
    }
    # what real Caffe is asked about later does not depend on the cache
    build = json.loads((folder / "build.json").read_text())
    Path(build["prototxt"]).unlink()
    files = caffe_files(folder, bundle.read_manifest(folder), load_catalog(), SILENT)
    assert files.prototxt == folder / "net.prototxt"
    # and with the prototxt given, the artifact does not have it
    (tmp_path / "net.prototxt").write_text(
        (folder / "net.prototxt").read_text().removeprefix(INSIDE)
    )
    assert "net.prototxt" not in converted(tmp_path)["files"]
    assert not (folder / "net.prototxt").exists()


def test_a_changed_prototxt_of_the_artifact_is_seen(tmp_path: Path) -> None:
    write(tmp_path, NET)
    converted(tmp_path, source=alone(tmp_path))
    (tmp_path / "artifacts/net/net.prototxt").write_text("name: 'other'")
    with pytest.raises(Exception, match="net.prototxt is not what SHA256SUMS says"):
        bundle.verify(tmp_path / "artifacts/net")


def test_the_dump_has_it_and_makes_the_same_bytes(tmp_path: Path) -> None:
    write(tmp_path, NET)
    converted(tmp_path, source=alone(tmp_path))
    options = Options(out=tmp_path / "other", engine="reader", parity=False)
    dump(Source(caffemodel=tmp_path / "net.caffemodel"), tmp_path / "net.h5", options)
    load(tmp_path / "net.h5", options, name="net")
    for file in ("manifest.json", "model.py", "model.safetensors", "net.prototxt"):
        one, other = (tmp_path / place / "net" / file for place in ("artifacts", "other"))
        assert one.read_bytes() == other.read_bytes()


def test_every_kind_of_field_is_read(tmp_path: Path) -> None:
    more = (
        saved("r", "ReLU", "c", "c", chunk(123, real(1, 0.1) + number(2, 1)))
        + saved(
            "p",
            "Pooling",
            "c",
            "p",
            chunk(121, number(1, 1) + number(5, 2) + number(6, 3) + number(12, 0)),
        )
        + saved("s", "Slice", "p", "s t", chunk(126, chunk(2, varint(1) + varint(3))))
        + saved(
            "e",
            "Eltwise",
            "t t",
            "e",
            chunk(110, number(1, 1) + chunk(2, struct.pack("<2f", 0.5, -2))),
        )
        + saved("f", "Softmax", "e", 'f"\\', chunk(125, number(2, (1 << 64) - 1)))
        + saved("w", "Power", 'f"\\', "wé", chunk(122, real(1, 1e-5) + real(2, float("inf"))))
    )
    net = made(tmp_path, NET + more)
    fields = {x.name: x.fields for x in net.layers}
    assert fields["r"].message("relu_param").text("negative_slope") == "0.1"
    assert fields["r"].message("relu_param").text("engine") == "CAFFE"
    pooling = fields["p"].message("pooling_param")
    assert (pooling.text("pool"), pooling.text("global_pooling")) == ("AVE", "false")
    assert (pooling.integer("kernel_h"), pooling.integer("kernel_w")) == (2, 3)
    assert fields["s"].message("slice_param").integers("slice_point") == [1, 3]
    assert fields["e"].message("eltwise_param").texts("coeff") == ["0.5", "-2.0"]
    assert fields["f"].message("softmax_param").integer("axis") == -1
    assert net.layers[-1].tops == ("wé",) and net.layers[-1].bottoms == ('f"\\',)
    assert fields["w"].message("power_param").text("scale") == "inf"


def test_unpacked_values_and_a_repeated_message_are_read(tmp_path: Path) -> None:
    """proto2 takes a packed field unpacked; a singular message that stands twice is one."""
    twice = chunk(106, number(1, 7)) + chunk(
        106, number(4, 3) + number(3, 1) + number(1, 4) + number(3, 1)
    )
    net = made(
        tmp_path,
        inputs("data", 1, 3, 8, 8) + saved("c", "Convolution", "data", "c", twice, WEIGHTS),
    )
    param = net.layers[-1].fields.message("convolution_param")
    assert param.integers("pad") == [1, 1] and param.integer("num_output") == 4


def test_splits_of_caffes_are_undone_and_an_authors_stays(tmp_path: Path) -> None:
    content = (
        NET
        + saved("c_c_0_split", "Split", "c", "c_c_0_split_0 c_c_0_split_1")
        + saved("r", "ReLU", "c_c_0_split_0", "c")
        + saved("own", "Split", "c_c_0_split_1", "a b")
        + saved("sum", "Eltwise", "a c", "sum")
    )
    assert wires(made(tmp_path, content)) == [
        ("in", "Input", (), ("data",)),
        ("c", "Convolution", ("data",), ("c",)),
        ("r", "ReLU", ("c",), ("c",)),
        ("own", "Split", ("c",), ("a", "b")),
        ("sum", "Eltwise", ("a", "c"), ("sum",)),
    ]


TRAIN, TEST = chunk(8, number(1, 0)), chunk(8, number(1, 1))
DATA = chunk(100, number(3, 8) + real(5, 104) + real(5, 117) + real(5, 123)) + chunk(
    107, number(4, 64)
)


def test_a_net_of_training_becomes_its_deploy_form(tmp_path: Path) -> None:
    """Its layers were all there, whatever their rules say."""
    content = (
        saved("data", "Data", "", "data label", DATA + TRAIN)
        + saved("c", "Convolution", "data", "c", CONV, WEIGHTS)
        + saved("c_c_0_split", "Split", "c", "c_c_0_split_0 c_c_0_split_1")
        + saved("acc", "Accuracy", "c_c_0_split_0 label", "acc", TRAIN)
        + saved("loss", "SoftmaxWithLoss", "c_c_0_split_1 label", "loss", real(5, 1))
    )
    net = deploy(made(tmp_path, content), {}, {})
    assert [x.type for x in net.layers] == ["Input", "Convolution", "Softmax"]
    assert net.inputs == {"data": (1, 3, 8, 8)}
    manifest = converted(tmp_path, source=alone(tmp_path))
    assert manifest["outputs"][0]["type"] == "Softmax"


def test_of_a_file_with_both_phases_test_is_taken(tmp_path: Path) -> None:
    content = (
        saved("data", "Data", "", "data label", DATA + TRAIN)
        + saved(
            "data",
            "Input",
            "",
            "data",
            TEST + chunk(143, chunk(1, b"".join(number(1, n) for n in (1, 3, 9, 9)))),
        )
        + saved("c", "Convolution", "data", "c", CONV, WEIGHTS)
        + saved("loss", "SoftmaxWithLoss", "c label", "loss", TRAIN)
    )
    net = made(tmp_path, content)
    assert [x.type for x in net.layers] == ["Input", "Convolution"]
    train = net_from_text(net.text, "net", ReadingOptions(phase="train").over())
    assert [x.type for x in train.layers] == ["Data", "Convolution", "SoftmaxWithLoss"]


def test_the_phase_that_caffe_wrote_is_none_of_the_authors(tmp_path: Path) -> None:
    content = (
        NET
        + saved("drop", "Dropout", "c", "c")
        + saved("b", "BatchNorm", "c", "b", b"", [random(4), abs(random(4)), abs(random(1))])
    )
    write(tmp_path, content)
    assert "phase" not in definition_of(tmp_path / "net.caffemodel")
    converted(tmp_path, source=alone(tmp_path))


def legacy(*dims: int) -> bytes:
    shape = b"".join(number(4, size) for size in dims)
    return text(3, "data") + shape + saved("c", "Convolution", "data", "c", CONV, WEIGHTS)


def test_an_input_without_a_shape_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path, legacy())
    with pytest.raises(UsageError, match="--input data=1,3,224,224"):
        converted(tmp_path, source=alone(tmp_path))
    manifest = converted(tmp_path, source=alone(tmp_path), shapes={"data": (1, 3, 8, 8)})
    assert manifest["inputs"] == [{"blob": "data", "shape": [1, 3, 8, 8]}]
    assert made(tmp_path, legacy(1, 3, 7, 7)).inputs == {"data": (1, 3, 7, 7)}


def v1(name: str, kind: int, bottoms: str, tops: str, more: bytes = b"", blobs: Any = ()) -> bytes:
    body = (
        text(2, *bottoms.split()) + text(3, *tops.split()) + text(4, name) + number(5, kind) + more
    )
    return chunk(2, body + b"".join(chunk(6, blob(array, legacy=True)) for array in blobs))


def v0(name: str, kind: str, bottoms: str, tops: str, more: bytes = b"", blobs: Any = ()) -> bytes:
    own = (
        text(1, name)
        + text(2, kind)
        + more
        + b"".join(chunk(50, blob(x, legacy=True)) for x in blobs)
    )
    return chunk(2, chunk(1, own) + text(2, *bottoms.split()) + text(3, *tops.split()))


OLD = {
    "v1": v1("c", 4, "data", "c", chunk(10, number(1, 4) + number(4, 3)), WEIGHTS)
    + v1("r", 18, "c", "c", chunk(30, real(1, 0.25)) + chunk(1001, b"shared"))
    + v1("p", 17, "c", "p", chunk(19, number(1, 0) + number(2, 2) + number(3, 2))),
    "v0": v0("c", "conv", "data", "c", number(3, 4) + number(8, 3), WEIGHTS)
    + v0("r", "relu", "c", "c")
    + v0("p", "pool", "c", "p", number(11, 0) + number(8, 2) + number(10, 2)),
}  # fmt: skip


@pytest.mark.parametrize("era", OLD)
def test_old_layouts_are_upgraded(era: str, tmp_path: Path) -> None:
    shape = b"".join(number(4, size) for size in (1, 3, 8, 8))
    net = made(tmp_path, text(3, "data") + shape + OLD[era])
    assert wires(net)[1:] == [
        ("c", "Convolution", ("data",), ("c",)),
        ("r", "ReLU", ("c",), ("c",)),
        ("p", "Pooling", ("c",), ("p",)),
    ]
    assert net.inputs == {"data": (1, 3, 8, 8)}
    assert net.layers[-1].fields.message("pooling_param").integer("stride") == 2
    converted(tmp_path, source=alone(tmp_path))


UNKNOWN = [
    saved("d", "ReLU", "c", "d", chunk(7001, b"\x08\x01")),
    saved("d", "ReLU", "c", "d", number(149, 3)),
    saved("d", "ReLU", "c", "d", chunk(123, number(9, 1))),
    # of another wire type than Caffe's field of that number
    saved("d", "ReLU", "c", "d", chunk(123, number(1, 1))),
    # a number of SSD's in a layer that is none of SSD's
    saved("d", "ReLU", "c", "d", chunk(202, number(1, 0))),
]


@pytest.mark.parametrize("more", UNKNOWN)
def test_a_field_without_a_name_is_refused_by_its_number_and_line(
    more: bytes, tmp_path: Path
) -> None:
    write(tmp_path, NET + more)
    with pytest.raises(Unsupported, match="line [0-9]+: layer 'd' \\(ReLU\\): .*field_[0-9]+"):
        converted(tmp_path, source=alone(tmp_path))


def test_a_field_without_a_name_in_what_is_dropped_does_not_matter(tmp_path: Path) -> None:
    loss = saved("l", "TripletLoss", "c c c", "l", chunk(137, real(1, 0.5)) + real(5, 1))
    net = deploy(made(tmp_path, NET + loss), {}, {})
    assert [x.type for x in net.layers] == ["Input", "Convolution"]


def test_nvcaffes_kinds_of_numbers_have_their_names(tmp_path: Path) -> None:
    kinds = b"".join(number(field, 1) for field in (145, 146, 147, 148))
    write(tmp_path, NET + saved("d", "ReLU", "c", "d", kinds))
    found = definition_of(tmp_path / "net.caffemodel")
    assert "forward_type: 1" in found and "field_" not in found
    converted(tmp_path, source=alone(tmp_path))


OF_FORKS = [
    ("Permute", chunk(202, number(1, 0) + number(1, 2) + number(1, 3) + number(1, 1)), "permute_param",
     {"order": ["0", "2", "3", "1"]}),
    ("Normalize", chunk(206, number(1, 0) + number(3, 0) + real(4, 1e-10)), "norm_param",
     {"across_spatial": ["false"], "channel_shared": ["false"], "eps": ["1e-10"]}),
    ("DepthwiseConvolution", chunk(106, number(1, 4) + number(4, 3)), "convolution_param",
     {"num_output": ["4"], "kernel_size": ["3"]}),
    ("Interp", chunk(143, number(3, 8)), "interp_param", {"zoom_factor": ["8"]}),
    ("BN", chunk(45, number(3, 1)), "bn_param", {"bn_mode": ["INFERENCE"]}),
    ("BN", chunk(152, real(4, 1e-5) + number(5, 1)), "bn_param", {"eps": ["1e-05"], "frozen": ["true"]}),
    ("ROIPooling", chunk(8266711, number(1, 7) + number(2, 7) + real(3, 0.0625)), "roi_pooling_param",
     {"pooled_h": ["7"], "spatial_scale": ["0.0625"]}),
    # under a fork's type a number of stock Caffe's is not a name
    ("Interp", chunk(139, number(1, 1)), "field_139", {}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "content", "param", "expected"), OF_FORKS)
def test_layers_of_forks_have_their_fields(
    kind: str, content: bytes, param: str, expected: dict[str, list[str]], tmp_path: Path
) -> None:
    fields = made(tmp_path, NET + saved("it", kind, "c", "it", content)).layers[-1].fields
    assert fields.has(param)
    assert {name: fields.message(param).texts(name) for name in expected} == expected


WRONG = [
    (b"".join(chunk(100, text(1, "c") + text(2, "Convolution") + b"".join(chunk(7, blob(x)) for x in WEIGHTS)) for _ in range(1)),
     "holds weights and no definition"),
    (saved("c", "Convolution", "data", "c", chunk(106, b"\x08"), WEIGHTS), "its definition is damaged"),
    (saved("c", "Convolution", "data", "c", chunk(3, b"\xff\xfe"), WEIGHTS), "text that is not UTF-8"),
    (saved("c", "Convolution", "data", "c", chunk(8, b"\x1b"), WEIGHTS), "wire type 3"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "said"), WRONG)
def test_what_holds_no_definition_is_said(content: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        definition_of(write(tmp_path, content))
    assert "--prototxt FILE" in caught.value.message


def test_a_net_without_parameters_has_a_definition_too(tmp_path: Path) -> None:
    write(tmp_path, inputs("data", 1, 3, 8, 8) + saved("r", "ReLU", "data", "r"))
    manifest = converted(tmp_path, source=alone(tmp_path))
    assert manifest["tensors"] == []


def test_what_holds_neither_is_not_said_to_hold_weights(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no weights at all"):
        definition_of(write(tmp_path, b""))


def test_a_definition_that_lacks_its_input_asks_for_another(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="reads 'data', which no layer makes; .*; give --prototxt"):
        made(tmp_path, saved("c", "Convolution", "data", "c", CONV, WEIGHTS))


def test_hdf5_without_weights_holds_none(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "net.caffemodel.h5", "w") as file:
        file.create_group("data")
    with pytest.raises(BadInput, match="HDF5 hold no definition; give --prototxt"):
        definition_of(tmp_path / "net.caffemodel.h5")


def test_hdf5_weights_hold_none(cases: Path) -> None:
    with pytest.raises(BadInput, match="HDF5 hold no definition; give --prototxt"):
        definition_of(cases / "arm_cifar10_m4_h5/net.caffemodel.h5")


def test_more_fields_than_any_net_has_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("decant.loader.definition.from_weights.MAX_FIELDS", 20)
    with pytest.raises(BadInput, match="more than 20 fields"):
        definition_of(write(tmp_path, NET + saved("r", "ReLU", "c", "c")))


def test_the_bundled_net_is_its_prototxts(tmp_path: Path) -> None:
    """Saved by real Caffe when it was trained."""
    inside = net_from_text(definition_of(MODEL / "lenet_digits.caffemodel"), "inside")
    beside = read_net(MODEL / "deploy.prototxt")
    learned = [x for x in inside.layers if type_of(x).parameters is Parameters.ALWAYS]
    assert learned and {x.name for x in learned} <= {x.name for x in beside.layers}
    for layer in learned:
        (other,) = [x for x in beside.layers if x.name == layer.name]
        assert (layer.bottoms, layer.tops) == (other.bottoms, other.tops)
        for name in ("convolution_param", "inner_product_param"):
            kept = [x for x in layer.fields.message(name).fields if not x.name.endswith("_filler")]
            assert {x.name: str(x.value) for x in kept} == {
                x.name: str(x.value)
                for x in other.fields.message(name).fields
                if not x.name.endswith("_filler")
            }


# what the file's net and the published prototxt have in common; the tail is the one of training
def test_real_files_hold_the_nets_of_their_prototxts(cases: Path) -> None:
    seen = 0
    for folder in sorted(path.parent for path in cases.glob("*/net.caffemodel")):
        inside = net_from_text(definition_of(folder / "net.caffemodel"), folder.name)
        beside = read_net(folder / "net.prototxt")
        # one of MTCNN's has a head that its definition lacks
        both = {x.name for x in inside.layers} & {x.name for x in beside.layers}
        ours, theirs = (
            [
                (x.name, x.type, x.tops)
                for x in net.layers
                if x.name in both and type_of(x).parameters is Parameters.ALWAYS
            ]
            for net in (inside, beside)
        )
        assert ours == theirs and ours, folder.name
        wanted = {x.name for x in beside.layers if type_of(x).parameters is Parameters.ALWAYS}
        assert wanted <= both, folder.name
        seen += 1
    assert seen >= 15


def test_inspect_shows_outputs_where_the_definition_says_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command(file=write(tmp_path, NET), options=Options(), as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "caffemodel (current)"
    assert [line["outputs"] for line in found["layers"]] == [[[1, 3, 8, 8]], [[1, 4, 6, 6]]]
    assert found["macs"] == 4 * 27 * 36
    unknown = listing(write(tmp_path, legacy()))
    assert unknown.lines[0].outputs == [None] and unknown.parameters == 112
    assert any("input 'data' has no shape" in note for note in unknown.notes)
    assert listing(tmp_path / "net.caffemodel", {"data": (1, 3, 8, 8)}).macs == 4 * 27 * 36
    with pytest.raises(UsageError, match="no such input"):
        listing(tmp_path / "net.caffemodel", {"date": (1, 3, 8, 8)})
