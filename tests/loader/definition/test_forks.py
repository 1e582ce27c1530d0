"""Layer types that stock Caffe never had: old layouts' words, and layers that compute with few bits."""

from __future__ import annotations

from pathlib import Path

import pytest

from decant.engines.caffe import foreign_to_caffe
from decant.loader.definition.forks import V1_TYPES
from decant.loader.definition.graph import net_from_text
from decant.loader.definition.reading import Reading, ReadingOptions
from decant.loader.errors import BadInput, Unsupported
from decant.stages.inputs import Source
from tests.helpers import encode_caffemodel as encode
from tests.helpers.converting import conv, converted, input_layer, layer, random, write_pair

V1_HEAD = 'name: "v1" input: "data" input_dim: [1, 3, 16, 16]\n'
HEAD = input_layer("data", 1, 3, 16, 16)
WEIGHT, BIAS = random(4, 3, 3, 3), random(4)


def v1(name: str, word: str, bottoms: str, top: str, more: str = "") -> str:
    wires = " ".join(f'bottom: "{blob}"' for blob in bottoms.split())
    return f'layers {{ name: "{name}" type: {word} {wires} top: "{top}" {more} }}\n'


def v0(name: str, word: str, bottom: str, top: str) -> str:
    return (
        f'layers {{ layer {{ name: "{name}" type: "{word}" }} bottom: "{bottom}" top: "{top}" }}\n'
    )


V1_CONV = v1("c", "CONVOLUTION", "data", "c", "convolution_param { num_output: 4 kernel_size: 3 }")


# ----------------------------------------------------------------------------------- old layouts


@pytest.mark.parametrize("word", sorted(V1_TYPES))
def test_a_forks_word_is_read_as_the_type_that_it_became(word: str) -> None:
    found = net_from_text(V1_HEAD + v1("x", word, "data", "x"), "net.prototxt")
    assert found.layers[1].type == V1_TYPES[word]
    assert f"V1 type {word} of a fork read as {V1_TYPES[word]}" in found.notes


def test_crop_of_the_old_layout_converts_and_goes_to_caffe_in_todays(tmp_path: Path) -> None:
    text = V1_HEAD + V1_CONV + v1("crop", "CROP", "data c", "out", "crop_param { offset: 1 }")
    found = net_from_text(text, "net.prototxt")
    assert foreign_to_caffe(found) == [] and 'type: "Crop"' in found.run_text
    write_pair(tmp_path, text, [("c", "Convolution", [WEIGHT, BIAS])])
    assert converted(tmp_path)["net"][-1]["shapes"] == [[1, 3, 14, 14]]


def test_prelu_of_the_old_layout_keeps_its_slopes(tmp_path: Path) -> None:
    text = V1_HEAD + V1_CONV + v1("p", "PRELU", "c", "p", "prelu_param { channel_shared: false }")
    (tmp_path / "net.prototxt").write_text(text)
    layers = [("c", "Convolution", [WEIGHT, BIAS]), ("p", "PReLU", [random(4)])]
    (tmp_path / "net.caffemodel").write_bytes(encode.net("current", layers))
    found = converted(tmp_path)
    assert [item["type"] for item in found["net"]] == ["Input", "Convolution", "PReLU"]


def test_all_unknown_words_are_named_in_one_report(tmp_path: Path) -> None:
    text = V1_HEAD + V1_CONV + v1("a", "NOVEL_DATA", "c", "a") + v1("b", "OTHER", "c", "b")
    text += v1("d", "41", "c", "d") + v1("e", "OTHER", "c", "e")
    write_pair(tmp_path, text, [("c", "Convolution", [WEIGHT, BIAS])])
    with pytest.raises(Unsupported) as caught:
        converted(tmp_path)
    said = [line.split(": the type")[0] for line in caught.value.details]
    assert said == [
        "line 3: layer 'a' (NOVEL_DATA)",
        "line 4: layer 'b' (OTHER)",
        "line 5: layer 'd' (V1 type 41)",
        "line 6: layer 'e' (OTHER)",
    ]


def test_all_unknown_words_of_v0_are_named_in_one_report(tmp_path: Path) -> None:
    text = (
        V1_HEAD
        + v0("r", "relu", "data", "r")
        + v0("a", "novel", "r", "a")
        + v0("b", "other", "r", "b")
    )
    (tmp_path / "net.prototxt").write_text(text)
    with pytest.raises(Unsupported) as caught:
        converted(tmp_path, source=Source(None, tmp_path / "net.prototxt"))
    assert [line.split(":")[0] for line in caught.value.details] == ["line 3", "line 4"]
    assert "(novel)" in caught.value.details[0] and "(other)" in caught.value.details[1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (v1("x", "Convolution", "data", "x"), "is it CONVOLUTION?"),
        (v1("x", "relu", "data", "x"), "is it RELU?"),
        (v0("x", "Conv", "data", "x"), "is it conv?"),
        (v0("x", "InnerProduct", "data", "x"), "is it innerproduct?"),
    ],
)
def test_a_word_in_other_letters_is_misspelt(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=r"net.prototxt:2: layer 'x'") as caught:
        net_from_text(V1_HEAD + text, "net.prototxt")
    assert said in caught.value.message


def test_c3d_names_every_type_of_its_fork() -> None:
    text = v1("data", "VIDEO_DATA", "", "data", "image_data_param { source: 'a' new_length: 4 }")
    text += v1(
        "c", "CONVOLUTION3D", "data", "c", "convolution_param { num_output: 4 kernel_depth: 3 }"
    )
    text += v1("p", "POOLING3D", "c", "p", "pooling_param { pool: MAX temporal_stride: 1 }")
    found = net_from_text(text, "net.prototxt")
    assert [item.type for item in found.layers] == ["VideoData", "Convolution3D", "Pooling3D"]
    said = "\n".join(foreign_to_caffe(found))
    assert all(kind in said for kind in ("VideoData", "Convolution3D", "Pooling3D"))


# --------------------------------------------------------------------------------- few bits, or not

QUANTISED = (
    "quantization_param { precision: DYNAMIC_FIXED_POINT bw_layer_in: 8 bw_layer_out: 8 bw_params: 8 "
    "fl_layer_in: 7 fl_layer_out: 4 fl_params: 9 }"
)
RISTRETTO = (
    HEAD
    + conv("c", "data", "c", "kernel_size: 3", QUANTISED).replace("Convolution", "ConvolutionRistretto")
    + layer("n", "LRNRistretto", "c", "n", f"lrn_param {{ local_size: 3 }} {QUANTISED}")
    + layer("d", "DeconvolutionRistretto", "n", "d", f"convolution_param {{ num_output: 2 kernel_size: 2 }} {QUANTISED}")
    + layer("f", "FcRistretto", "d", "f", f"inner_product_param {{ num_output: 5 }} {QUANTISED}")
)  # fmt: skip
FLOATS = [
    ("c", "ConvolutionRistretto", [WEIGHT, BIAS]),
    ("d", "DeconvolutionRistretto", [random(4, 2, 2, 2), random(2)]),
    ("f", "FcRistretto", [random(5, 450), random(5)]),
]


def test_ristrettos_layers_are_refused_by_name_with_the_way_out(tmp_path: Path) -> None:
    write_pair(tmp_path, RISTRETTO, FLOATS)
    with pytest.raises(Unsupported) as caught:
        converted(tmp_path)
    assert len(caught.value.details) == 4
    assert all("Ristretto" in line and "--float" in line for line in caught.value.details)


def test_with_float_ristrettos_weights_are_those_of_the_float_layers(tmp_path: Path) -> None:
    write_pair(tmp_path, RISTRETTO, FLOATS)
    found = converted(tmp_path, ReadingOptions(float_weights=True))
    kinds = [item["type"] for item in found["net"]]
    assert kinds == ["Input", "Convolution", "LRN", "Deconvolution", "InnerProduct"]
    assert found["reading"] == {"float_weights": True}
    said = "\n".join(found["changes"])
    assert "quantization_param is left out" in said and "(4 layers)" in said
    assert "FcRistretto read as InnerProduct" in said


def test_with_float_caffe_is_given_the_float_layers() -> None:
    found = net_from_text(RISTRETTO, "net.prototxt", Reading(float_weights=True))
    assert foreign_to_caffe(found) == []
    assert "quantization_param" not in found.run_text and "Ristretto" not in found.run_text


def test_intels_quantised_layers_keep_their_type(tmp_path: Path) -> None:
    text = HEAD + conv(
        "c", "data", "c", "kernel_size: 3", "quantization_param { scale_in: 3.5 scale_in: 2 }"
    )
    write_pair(tmp_path, text, [("c", "Convolution", [WEIGHT, BIAS])])
    with pytest.raises(Unsupported, match="quantization_param is not supported: .*--float"):
        converted(tmp_path)
    assert (
        converted(tmp_path, ReadingOptions(float_weights=True))["net"][1]["type"] == "Convolution"
    )


@pytest.mark.parametrize("word", ["Relu", "relu", "RELU"])
def test_a_type_in_other_letters_is_refused_with_the_right_one(word: str, tmp_path: Path) -> None:
    write_pair(tmp_path, HEAD + conv("c", "data", "c") + layer("r", word, "c", "r"), FLOATS[:1])
    with pytest.raises(Unsupported, match=rf"layer 'r' \({word}\): .*; is it ReLU\?"):
        converted(tmp_path)
