"""Real Caffe, dumped: odd names, odd sharing, missing pieces, and the same answer from both engines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from decant.dumper import dumpfile
from decant.engines import caffe, reader
from decant.engines.caffe import run_script, time_forward
from decant.engines.job import Job
from decant.loader.definition import schema
from decant.loader.errors import BadInput, DecantError, IntegrityError, Unsupported
from decant.loader.progress import SILENT
from tests.helpers import encode_caffemodel as encode

RANDOM = np.random.default_rng(21)
NET = 'name: "tiny"\n'
INPUT = (
    'layer { name: "data" type: "Input" top: "data"'
    " input_param { shape { dim: 1 dim: 2 dim: 6 dim: 6 } } }\n"
)
SHAPE = (1, 2, 6, 6)


def random(*shape: int) -> np.ndarray:
    """No zero and no two alike: a blob that was not filled cannot pass for another."""
    return RANDOM.standard_normal(shape).astype(np.float32)


def layer(name: str, kind: str, bottom: str, top: str, param: str = "") -> str:
    return f'layer {{ name: "{name}" type: "{kind}" bottom: "{bottom}" top: "{top}" {param} }}\n'


def conv(name: str = "conv", bottom: str = "data", param: str = "") -> str:
    inner = "convolution_param { num_output: 4 kernel_size: 3 pad: 1 }"
    return layer(name, "Convolution", bottom, name, f"{inner} {param}")


PROBE = {"data": random(*SHAPE)}
CONV = ("conv", "Convolution", [random(4, 2, 3, 3), random(4)])
GOOD = encode.net("current", [CONV])
ENGINES = {"caffe": caffe.dump, "reader": reader.dump}


def dump(
    folder: Path,
    text: str,
    weights: bytes | None,
    engine: str = "caffe",
    probe: Mapping[str, np.ndarray] = PROBE,
    suffix: str = ".h5",
) -> dumpfile.Dump:
    """One dump; whatever is raised, nothing lies in the output's folder."""
    out = folder / "out"
    out.mkdir(exist_ok=True)
    (folder / "net.prototxt").write_text(text)
    file = None
    if weights is not None:
        file = folder / "net.caffemodel"
        file.write_bytes(weights)
    target = out / (engine + suffix)
    try:
        ENGINES[engine](Job(folder / "net.prototxt", file, probe), target, SILENT)
    except BaseException:
        assert not list(out.iterdir())
        raise
    return dumpfile.read(target)


def by_name(found: dumpfile.Dump) -> dict[str, dumpfile.Layer]:
    return {item.name: item for item in found.layers}


def same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and np.array_equal(one.view("u4"), other.view("u4"))


# -- what is in a dump


def test_every_top_is_what_its_layer_left_although_three_share_one_blob(tmp_path: Path) -> None:
    """The oracle is NumPy on the first top; Caffe's own blob holds the last value only."""
    text = NET + INPUT + conv()
    text += layer("power", "Power", "conv", "conv", "power_param { scale: -2 shift: 1 }")
    text += layer("relu", "ReLU", "conv", "conv")
    text += layer("sum", "Eltwise", "conv", "sum", 'bottom: "data"').replace(
        'bottom: "conv" top: "sum" bottom: "data"', 'bottom: "conv" bottom: "relu2" top: "sum"'
    )
    text = text.replace(
        'layer { name: "sum"', layer("tanh", "TanH", "conv", "relu2") + 'layer { name: "sum"'
    )
    layers = by_name(dump(tmp_path, text, GOOD))
    first = layers["conv"].activations[0]
    assert (first < 0.5).any() and (first > 0.5).any()
    power = first * np.float32(-2) + np.float32(1)
    np.testing.assert_allclose(layers["power"].activations[0], power, rtol=1e-6)
    relu = np.maximum(layers["power"].activations[0], 0)
    assert np.array_equal(layers["relu"].activations[0], relu)
    tanh = np.tanh(relu.astype(np.float64))
    np.testing.assert_allclose(layers["tanh"].activations[0], tanh, atol=1e-6)
    total = layers["relu"].activations[0] + layers["tanh"].activations[0]
    assert np.array_equal(layers["sum"].activations[0], total)
    (split,) = [item for item in layers.values() if item.type == "Split"]
    assert len(split.activations) == 2
    assert all(np.array_equal(copy, relu) for copy in split.activations)


def test_a_convolution_is_what_numpy_says(tmp_path: Path) -> None:
    found = by_name(dump(tmp_path, NET + INPUT + conv(), GOOD))["conv"].activations[0]
    weight, bias = (array.astype(np.float64) for array in CONV[2])
    padded = np.pad(PROBE["data"].astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
    expected = np.einsum("nchwij,ocij->nohw", windows, weight) + bias[:, None, None]
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def test_the_probes_shape_wins_over_the_declared_one(tmp_path: Path) -> None:
    probe = {"data": random(3, 2, 9, 7)}
    found = by_name(dump(tmp_path, NET + INPUT + conv(), GOOD, probe=probe))
    assert found["conv"].activations[0].shape == (3, 4, 9, 7)
    assert same(found["data"].activations[0], probe["data"])


def test_without_a_probe_nothing_runs(tmp_path: Path) -> None:
    found = dump(tmp_path, NET + INPUT + conv(), GOOD, probe={})
    assert not found.has_activations
    assert not any(item.activations for item in found.layers)
    assert same(by_name(found)["conv"].params[0], CONV[2][0])


def test_the_npz_form_holds_the_same(tmp_path: Path) -> None:
    one = dump(tmp_path, NET + INPUT + conv(), GOOD)
    other = dump(tmp_path, NET + INPUT + conv(), GOOD, suffix=".npz")
    for left, right in zip(one.layers, other.layers, strict=True):
        assert (left.name, left.tops, left.owners) == (right.name, right.tops, right.owners)
        for a, b in zip(
            left.params + left.activations, right.params + right.activations, strict=True
        ):
            assert same(a, b)


def test_an_ordinary_forward_ends_where_the_dump_ended(tmp_path: Path) -> None:
    text = NET + INPUT + conv() + layer("relu", "ReLU", "conv", "conv")
    found = by_name(dump(tmp_path, text, GOOD))["relu"].activations[0]
    probe = {"data": np.concatenate([PROBE["data"], random(4, *SHAPE[1:])])}
    job = Job(tmp_path / "net.prototxt", tmp_path / "net.caffemodel", {})
    asked: dict[str, Any] = {"task": "forward", "output": "conv", "batch": 2}
    output, _ = time_forward(job, probe, asked, SILENT)
    assert output.shape == (5, 4, 6, 6)
    assert np.array_equal(output[0], found[0])
    assert len({row.tobytes() for row in output}) == 5


@pytest.mark.parametrize("engine", ENGINES)
def test_names_that_are_no_paths_survive(engine: str, tmp_path: Path) -> None:
    """As HDF5 paths several of these would be one object, or none."""
    names = [
        ".",
        "",
        "a",
        "a/",
        "a//b",
        "/abs",
        "a/0",
        "0",
        "../x",
        "é",
        "a b",
        '#"'.replace('"', ""),
    ]
    text = NET + INPUT + conv()
    for number, name in enumerate(names):
        text += layer(name, "ReLU", "conv", f"top{number}")
    found = dump(tmp_path, text, GOOD, engine)
    assert [item.name for item in found.layers if item.tops[0].startswith("top")] == names


@pytest.mark.parametrize("engine", ENGINES)
def test_weights_in_hdf5_give_the_same_bits(engine: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        for number, array in enumerate(CONV[2]):
            file[f"data/conv/{number}"] = array
    found = dump(tmp_path, NET + INPUT + conv(), (tmp_path / "w.h5").read_bytes(), engine)
    assert all(same(a, b) for a, b in zip(by_name(found)["conv"].params, CONV[2], strict=True))


def test_hdf5_weights_without_a_layer_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["data/other/0"] = CONV[2][0]
    with pytest.raises(BadInput, match="'conv'"):
        dump(tmp_path, NET + INPUT + conv(), (tmp_path / "w.h5").read_bytes())


def test_a_single_value_and_three_statistics_have_caffes_shapes(tmp_path: Path) -> None:
    text = NET + INPUT + conv() + layer("bn", "BatchNorm", "conv", "conv")
    text += layer("scale", "Scale", "conv", "conv", "scale_param { bias_term: true }")
    text += layer("prelu", "PReLU", "conv", "conv", "prelu_param { channel_shared: true }")
    blobs = [
        ("bn", "BatchNorm", [random(4), np.abs(random(4)), random(1)]),
        ("scale", "Scale", [random(4), random(4)]),
        ("prelu", "PReLU", [random(1).reshape(())]),
    ]
    weights = encode.net("current", [CONV, *blobs])
    for engine in ENGINES:
        found = by_name(dump(tmp_path, text, weights, engine))
        for name, _, arrays in blobs:
            assert all(same(a, b) for a, b in zip(found[name].params, arrays, strict=True))


def test_constant_blobs_are_noted_not_refused(tmp_path: Path) -> None:
    flat = ("conv", "Convolution", [random(4, 2, 3, 3), np.zeros(4, np.float32)])
    (tmp_path / "net.prototxt").write_text(NET + INPUT + conv())
    (tmp_path / "net.caffemodel").write_bytes(encode.net("current", [flat]))
    job = Job(tmp_path / "net.prototxt", tmp_path / "net.caffemodel", {})
    result = caffe.dump(job, tmp_path / "d.h5", SILENT)
    assert any("'conv', blob 1" in note and "0" in note for note in result.notes)


def test_one_name_for_layers_without_parameters_is_allowed(tmp_path: Path) -> None:
    text = (
        NET + INPUT + conv() + layer("crop", "ReLU", "conv", "a") + layer("crop", "TanH", "a", "b")
    )
    for engine in ENGINES:
        found = dump(tmp_path, text, GOOD, engine)
        assert [item.type for item in found.layers if item.name == "crop"] == ["ReLU", "TanH"]


# -- what is refused


SIDE_EFFECTS = {
    "V1": 'layers { name: "d" type: IMAGE_DATA top: "x" top: "y" }',
    "V1 by number": 'layers { name: "d" type: 12 top: "x" top: "y" }',
    "V0 source": 'layers { layer { name: "d" type: "hdf5_data" source: "/m" } top: "x" }',
    "V0 meanfile on a harmless type": (
        'layers { layer { name: "d" type: "relu" meanfile: "/m" } bottom: "data" top: "x" }'
    ),
    "V1 window": (
        'layers { name: "d" type: RELU bottom: "data" top: "x"'
        ' window_data_param { root_folder: "/m" } }'
    ),
}


@pytest.mark.parametrize("name", SIDE_EFFECTS)
def test_old_dialects_reach_no_file_either(name: str, tmp_path: Path) -> None:
    old = 'input: "data" input_dim: 1 input_dim: 2 input_dim: 6 input_dim: 6\n'
    with pytest.raises(Unsupported, match="'d'"):
        dump(tmp_path, old + SIDE_EFFECTS[name], GOOD)


def test_a_layer_of_the_training_phase_is_looked_at_as_well(tmp_path: Path) -> None:
    param = 'include { phase: TRAIN } hdf5_data_param { source: "/m" batch_size: 1 }'
    text = NET + INPUT + conv() + f'layer {{ name: "d" type: "HDF5Data" top: "x" {param} }}'
    with pytest.raises(Unsupported, match="/m"):
        dump(tmp_path, text, GOOD)


ABORTS = {
    "unknown bottom": (conv(bottom="datum"), "Unknown bottom blob 'datum'"),
    "a top made twice": (conv() + layer("x", "ReLU", "data", "conv"), "multiple sources"),
    "no outputs": (conv().replace("num_output: 4", "num_output: 0"), "num_output_ > 0"),
    "far too many": (conv().replace("num_output: 4", "num_output: 2000000000"), "INT_MAX"),
}


@pytest.mark.parametrize("name", ABORTS)
def test_what_caffe_aborts_on_is_one_line_with_its_reason(name: str, tmp_path: Path) -> None:
    text, expected = ABORTS[name]
    with pytest.raises(BadInput) as caught:
        dump(tmp_path, NET + INPUT + text, GOOD)
    assert expected in caught.value.message
    assert "\n" not in caught.value.message


def test_a_layer_for_training_only_leaves_weights_unused(tmp_path: Path) -> None:
    text = NET + INPUT + conv(param="include { phase: TRAIN }")
    with pytest.raises(BadInput, match="'conv' of the caffemodel has no place"):
        dump(tmp_path, text, GOOD)


def test_a_probe_for_half_of_the_inputs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="'other'"):
        dump(tmp_path, NET + INPUT.replace("data", "other") + INPUT + conv(), GOOD)


# -- known faults, each announced by the test that will pass


def test_a_net_with_parameters_and_no_weights_is_refused(tmp_path: Path) -> None:
    """The reader refuses it; without a caffemodel nothing fills, and nothing looks for the NaN."""
    with pytest.raises(BadInput, match="'conv'"):
        dump(tmp_path, NET + INPUT + conv(), None)


@pytest.mark.parametrize(
    "text", ['input: "data"\n', 'layer { name: "data" type: "Input" top: "data" }\n']
)
def test_an_input_without_a_shape_takes_the_probes(text: str, tmp_path: Path) -> None:
    """What `--input data=1,2,6,6` is for."""
    found = by_name(dump(tmp_path, NET + text + conv(), GOOD))
    assert found["conv"].activations[0].shape == (1, 4, 6, 6)


SHARED = NET + INPUT
for twin in ("one", "two"):
    SHARED += layer(
        twin,
        "InnerProduct",
        "data",
        twin,
        'param { name: "w" } inner_product_param { num_output: 3 }',
    )
FIRST, SECOND, BIAS = random(3, 72), random(3, 72), random(3)


def test_equal_copies_of_a_shared_blob_are_taken(tmp_path: Path) -> None:
    twins = [("one", "InnerProduct", [FIRST, BIAS]), ("two", "InnerProduct", [FIRST, BIAS])]
    for engine in ENGINES:
        found = by_name(dump(tmp_path, SHARED, encode.net("current", twins), engine))
        assert same(found["one"].params[0], FIRST)
        assert found["two"].owners[0] is not None


@pytest.mark.parametrize("engine", ENGINES)
def test_a_shared_blob_may_be_with_the_second_layer_only(engine: str, tmp_path: Path) -> None:
    text = SHARED.replace("num_output: 3", "num_output: 3 bias_term: false")
    weights = encode.net("current", [("two", "InnerProduct", [FIRST])])
    found = by_name(dump(tmp_path, text, weights, engine))
    assert same(found["one"].params[0], FIRST) and same(found["two"].params[0], FIRST)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_shared_blob_may_have_another_place_there(engine: str, tmp_path: Path) -> None:
    text = NET + INPUT + layer("one", "Scale", "data", "one", 'param { name: "s" }')
    params = 'param { name: "own" } param { name: "s" } scale_param { bias_term: true }'
    text += layer("two", "Scale", "one", "two", params)
    own, shared = random(2), random(2)
    weights = encode.net("current", [("two", "Scale", [own, shared])])
    found = by_name(dump(tmp_path, text, weights, engine))
    assert same(found["one"].params[0], shared) and same(found["two"].params[1], shared)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("owners", [[], [FIRST]])
def test_a_shared_blob_does_not_make_up_for_others(
    owners: list[np.ndarray], engine: str, tmp_path: Path
) -> None:
    """The owner's own bias is not in the file; or the shared weight stands there, and no bias."""
    layers = [("one", "InnerProduct", owners)] if owners else []
    weights = encode.net("current", [*layers, ("two", "InnerProduct", [FIRST, BIAS])])
    with pytest.raises(BadInput):
        dump(tmp_path, SHARED, weights, engine)


@pytest.mark.parametrize(
    ("engine", "order"),
    [
        ("caffe", (0, 1)),
        pytest.param("caffe", (1, 0)),
        pytest.param("reader", (0, 1)),
        pytest.param("reader", (1, 0)),
    ],
)
def test_different_copies_of_a_shared_blob_are_refused(
    engine: str, order: Sequence[int], tmp_path: Path
) -> None:
    """An unshared model in a sharing net: in Caffe the file's last copy wins for both layers."""
    twins = [("one", "InnerProduct", [FIRST, BIAS]), ("two", "InnerProduct", [SECOND, BIAS])]
    with pytest.raises((BadInput, IntegrityError)):
        dump(tmp_path, SHARED, encode.net("current", [twins[n] for n in order]), engine)


def test_both_engines_read_the_same_net_name(tmp_path: Path) -> None:
    text = 'name: "a\\"b é"\n' + INPUT + conv()
    names = {dump(tmp_path, text, GOOD, engine).net_name for engine in ENGINES}
    assert names == {'a"b é'}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_name_with_a_zero_byte_is_bad_input(engine: str, tmp_path: Path) -> None:
    text = NET + INPUT + conv() + layer("x\\000y", "ReLU", "conv", "conv")
    with pytest.raises(BadInput):
        dump(tmp_path, text, GOOD, engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_tied_weight_keeps_its_own_shape(engine: str, tmp_path: Path) -> None:
    """share_mode PERMISSIVE: same values, 6 x 72 in one layer and 72 x 6 in the other."""
    text = NET + INPUT
    for name, bottom, count in (("down", "data", 6), ("up", "down", 72)):
        param = f"inner_product_param {{ num_output: {count} bias_term: false }}"
        share = 'param { name: "w" share_mode: PERMISSIVE }'
        text += layer(name, "InnerProduct", bottom, name, f"{share} {param}")
    weight = random(6, 72)
    tied = [("down", "InnerProduct", [weight]), ("up", "InnerProduct", [weight.reshape(72, 6)])]
    found = by_name(dump(tmp_path, text, encode.net("current", tied), engine))
    assert found["up"].params[0].shape == (72, 6)


WRONG = {
    "transposed": [random(2, 4, 3, 3), random(4)],
    "same count, other axes": [random(4, 18), random(4)],
    "a blob short": [random(4, 2, 3, 3)],
    "a blob too many": [random(4, 2, 3, 3), random(4), random(4)],
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize(
    "engine",
    [
        "caffe",
        "reader",
    ],
)
def test_blobs_that_do_not_fit_the_layer_are_refused(
    engine: str, name: str, tmp_path: Path
) -> None:
    weights = encode.net("current", [("conv", "Convolution", WRONG[name])])
    with pytest.raises(DecantError):
        dump(tmp_path, NET + INPUT + conv(), weights, engine)


LIST = """
import json, pathlib, sys
from dumper.net import caffe
messages = caffe.proto.caffe_pb2.DESCRIPTOR.message_types_by_name
def shown(field):
    of = field.message_type or field.enum_type
    return [of.name if of else field.type, field.label == field.LABEL_REPEATED, field.label == field.LABEL_REQUIRED]
found = {name: {field.name: shown(field) for field in kind.fields} for name, kind in messages.items()}
enums = {}
for kind in messages.values():
    for field in kind.fields:
        if field.enum_type is not None:
            enums.setdefault(field.enum_type.name, []).append({v.name: v.number for v in field.enum_type.values})
text = json.dumps({"types": list(caffe.layer_type_list()), "messages": found, "enums": enums})
pathlib.Path(sys.argv[1], "caffe.json").write_text(text)
"""


# descriptor.proto, FieldDescriptorProto.Type
NUMBERS = {"f64": 1, "f32": 2, "i64": 3, "i32": 5, "bool": 8, "text": 9, "u32": 13}


def test_the_schema_is_that_of_the_images_caffe(tmp_path: Path) -> None:
    """The table decides which nets Caffe is asked about: it must be this Caffe's, not tag 1.0's."""
    (tmp_path / "list.py").write_text(LIST)
    run_script(tmp_path / "list.py", tmp_path, "caffe.json")
    real = json.loads((tmp_path / "caffe.json").read_text())
    assert set(real["types"]) == schema.TYPES
    for name, fields in schema.FIELDS.items():
        message = name if name in real["messages"] else name + "Parameter"
        assert set(fields) == set(real["messages"][message]), name
        for field, of in fields.items():
            kind, repeated, required = real["messages"][message][field]
            names = {kind, kind.removesuffix("Parameter")} if isinstance(kind, str) else {kind}
            assert NUMBERS.get(of.kind, of.kind) in names, (name, field)
            assert (of.repeated, of.required) == (repeated, required), (name, field)
    for name, words in schema.ENUMS.items():
        wanted = {word: number for number, word in enumerate(words) if word}
        assert all(found == wanted for found in real["enums"][name]), name
